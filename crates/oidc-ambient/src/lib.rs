//! Find the OIDC identity token of the place where a program runs: a CI job, a workload, a file.
//!
//! [`Sources`] is the ordered table of sources, [`detect`] takes the first that has a token, and
//! [`survey`] reports what each of them looked at. Every source answers in three states (see
//! [`id_token::Outcome`]); one that is certainly here and broken ends the search, because going on
//! would sign as another identity. [`Cached`] keeps a token and renews it in time.
//!
//! Nothing here judges whether a certificate authority will take the token, opens a browser, reads
//! the process environment, or does cryptography: the SPIFFE source lives in
//! `spiffe-workload-api`, those that sign their requests in `cloud-credentials`, and the caller
//! adds them.

#![doc = include_str!("../README.md")]

mod audiences;
pub mod azure;
mod cached;
mod check;
mod ci;
mod declared;
mod detect;
mod error;
pub mod fetch;
pub mod files;
pub mod google;
mod helper;
mod outcome;
mod redact;
pub mod sources;
mod standard;
mod table;
#[cfg(test)]
mod testing;

pub use crate::audiences::Audiences;
pub use crate::cached::Cached;
pub use crate::ci::{ci_marker, masks_tokens};
pub use crate::detect::{
    Detected, PassedOver, Report, State, Survey, detect, detect_for, survey, survey_for,
};
pub use crate::error::Error;
pub use crate::table::{Sources, Stage};
pub use host;
pub use id_token;
