//! Find the OIDC identity token that the place we run in has for us: a CI job, a workload, a file.
//!
//! [`Sources`] is the ordered table of places, [`detect`] takes the first that has a token, and
//! [`survey`] tells of each of them what was looked at and why not. Every place answers in three
//! states (see [`id_token::Outcome`]); one that is certainly ours and broken ends the search,
//! because going on would sign as somebody else. [`Cached`] keeps a token and renews it in time.
//!
//! Nothing here judges whether a certificate authority will take the token, opens a browser, or
//! reads the process environment; the SPIFFE source lives in `spiffe-workload-api` and is added by
//! the caller, [`Sources::add`].

#![doc = include_str!("../README.md")]

mod cached;
mod check;
mod detect;
mod error;
mod fetch;
mod helper;
mod outcome;
mod sources;

pub use crate::cached::Cached;
pub use crate::detect::{Detected, PassedOver, Report, State, Survey, detect, survey};
pub use crate::error::Error;
pub use crate::sources::{Sources, Stage};
