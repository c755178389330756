//! The keyless signing ceremony: one identity, one certificate, any number of signatures.
//!
//! A [`Signer`] knows the services of one Sigstore instance and the root by which its signatures
//! will be judged; a [`Session`] signs with one identity. The order of work is fixed: nothing is
//! asked of anyone when no verifiable signature can come of it; then token, certificate, signature,
//! timestamp, log; and every bundle is judged by `verify` before the caller sees it.
//!
//! This crate finds no tokens, knows no registry, reads no file and starts no runtime. Its futures
//! run on any executor.
#![doc = include_str!("../README.md")]

mod error;
mod event;
mod judge;
mod services;
mod session;

pub use {
    bundle, fulcio_client, host, id_token, keys, rekor_client, trust_root, tsa_client, url, verify,
};

pub use crate::error::Error;
pub use crate::event::Event;
pub use crate::services::{Log, Services, Signer};
pub use crate::session::{Identity, LogRecord, Session, Signed};
