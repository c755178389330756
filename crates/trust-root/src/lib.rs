//! Whom a Sigstore client trusts and when: trusted_root.json and signing_config.json
