//! Fulcio-shaped certificates: identity, extensions, chains and certificate transparency
