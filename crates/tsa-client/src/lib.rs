#![doc = include_str!("../README.md")]
//!
//! Verification is a function of its arguments: no clock, no network, no trust of its own. Whether
//! the authority was one to trust *at that time* (its window in the trusted root), and whether the
//! time lies inside a certificate's validity, is the caller's judgement.

mod authority;
mod client;
mod error;
mod timestamp;
mod token;

pub use crate::authority::Authority;
pub use crate::client::Tsa;
pub use crate::error::Error;
pub use crate::timestamp::{SIZE_CAP, Timestamp};
