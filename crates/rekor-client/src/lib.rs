//! A client for Rekor, the transparency log of Sigstore, versions 1 and 2
