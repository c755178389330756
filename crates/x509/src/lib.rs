#![doc = include_str!("../README.md")]
//!
//! What it deliberately is not: a judge of identities or of time. Whether the name in a
//! certificate is the right one, and at which moment it must have been valid, is the caller's to
//! say; nothing here reads a clock.

mod certificate;
mod error;
mod fulcio;
pub mod oid;
mod p521;
mod path;
mod raw;
mod sct;

pub use crate::certificate::{Certificate, Extension};
pub use crate::error::Error;
pub use crate::fulcio::{FulcioExtension, SubjectName};
pub use crate::path::{Anchors, Usage};
pub use crate::sct::{Sct, SctAlgorithm, encode_sct_list, precert_tbs, sct_signed_data};
