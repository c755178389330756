//! An OCI registry client for signatures: resolve an image, prove the right to push, attach a
//! Sigstore bundle as a referrer, and find what others attached.
//!
//! What it deliberately is not: it pulls no layers, builds no images, and judges no signature. It
//! knows only as much of a bundle as the manifest around it repeats. It owns no sockets either:
//! everything goes through [`host::Host`], and TLS settings, proxies and retries are the
//! transport's.
//!
//! Two promises shape it. *Could not look is never "not signed"*: throttling, refusals and broken
//! answers are errors, told apart from absence. *Nothing is lost*: where a registry has no
//! referrers API, the fallback tag is merged, written, read back and merged again until our entry
//! stays, and what others wrote there is kept byte for byte.

#![doc = include_str!("../README.md")]

mod answer;
mod attach;
mod auth;
mod challenge;
mod client;
mod concurrent;
mod credentials;
mod date;
mod digest;
mod docker_config;
mod endpoint;
mod error;
mod fallback;
mod find;
mod index;
mod manifest;
mod parts;
mod realm;
mod reference;
mod referrers;
mod resolve;
mod upload;

use std::sync::Arc;

use host::Host;

pub use crate::attach::{Attached, How};
pub use crate::credentials::Credentials;
pub use crate::digest::Digest;
pub use crate::error::{Access, CredentialsSource, Error};
pub use crate::find::{Found, FoundSignature, LegacyKind, LegacySignature, Unusable};
pub use crate::manifest::{BUNDLE_MEDIA_TYPE, Descriptor};
pub use crate::reference::{Reference, Repository};
pub use crate::resolve::Resolved;

use crate::client::Client;

/// Access to registries: any number of them, each with what it asks for.
///
/// Clones share tokens, credentials and the locks that keep two signatures of one image from
/// overwriting each other. A process should therefore use one value and clone it.
#[derive(Clone, Debug)]
pub struct Registry {
    client: Arc<Client>,
}

impl Registry {
    /// Sends nothing yet. Credentials are looked up only when a registry asks for them.
    ///
    /// # Errors
    /// `AMBISIGN_REPOSITORY` or `COSIGN_REPOSITORY` is set and names no repository.
    pub fn new(host: Host, options: Options) -> Result<Self, Error> {
        Ok(Self { client: Arc::new(Client::new(host, options)?) })
    }

    /// Where the signatures of images in `repository` are kept: there, unless a repository for
    /// signatures was configured.
    pub fn signatures_of<'a>(&'a self, repository: &'a Repository) -> &'a Repository {
        self.client.signatures_of(repository)
    }
}

/// How to reach registries. The default needs no configuration for public and loopback ones.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether plain `http` may be used where `https` does not work. Loopback registries are
    /// reached by `http` without it.
    pub allow_http: bool,
    /// Used for every registry in place of what Docker's and Podman's files say.
    pub credentials: Option<Credentials>,
    /// Where signatures are stored and looked up, instead of beside the image. Without it the
    /// variables `AMBISIGN_REPOSITORY` and `COSIGN_REPOSITORY` are asked.
    pub signature_repository: Option<Repository>,
}
