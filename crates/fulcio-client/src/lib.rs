//! A client for Fulcio, the certificate authority that certifies a key for an identity
