//! Why a login failed.

use std::time::Duration;

use host::TransportError;

use crate::Untrusted;

/// Why a login did not end with an identity token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A document of the issuer is not what it must be.
    #[error("the {what} of {issuer} cannot be used: {reason}")]
    Answer {
        /// Which document.
        what: &'static str,
        /// The issuer.
        issuer: String,
        /// Expected and found.
        reason: String,
    },
    /// The login was not finished in time.
    #[error("the login in {place} was not finished within {after:?}")]
    Deadline {
        /// Where the login was to happen.
        place: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The user or the issuer's policy denied the login.
    #[error("the login was denied{}", detail(description))]
    Denied {
        /// The issuer's words.
        description: Option<String>,
    },
    /// The person could not be asked for a code, or gave none.
    #[error("no code was typed in: {reason}")]
    NoCode {
        /// Why.
        reason: String,
    },
    /// The issuer refuses.
    #[error("the {what} of {issuer} answered with an error: {error}{}", detail(description))]
    Refused {
        /// Which endpoint.
        what: &'static str,
        /// The issuer.
        issuer: String,
        /// The error code of OAuth, or the HTTP status.
        error: String,
        /// The issuer's words.
        description: Option<String>,
    },
    /// Something on this machine does not work: the port to listen on, the redirect URL, the
    /// random numbers.
    #[error("{what}")]
    Setup {
        /// What does not work.
        what: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The issuer gave no answer.
    #[error("the {what} of {issuer} did not answer")]
    Transport {
        /// Which endpoint.
        what: &'static str,
        /// The issuer.
        issuer: String,
        /// What happened on the way.
        source: TransportError,
    },
    /// The issuer does not have what this login needs.
    #[error("{issuer} does not offer {what}")]
    Unsupported {
        /// The issuer.
        issuer: String,
        /// What is missing.
        what: &'static str,
    },
    /// The identity token did not verify.
    #[error("the identity token of {issuer} cannot be trusted")]
    Untrusted {
        /// The issuer.
        issuer: String,
        /// The check that failed.
        source: Untrusted,
    },
    /// The browser came back with the answer to another login.
    #[error("the browser came back with an answer that does not belong to this login: {reason}")]
    WrongState {
        /// Expected and found.
        reason: &'static str,
    },
}

impl Error {
    pub(crate) fn setup(
        what: impl Into<String>,
    ) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        let what = what.into();
        move |source| Self::Setup { what, source }
    }
}

fn detail(description: &Option<String>) -> String {
    description.as_deref().map(|text| format!(": {text}")).unwrap_or_default()
}
