//! What a registry is logged in to with.

use std::time::Duration;

use secrecy::SecretString;

/// What a registry takes as credentials.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RegistryLogin {
    /// The user name; `None` where `secret` is an OAuth2 refresh token (Azure).
    pub username: Option<String>,
    /// The password or refresh token.
    pub secret: SecretString,
    /// Where it is from, for a person: `the identity of this machine at Google Cloud`.
    pub origin: String,
    /// How long it may be used; then it is to be asked for again.
    pub lifetime: Duration,
}

impl RegistryLogin {
    pub(crate) fn password(username: &str, secret: SecretString, origin: &str) -> Self {
        let (username, origin) = (Some(username.to_owned()), origin.to_owned());
        Self { username, secret, origin, lifetime: REUSE }
    }
}

/// Which registries are logged in to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keychain {
    /// Those of the place itself: a cloud's registry with the cloud's identity, and the registry of
    /// the platform whose job this is.
    #[default]
    Place,
    /// The same, and `ghcr.io` with `GITHUB_TOKEN` outside of a job too, as `--k8s-keychain` of
    /// cosign has it.
    Everything,
}

/// Shorter than the least time that a metadata service's access token still has.
pub(crate) const REUSE: Duration = Duration::from_secs(240);
