//! The judgement over a Sigstore bundle.
//!
//! [`verify()`] is a function: it reads no clock, no file, no environment and no network; all that it
//! believes is an argument. Every check runs, and the first that fails is named in the error with
//! what was expected and what was found. A [`Verified`] cannot be made in any other way.
//!
//! An entry of a log, or a timestamp of an authority, that the trusted root does not name is passed
//! over and counts for nothing; what it does name must verify in every part. What a check is
//! switched off with is in [`danger`].
#![doc = include_str!("../README.md")]

mod artifact;
mod body;
mod certificate;
mod check;
mod entry;
mod examine;
mod judge;
mod legacy;
mod policy;
mod policy_file;
mod signature;
mod simple_signing;
mod statement;
mod time;
mod verified;

pub use crate::artifact::{Artifact, certificate, hash_algorithm};
pub use crate::certificate::check_certificate;
pub use crate::check::{Check, Error};
pub use crate::examine::{Examination, Finding, examine, examine_legacy};
pub use crate::judge::verify;
pub use crate::legacy::{Legacy, verify_legacy};
pub use crate::policy::{Policy, Regexp, SpiffeMatch, StringMatch, danger};
pub use crate::policy_file::{PolicyFile, Rule};
pub use crate::simple_signing::SimpleSigning;
pub use crate::verified::{TimeSource, Verified, VerifiedEntry, VerifiedTime, Warning};
