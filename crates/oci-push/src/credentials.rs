//! What a registry may be shown.

use std::fmt;
use std::time::Duration;

use host::BoxFuture;
use secrecy::SecretString;

/// Credentials for a registry. `Debug` shows no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Credentials {
    /// A user name and a password, or what a registry takes for one.
    Basic {
        /// The user name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// An OAuth2 refresh token, to be exchanged for an access token.
    IdentityToken(SecretString),
    /// An access token that is sent as it is.
    RegistryToken(SecretString),
}

impl Credentials {
    /// A user name and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::from_pair(username.into(), SecretString::from(password.into()))
    }

    /// As [`basic`](Self::basic), of a user written as `NAME` or `HOST=NAME`; and the host, where one
    /// stands there. A user name may contain `=`: what looks like a host before it is one.
    pub(crate) fn named<'a>(user: &'a str, password: &str) -> (Option<&'a str>, Self) {
        let is_host = |text: &str| text.contains(['.', ':']) || text == "localhost";
        match user.split_once('=') {
            Some((host, name)) if is_host(host) => (Some(host), Self::basic(name, password)),
            _ => (None, Self::basic(user, password)),
        }
    }

    /// An access token that is sent as it is.
    pub fn token(token: impl Into<String>) -> Self {
        Self::RegistryToken(SecretString::from(token.into()))
    }

    /// Docker's convention: with the user `<token>` the password is an identity token.
    pub(crate) fn from_pair(username: String, password: SecretString) -> Self {
        if username == TOKEN_USER {
            return Self::IdentityToken(password);
        }
        Self::Basic { username, password }
    }
}

/// Credentials that the machine or the job has by itself, such as a cloud's for the cloud's own
/// registry.
pub trait AmbientCredentials: fmt::Debug + Send + Sync {
    /// Those for `registry`, a host such as `ghcr.io` or `localhost:5000`; `None` where this source
    /// has none for it by design.
    ///
    /// # Errors
    /// Why a source that serves this registry has none, for a person. The registry is then asked
    /// without credentials, and its refusal repeats the reason.
    fn find<'a>(&'a self, registry: &'a str) -> BoxFuture<'a, Result<Option<Ambient>, String>>;
}

/// What [`AmbientCredentials`] found.
#[derive(Clone, Debug)]
pub struct Ambient {
    /// The credentials.
    pub credentials: Credentials,
    /// Where they are from, as in `credentials from GITHUB_TOKEN`.
    pub origin: String,
    /// How long they are used before they are asked for again.
    pub lifetime: Duration,
}

/// The user name that marks an identity token.
pub(crate) const TOKEN_USER: &str = "<token>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_before_the_user_is_told_from_a_user_with_an_equals_sign() {
        let host = |user| Credentials::named(user, "p").0;
        assert_eq!(host("registry.test=me"), Some("registry.test"));
        assert_eq!(host("localhost=me"), Some("localhost"));
        assert_eq!(host("o=me"), None);
        assert_eq!(host("me"), None);
    }

    #[test]
    fn debug_shows_no_secret() {
        let all = [
            Credentials::basic("user", "hunter2"),
            Credentials::token("hunter2"),
            Credentials::basic("<token>", "hunter2"),
        ];
        let shown = format!("{all:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("user"), "{shown}");
        assert!(matches!(all[2], Credentials::IdentityToken(_)));
    }
}
