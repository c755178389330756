//! Whom a Sigstore client trusts and when: `trusted_root.json`, `signing_config.json` (v0.2) and
//! the file that holds both.
//!
//! Every entry has a window, closed at both ends, and is good only for a time inside it. Log ids
//! are recomputed from the keys on reading, never believed. Nothing here fetches, reads a clock or
//! decides about a signature: refreshing is a TUF client's work and judging is `verify`'s.
#![doc = include_str!("../README.md")]

mod config;
mod error;
mod log;
mod root;
mod window;

pub use crate::config::{ClientTrustConfig, Selector, Service, SigningConfig};
pub use crate::error::Error;
pub use crate::log::Log;
pub use crate::root::{CertificateAuthority, TrustedRoot};
pub use crate::window::Window;
