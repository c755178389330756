//! Verifies Sigstore bundles.
//!
//! [`verify()`] is a function: it reads no clock, no file, no environment and no network; everything
//! that it trusts is an argument. Every check runs, and the first that fails is named in the error
//! with what was expected and what was found. A [`Verified`] cannot be made in any other way.
//!
//! A log entry of a log that the trusted root does not name is ignored and counts for nothing.
//! Everything else must verify, in every part. Whatever switches a check off is in [`danger`].
#![doc = include_str!("../README.md")]

mod accepted;
mod artifact;
mod body;
mod candidate;
mod certificate;
mod check;
mod claims;
mod entry;
mod examine;
mod glob;
mod judge;
mod legacy;
mod node_policy;
mod policy;
mod policy_document;
mod policy_error;
mod policy_file;
mod policy_text;
mod purpose;
mod rule;
mod scheme;
mod signature;
mod simple_signing;
mod statement;
mod string_match;
mod text;
mod threshold;
mod time;
mod verified;

pub use bundle;
pub use keys;
pub use trust_root;
pub use x509;

pub use crate::accepted::AcceptedSigner;
pub use crate::artifact::{Artifact, certificate, hash_algorithm};
pub use crate::certificate::check_certificate;
pub use crate::check::{Check, Error};
pub use crate::claims::{Claims, SimpleSigning};
pub use crate::examine::{Examination, Finding, examine, examine_legacy};
pub use crate::judge::{verify, verify_legacy};
pub use crate::legacy::LegacySignature;
pub use crate::node_policy::NodePolicy;
pub use crate::policy::{Policy, danger, is_without_logs};
pub use crate::policy_error::PolicyError;
pub use crate::policy_file::PolicyFile;
pub use crate::purpose::{Formats, Purpose};
pub use crate::rule::{Decision, Match, Rule};
pub use crate::statement::may_be_about;
pub use crate::string_match::{Regexp, SpiffeMatch, StringMatch};
pub use crate::verified::{TimeSource, Verified, VerifiedEntry, VerifiedTime, Warning};
