//! Keeps a Sigstore trusted root and signing config current by TUF.
//!
//! A thin layer: the workflow and its checks are `sigstore-tuf`'s; here are the transport, the
//! cache on disk, the embedded roots to start from, and the decision when to ask. What is read
//! from the cache is used only after its signatures, versions and hashes were verified again.
//!
//! It does not write TUF repositories, verifies nothing but TUF metadata, and does not read
//! delegated targets: Sigstore lists its targets at the top level.
#![doc = include_str!("../README.md")]

mod apart;
mod cache;
mod current;
mod directories;
mod error;
mod fetch;
mod files;
mod mirror;
mod provider;
mod repository;
mod root_file;
mod root_metadata;
mod trust;
mod update;
mod warning;

pub use crate::current::{current, initialize, offline};
pub use crate::directories::{Choice, Directories};
pub use crate::error::Error;
pub use crate::mirror::Mirror;
pub use crate::root_file::{Checksum, mirror_with_root, read_root};
pub use crate::trust::{Metadata, Trust};
pub use crate::update::Updates;
pub use crate::warning::Warning;
pub use {host, trust_root};
