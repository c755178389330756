//! Sign, verify and inspect container images.
