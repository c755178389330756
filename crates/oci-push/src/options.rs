//! How registries are reached.

use std::collections::BTreeMap;

use crate::credentials::Credentials;
use crate::repository::{Repository, normal_registry};

/// How to reach registries. The default needs no configuration for public and loopback ones.
///
/// ```
/// use oci_push::{Credentials, Options};
///
/// let options = Options::new().with_credentials("ghcr.io", Credentials::basic("me", "password"));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Whether plain `http` may be used where `https` does not work. Loopback registries are
    /// reached by `http` without it.
    pub allow_http: bool,
    /// Whether a registry may lead us (to upload, to download, to get a token) to internal hosts
    /// and unusual ports, as [`host::check_target`] has them.
    pub allow_internal_addresses: bool,
    /// Credentials by the registry they are for, used in place of Docker's and Podman's files.
    pub credentials: BTreeMap<String, Credentials>,
    /// Where signatures are stored and looked up, instead of beside the image. Without it the
    /// variables `AMBISIGN_REPOSITORY` and `COSIGN_REPOSITORY` decide.
    pub signature_repository: Option<Repository>,
}

impl Options {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses plain `http` where `https` does not work.
    #[must_use]
    pub fn with_http(self, allow_http: bool) -> Self {
        Self { allow_http, ..self }
    }

    /// Follows a registry to internal hosts and unusual ports.
    #[must_use]
    pub fn with_internal_addresses(self, allow_internal_addresses: bool) -> Self {
        Self { allow_internal_addresses, ..self }
    }

    /// Uses `credentials` for the registry `registry` (`ghcr.io`, `localhost:5000`) and for no
    /// other.
    #[must_use]
    pub fn with_credentials(mut self, registry: &str, credentials: Credentials) -> Self {
        self.credentials.insert(normal_registry(registry), credentials);
        self
    }

    /// Stores signatures in `repository`, and looks for them there.
    #[must_use]
    pub fn with_signature_repository(self, repository: Repository) -> Self {
        Self { signature_repository: Some(repository), ..self }
    }
}
