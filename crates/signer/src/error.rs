//! Why there is no signature.

use id_token::{Absence, Broken};

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The certificate authority gave no certificate.
    #[error("no certificate from {url}")]
    Certificate {
        /// The certificate authority.
        url: String,
        /// What went wrong.
        source: Box<fulcio_client::Error>,
    },
    /// A key could not be made or used, or the parts do not make a bundle.
    #[error("the signature could not be made")]
    Craft(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is an identity here, and it does not work.
    #[error("the identity source {provider} does not work: {}", broken.reason)]
    IdentityBroken {
        /// The source's name.
        provider: String,
        /// What it found and what is wrong.
        broken: Box<Broken>,
    },
    /// The identity source is not here.
    #[error("no identity token from {provider}: {}", absence.evidence)]
    IdentityMissing {
        /// The source's name.
        provider: String,
        /// What was looked for.
        absence: Absence,
    },
    /// A transparency log did not take the entry.
    #[error("no log entry from {url}")]
    Log {
        /// The log.
        url: String,
        /// What went wrong.
        source: Box<rekor_client::Error>,
    },
    /// The token would be refused, so that it was not sent.
    #[error("the identity token from {provider} would be refused")]
    Preflight {
        /// The source's name.
        provider: String,
        /// Which claim is wrong.
        source: Box<fulcio_client::preflight::Refusal>,
    },
    /// The signing configuration selects no usable set of services.
    #[error("the signing config names no usable set of services")]
    Services(#[source] Box<trust_root::Error>),
    /// A timestamp authority gave no timestamp.
    #[error("no timestamp from {url}")]
    Timestamp {
        /// The authority.
        url: String,
        /// What went wrong.
        source: Box<tsa_client::Error>,
    },
    /// Our own signature or certificate does not verify: the trusted root belongs to another
    /// instance than the services, or a service misbehaves.
    #[error("what the services gave us does not verify under the trusted root")]
    Untrusted(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No signature made this way could ever be verified, so that nothing was asked for.
    #[error("no verifiable signature can be made: {reason}")]
    Unverifiable {
        /// What is missing.
        reason: String,
    },
}

impl Error {
    pub(crate) fn craft(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Craft(source.into())
    }
}

impl From<trust_root::Error> for Error {
    fn from(source: trust_root::Error) -> Self {
        Self::Services(Box::new(source))
    }
}
