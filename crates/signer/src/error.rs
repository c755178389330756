//! Why there is no signature.

use host::{TransportError, retry};
use http::StatusCode;
use id_token::{Absence, Broken};

use crate::record::LogRecord;

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
    #[error("no log entry from {url}{}", elsewhere(logged, source))]
    Log {
        /// The log.
        url: String,
        /// Where the signature is logged nevertheless: an entry cannot be taken back.
        logged: Vec<LogRecord>,
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
    /// Whether a service is down or overloaded: it may do later what it did not do now.
    pub fn is_outage(&self) -> bool {
        use {fulcio_client::Error as Fulcio, tsa_client::Error as Tsa};

        match self {
            Self::Log { source, .. } => is_outage_of_log(source),
            Self::Certificate { source, .. } => match &**source {
                Fulcio::Http { status, .. } => is_transient(*status),
                Fulcio::Transport(error) => is_lost(error),
                _ => false,
            },
            Self::Timestamp { source, .. } => match &**source {
                Tsa::Http { status, .. } => is_transient(*status),
                Tsa::Transport(error) => is_lost(error),
                _ => false,
            },
            _ => false,
        }
    }

    pub(crate) fn craft(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Craft(source.into())
    }
}

impl From<trust_root::Error> for Error {
    fn from(source: trust_root::Error) -> Self {
        Self::Services(Box::new(source))
    }
}

/// Whether a log is down or overloaded.
pub(crate) fn is_outage_of_log(error: &rekor_client::Error) -> bool {
    match error {
        rekor_client::Error::Http { status, .. } => is_transient(*status),
        rekor_client::Error::Transport(error) => is_lost(error),
        _ => false,
    }
}

fn is_transient(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(retry::is_transient)
}

fn is_lost(error: &TransportError) -> bool {
    use TransportError::{Broken, Connect, Timeout};

    matches!(error, Broken { .. } | Connect { .. } | Timeout { .. })
}

/// Where the signature is logged nevertheless.
fn elsewhere(logged: &[LogRecord], source: &rekor_client::Error) -> String {
    let entry = |record: &LogRecord| format!("entry {} of {}", record.index, record.url);
    let entries: Vec<_> = logged.iter().map(entry).collect();
    match (entries.is_empty(), is_unanswered(source)) {
        (false, _) => format!(", but the signature is logged: {}", entries.join(", ")),
        (true, true) => ", which may have logged the signature nevertheless".to_owned(),
        (true, false) => ", so that the signature is in no log".to_owned(),
    }
}

/// Whether the request may have been taken, and its answer lost.
pub(crate) fn is_unanswered(error: &rekor_client::Error) -> bool {
    use TransportError::{Broken, Timeout};
    use rekor_client::Error::Transport;

    matches!(error, Transport(Broken { .. } | Timeout { .. }))
}
