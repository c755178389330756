//! The file formats of Sigstore: the bundle (v0.1 to v0.3), the DSSE envelope, the in-toto
//! statement and the log entry.
//!
//! A [`Bundle`] is valid by construction: reading and building go through the same structural
//! rules, so whoever holds one may rely on its shape. Nothing here looks into a certificate, checks
//! a signature or decides whom to trust: fields are plain bytes, and that is `verify`'s work.
//!
//! Reading is strict (duplicate keys, unknown fields, trailing data and two members of one `oneof`
//! are refused) and as liberal in spelling as proto-JSON itself: snake_case names, numbers for
//! 64-bit integers, URL-safe and unpadded base64, enums by number, `null` for absent.
#![doc = include_str!("../README.md")]

mod document;
mod encode;
mod entry;
mod envelope;
mod error;
pub mod log_body;
pub mod predicate_type;
pub mod proto_json;
mod rules;
mod statement;
mod write;

pub use crate::document::{
    Bundle, Content, MEDIA_TYPE_V0_3, MessageDigest, SIZE_CAP, VerificationMaterial, Version,
};
pub use crate::entry::{LogEntry, LogProof};
pub use crate::envelope::{Envelope, EnvelopeSignature, INTOTO_PAYLOAD_TYPE, pae};
pub use crate::error::Error;
pub use crate::rules::{MAX_LOG_ENTRIES, MAX_TIMESTAMPS};
pub use crate::statement::{
    MAX_DIGESTS, MAX_SUBJECTS, SIGN_PREDICATE_TYPE, STATEMENT_TYPE_V0_1, STATEMENT_TYPE_V1,
    Statement, Subject,
};
