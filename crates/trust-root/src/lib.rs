//! What a Sigstore client trusts, and when: `trusted_root.json`, `signing_config.json` (v0.2) and
//! the file that holds both.
//!
//! Every entry has a window, closed at both ends, and counts only for a time inside it. Log ids
//! are recomputed from the keys when a document is read. Nothing here fetches anything, reads a
//! clock or decides about a signature: the first is a TUF client's work, the last is `verify`'s.
#![doc = include_str!("../README.md")]

mod builder;
mod client_trust_config;
mod document;
mod error;
mod log;
mod root;
mod service;
mod signing_config;
mod spec;
mod window;

pub use crate::builder::{SigningConfigBuilder, TrustedRootBuilder};
pub use crate::client_trust_config::ClientTrustConfig;
pub use crate::error::Error;
pub use crate::log::Log;
pub use crate::root::{CertificateAuthority, TrustedRoot};
pub use crate::service::{Selector, Service};
pub use crate::signing_config::SigningConfig;
pub use crate::spec::ReadFile;
pub use crate::window::Window;
pub use {bundle, keys, x509};
