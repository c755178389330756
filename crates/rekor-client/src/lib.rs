#![doc = include_str!("../README.md")]
//!
//! The answered entry is checked to be the one submitted. It is *not* checked to be in the log:
//! promise, checkpoint and proof are `verify`'s to judge, against a trusted root.

mod answer;
mod client;
mod entry;
mod error;
mod size;
mod v1;
mod v2;
mod version;

pub use crate::client::Rekor;
pub use crate::entry::{Entry, Verifier, encoding_digest};
pub use crate::error::Error;
pub use crate::version::ApiVersion;
pub use {bundle, host, keys, x509};
