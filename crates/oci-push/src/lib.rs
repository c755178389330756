//! An OCI registry client that resolves images and attaches and finds signatures as referrers, and loses none
