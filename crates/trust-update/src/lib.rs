//! Keeps a Sigstore trusted root and signing config current by TUF.
//!
//! A thin layer: the workflow and its checks are `sigstore-tuf`'s; here are the transport, the
//! cache on disk, the embedded roots to start from, and the decision when to ask. Nothing read
//! from the cache is believed before its signatures, versions and hashes were verified again.
//!
//! What it deliberately is not: a TUF repository's tool, a verifier of anything but TUF metadata,
//! or a reader of delegated targets. Sigstore lists its targets at the top level, and a name that
//! is not fetched cannot do harm.
#![doc = include_str!("../README.md")]

mod cache;
mod directories;
mod error;
mod mirror;
mod provider;
mod repository;
mod root_file;
mod trust;
mod update;
mod warning;

pub use crate::directories::Directories;
pub use crate::error::Error;
pub use crate::mirror::Mirror;
pub use crate::root_file::{Checksum, read_root};
pub use crate::trust::{Metadata, Trust, public_good_with_rekor_v2};
pub use crate::update::{Updates, initialize};
pub use crate::warning::Warning;
