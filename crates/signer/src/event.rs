//! What a session reports while it works.

use std::time::SystemTime;

use host::Outage;

/// The identity in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Identity {
    /// The certificate's subject alternative name: a URI, an e-mail address or a user name.
    pub name: String,
    /// The OIDC issuer, as the certificate records it.
    pub issuer: String,
    /// The name of the source that the token came from.
    pub provider: String,
}

/// A step that begins, or something a person should know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The certificate was issued and leads to the trusted root.
    Certified {
        /// The identity in it.
        identity: &'a Identity,
        /// When it ends.
        not_after: SystemTime,
    },
    /// A token was found.
    Found {
        /// The source's name.
        provider: &'a str,
        /// What the source was detected by.
        evidence: &'a str,
    },
    /// The certificate authority is asked for a certificate.
    Requesting {
        /// Its URL.
        url: &'a str,
    },
    /// A log is asked for an entry, which may take as long as its checkpoint interval.
    Logging {
        /// Its URL.
        url: &'a str,
    },
    /// The identity source is asked for a token.
    Looking {
        /// The source's name.
        provider: &'a str,
    },
    /// A timestamp authority is asked for a timestamp.
    Stamping {
        /// Its URL.
        url: &'a str,
    },
    /// A service is down, and is asked again after a pause.
    Waiting(&'a Outage<'a>),
    /// Something unusual that does not stop the signing.
    Warning {
        /// What is unusual.
        text: &'a str,
    },
}

impl Event<'_> {
    /// What is waited for now, where the event says so.
    pub fn waits_for(&self) -> Option<String> {
        match self {
            Self::Looking { provider } => Some(format!("asking {provider} for a token")),
            Self::Requesting { url } => Some(format!("asking {url} for a certificate")),
            Self::Stamping { url } => Some(format!("asking {url} for a timestamp")),
            Self::Logging { url } => Some(format!("waiting for the log {url} (may take 10 s)")),
            _ => None,
        }
    }
}
