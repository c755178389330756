//! Sign and verify bytes and digests with the algorithms of Sigstore
