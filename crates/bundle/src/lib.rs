//! The Sigstore bundle, DSSE envelope and in-toto statement: valid by construction
