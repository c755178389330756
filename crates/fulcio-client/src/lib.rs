#![doc = include_str!("../README.md")]
//!
//! It does not obtain tokens, keep keys or decide which authority to trust: a certificate is checked
//! to be for the key and the identity it was asked for; against a trusted root the caller checks it.

mod claims;
mod client;
mod configuration;
mod csr;
mod error;
pub mod issued;
pub mod predict;
pub mod preflight;
mod profiles;
mod provider;

pub use crate::client::Fulcio;
pub use crate::configuration::{Configuration, Issuer, IssuerType, IssuerUrl};
pub use crate::error::Error;
pub use crate::profiles::{Profiles, ProfilesError};
pub use crate::provider::CiProvider;
pub use {host, id_token, keys, x509};
