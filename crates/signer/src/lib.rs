//! Signs with a short-lived certificate: one identity, one certificate, any number of signatures. Or
//! with a key of one's own.
//!
//! A [`Signer`] knows the services of one Sigstore instance and the root by which its signatures
//! will be verified; a [`Session`] signs with one identity or one key. The order of work is fixed: no service
//! is asked when no verifiable signature could come of it; then token, certificate, signature,
//! timestamp, every check that needs no log entry, log entry; and every bundle is verified before
//! the caller sees it.
//!
//! This crate finds no tokens, knows no registry, reads no file and starts no runtime. Its futures
//! run on any executor.
#![doc = include_str!("../README.md")]

mod authority;
mod content;
mod credential;
mod dated;
mod error;
mod event;
mod judge;
mod logging;
mod logs;
mod record;
mod services;
mod session;
mod simple_signing;

pub use {
    bundle, fulcio_client, host, id_token, keys, rekor_client, trust_root, tsa_client, url, verify,
};

pub use crate::content::{FileDigest, FileHasher, ForeignFormat};
pub use crate::error::Error;
pub use crate::event::{Event, Identity};
pub use crate::record::LogRecord;
pub use crate::services::{Log, Services, Signer};
pub use crate::session::{Session, Signed};
pub use rekor_client::ApiVersion;

/// What switches a check off. Every use of it deserves a warning.
pub mod danger {
    use keys::Digest;

    use crate::content::{FileDigest, FileHasher};

    /// Signs a file of which only the digest is known: it may be what another kind of signature is
    /// over, such as a DSSE pre-authentication encoding or a simple-signing document, and its
    /// signature could be used as one of that kind.
    pub fn any_content(digest: Digest) -> FileDigest {
        FileDigest { digest, message: None, short: None }
    }

    /// As [`FileHasher::finish`], whatever the content is; see [`any_content`].
    pub fn finish(hasher: FileHasher) -> FileDigest {
        hasher.finish_unchecked()
    }
}
