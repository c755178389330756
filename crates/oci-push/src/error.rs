//! What can go wrong with a registry, by what a caller can do about it.

use std::fmt;
use std::time::Duration;

use host::{FileError, ProgramError, TransportError};

/// What was being done with a repository.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Access {
    /// Reading.
    Pull,
    /// Writing.
    Push,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pull => "pull from",
            Self::Push => "push to",
        })
    }
}

/// Why a registry could not be used. No variant holds a credential, and the words of servers and
/// helpers are cut and escaped.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry failed (5xx) or gave an answer that no specification foresees. Nothing is known
    /// about the image.
    #[error("{request} was answered {status}{}", Detail(detail))]
    Answer {
        /// Method and URL, without its query.
        request: String,
        /// The HTTP status.
        status: u16,
        /// The registry's own words, or a part of them.
        detail: String,
    },
    /// Credentials are configured and cannot be read.
    #[error("the registry credentials of {origin} cannot be used: {reason}")]
    Credentials {
        /// The file or helper.
        origin: String,
        /// What is wrong with it.
        reason: String,
        /// The underlying failure, if there is one.
        #[source]
        source: Option<CredentialsSource>,
    },
    /// The credentials are accepted, or not needed, and do not permit this.
    #[error("not permitted to {access} {repository} ({credentials}){}", Detail(detail))]
    Denied {
        /// The repository.
        repository: String,
        /// What was refused.
        access: Access,
        /// Where the credentials came from; never what they are.
        credentials: String,
        /// The registry's own words.
        detail: String,
    },
    /// The registry's answer contradicts itself or the specification: a digest that is not that of
    /// the bytes, a document over its limit, malformed JSON.
    #[error("{what} cannot be used: {reason}")]
    Invalid {
        /// Which document.
        what: String,
        /// Expected and found.
        reason: String,
    },
    /// The registry answered that it does not have this.
    #[error("{what} does not exist{}", Detail(detail))]
    NotFound {
        /// The image, tag or repository.
        what: String,
        /// The registry's own words.
        detail: String,
    },
    /// Other writers kept replacing the list of referrers under the fallback tag. The signature's
    /// manifest is in the registry and not listed.
    #[error(
        "other writers replaced the list of signatures under {tag} {attempts} times in a row; the \
         signature {manifest} is stored but not listed"
    )]
    Overwritten {
        /// The repository and fallback tag.
        tag: String,
        /// The digest of the manifest that is stored.
        manifest: String,
        /// How often it was written.
        attempts: u32,
    },
    /// The registry, or its token service, limits the rate of requests. Nothing is known about the
    /// image.
    #[error("{registry} limits the rate of requests{}", AfterText(*retry_after))]
    RateLimited {
        /// The registry's host.
        registry: String,
        /// How long to wait, if it said so.
        retry_after: Option<Duration>,
    },
    /// A text is not an image reference, repository or digest.
    #[error("{text:?} is not an image reference: {reason}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it, and how to write it.
        reason: String,
    },
    /// There was no answer.
    #[error("{registry} could not be reached")]
    Transport {
        /// The registry's host, or its token service's.
        registry: String,
        /// Why.
        source: TransportError,
    },
    /// The registry asks for credentials, or refuses those it was given.
    #[error(
        "the registry requires credentials to {access} {repository} ({credentials}){}",
        Detail(detail)
    )]
    Unauthorized {
        /// The repository.
        repository: String,
        /// What was attempted.
        access: Access,
        /// Which credentials were refused, or that none were found; never what they are.
        credentials: String,
        /// The registry's own words.
        detail: String,
    },
}

/// What made a credential file or a helper unusable.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsSource {
    /// Reading the file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Running the helper.
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// Why a document of the registry cannot be read. The parser repeats names and texts of the
/// document, so that they are escaped.
pub(crate) fn not_json(what: &str, error: &serde_json::Error) -> String {
    format!("it is not {what}: {}", host::escape_remote(&error.to_string()))
}

impl Error {
    /// The error for a part that `index` lists. If the part is missing, the index is broken; it is not
    /// "not found", because the index itself exists.
    pub(crate) fn of_part(self, index: &str) -> Self {
        match self {
            Self::NotFound { what, .. } => {
                let reason = format!("it lists {what}, which is not there");
                Self::Invalid { what: format!("the index {index}"), reason }
            }
            error => error,
        }
    }
}

struct Detail<'a>(&'a str);

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

struct AfterText(Option<Duration>);

impl fmt::Display for AfterText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(after) => write!(f, "; it asks to wait {} s", after.as_secs()),
            None => Ok(()),
        }
    }
}
