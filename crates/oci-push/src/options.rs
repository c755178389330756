//! How registries are reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::credentials::{AmbientCredentials, Credentials};
use crate::event::{Event, Listener};
use crate::repository::{Repository, normal_registry};

/// How to reach registries. The default needs no configuration for public and loopback ones.
///
/// ```
/// use oci_push::{Credentials, Options};
///
/// let options = Options::new().with_credentials("ghcr.io", Credentials::basic("me", "password"));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
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
    /// Credentials that the machine or the job has by itself, for registries for which nothing else
    /// is configured.
    pub ambient: Option<Arc<dyn AmbientCredentials>>,
    /// Whether to read from the mirrors that `registries.conf` of Podman names: what a digest names
    /// from them first, everything else (tags, lists of signatures) from the registry, and from a
    /// mirror where the registry cannot be reached. Not by default, and not for signing: what a
    /// mirror has may be missing in the registry.
    pub mirrors: bool,
    /// Where signatures are stored and looked up, instead of beside the image. Without it the
    /// variables `AMBISIGN_REPOSITORY` and `COSIGN_REPOSITORY` decide.
    pub signature_repository: Option<Repository>,
    /// Whether each signature gets a tag of its own where the registry has no referrers API, as it
    /// does by default. Without, a slow writer can erase it from the list.
    pub signature_tags: bool,
    /// How long one request may wait altogether for a registry that limits requests. Three minutes
    /// by default.
    pub patience: Duration,
    /// How long one request may wait for a registry that fails (408, 429, 5xx) and does not say how
    /// long. Zero by default: it is then asked three times within two seconds.
    pub retry_for: Duration,
    pub(crate) listener: Listener,
}

impl Options {
    /// The default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says whether each signature gets a tag of its own where there is no referrers API.
    #[must_use]
    pub fn with_signature_tags(self, signature_tags: bool) -> Self {
        Self { signature_tags, ..self }
    }

    /// Limits how long one request may wait for a registry that limits requests.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Waits for a registry that fails and does not say how long.
    #[must_use]
    pub fn with_retry_for(self, retry_for: Duration) -> Self {
        Self { retry_for, ..self }
    }

    /// Calls `listener` with what a person should know. It must not block.
    #[must_use]
    pub fn with_listener(self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Self { listener: Listener::new(listener), ..self }
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

    /// Logs in as `user` with `password`: at `registry`, or at the host of a user that is written as
    /// `HOST=NAME`. Without either nothing changes. A user name may contain `=`: what looks like a host
    /// before it is one.
    #[must_use]
    pub fn with_login(self, registry: Option<&str>, user: &str, password: &str) -> Self {
        let (host, credentials) = Credentials::named(user, password);
        match host.or(registry) {
            Some(registry) => self.with_credentials(registry, credentials),
            None => self,
        }
    }

    /// Asks `ambient` for credentials where neither [`Self::with_credentials`] nor a file of Docker's
    /// or Podman's has any.
    #[must_use]
    pub fn with_ambient_credentials(self, ambient: Arc<dyn AmbientCredentials>) -> Self {
        Self { ambient: Some(ambient), ..self }
    }

    /// Says whether to read from configured mirrors.
    #[must_use]
    pub fn with_mirrors(self, mirrors: bool) -> Self {
        Self { mirrors, ..self }
    }

    /// Stores signatures in `repository`, and looks for them there.
    #[must_use]
    pub fn with_signature_repository(self, repository: Repository) -> Self {
        Self { signature_repository: Some(repository), ..self }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_internal_addresses: false,
            credentials: BTreeMap::new(),
            ambient: None,
            mirrors: false,
            signature_repository: None,
            signature_tags: true,
            patience: Duration::from_secs(180),
            retry_for: Duration::ZERO,
            listener: Listener::default(),
        }
    }
}
