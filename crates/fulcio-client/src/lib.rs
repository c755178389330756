#![doc = include_str!("../README.md")]
//!
//! It does not obtain tokens, keep keys or decide which authority to trust: a certificate is checked to be for
//! the key it was asked for, and against a trusted root by whoever has one.

mod claims;
mod client;
mod configuration;
mod csr;
mod error;
pub mod predict;
pub mod preflight;
mod profiles;
mod provider;

pub use crate::client::Fulcio;
pub use crate::configuration::{Configuration, Issuer, IssuerType, IssuerUrl};
pub use crate::error::Error;
pub use crate::profiles::{Profiles, ProfilesError};
pub use crate::provider::CiProvider;
