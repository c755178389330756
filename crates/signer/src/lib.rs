//! The keyless signing ceremony: one identity, one certificate, many signatures
