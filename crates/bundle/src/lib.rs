//! The file formats of Sigstore: the bundle (v0.1 to v0.3), the DSSE envelope, the in-toto
//! statement and the log entry.
//!
//! A [`Bundle`] is valid by construction: reading and building go through the same structural
//! rules, so a caller can rely on its shape. Nothing here looks into a certificate, checks
//! a signature or decides about trust: fields are plain bytes, and judging them is `verify`'s work.
//!
//! Reading is strict (duplicate keys, unknown fields, trailing data and two members of one `oneof`
//! are refused) and as liberal in spelling as proto-JSON itself: snake_case names, numbers for
//! 64-bit integers, URL-safe and unpadded base64, enums by number, `null` for absent.
#![doc = include_str!("../README.md")]

pub use bytes;

mod bundle;
mod constants;
mod encode;
mod entry;
mod envelope;
mod error;
mod json;
pub mod log_body;
mod log_body_read;
mod log_body_write;
mod message;
mod pieces;
pub mod predicate_type;
mod read;
mod rules;
mod statement;
mod write;

pub use crate::bundle::{Bundle, Content, MessageDigest, VerificationMaterial, Version};
pub use crate::constants::{
    INTOTO_PAYLOAD_TYPE, LARGE_SIZE_CAP, MAX_DIGESTS, MAX_LOG_ENTRIES, MAX_SUBJECTS,
    MAX_TIMESTAMPS, MEDIA_TYPE_V0_3, PREDICATE_CAP, SIGN_PREDICATE_TYPE, SIZE_CAP,
    STATEMENT_TYPE_V0_1, STATEMENT_TYPE_V1,
};
pub use crate::entry::{LogEntry, LogProof};
pub use crate::envelope::{Envelope, EnvelopeSignature, pae};
pub use crate::error::Error;
pub use crate::json::Limits;
pub use crate::pieces::{LargeText, Pieces};
pub use crate::statement::{Statement, Subject};

/// A strict reader of proto-JSON, the encoding of Sigstore's file formats.
pub mod proto_json {
    pub use crate::json::{Json, Limits, without_bom};
    pub use crate::message::{Message, decode_base64};
}
