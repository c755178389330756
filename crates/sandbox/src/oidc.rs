//! OIDC issuers: discovery, keys, and tokens for whoever asks.

use serde_json::Value;

/// The keys of issuers, as discovery would find them.
pub trait IssuerKeys: Send + Sync {
    /// The JSON Web Key Set of the issuer whose URL is exactly `issuer`, and the algorithms it
    /// advertises; `None` when discovery finds no such issuer.
    fn keys(&self, issuer: &str) -> Option<(Value, Vec<String>)>;
}

/// One issuer.
#[derive(Debug)]
pub struct Issuer;
