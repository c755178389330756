#![doc = include_str!("../README.md")]
//!
//! It does not decide about identities or time: whether the name in a certificate is the expected
//! one, and at which time the certificate must have been valid, is for the caller to say. Nothing
//! here reads a clock.

mod certificate;
mod error;
mod fulcio;
mod issued;
pub mod oid;
mod p521;
mod path;
mod promised;
mod raw;
mod remembering;
mod sct;
mod sets;

pub use crate::certificate::{Certificate, Extension};
pub use crate::error::Error;
pub use crate::fulcio::{FulcioExtension, SubjectName};
pub use crate::path::{Anchors, Usage};

pub use crate::sct::{Sct, SctAlgorithm, encode_sct_list, precert_tbs, sct_signed_data};
pub use crate::sets::has_small_sets;
pub use keys;
