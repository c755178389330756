//! A whole Sigstore in one process on loopback: OIDC issuer, Fulcio, Rekor, timestamp authority, SPIFFE Workload API and registry
