//! What a session tells while it works.

use std::time::SystemTime;

use crate::Identity;

/// A step of the ceremony that begins, or something a person should know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The certificate was issued and leads to the trusted root.
    Certified {
        /// Whom it names.
        identity: &'a Identity,
        /// When it ends.
        not_after: SystemTime,
    },
    /// A token was found.
    Found {
        /// The source's name.
        provider: &'a str,
        /// Why the source believes to be the right one.
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
    /// An oddity that stops nothing.
    Warning {
        /// What is odd.
        text: &'a str,
    },
}
