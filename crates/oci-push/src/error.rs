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

/// Why a registry could not be used. No variant ever holds a credential, and what a server or a
/// helper said is cut and escaped.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The registry answered something that no specification foresees, or has an error of its own
    /// (5xx). Nothing is known about the image.
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
    /// We are known, or need not be, and may not do this.
    #[error("the registry does not let us {access} {repository} ({credentials}){}", Detail(detail))]
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
    /// the bytes, a document over its limit, JSON that is none.
    #[error("{what} is not acceptable: {reason}")]
    Invalid {
        /// Which document.
        what: String,
        /// Expected and found.
        reason: String,
    },
    /// The registry answered, and there is no such thing in it.
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
        "the list of signatures under {tag} was replaced by other writers {attempts} times in a \
         row; the signature {manifest} is stored but not listed"
    )]
    Overwritten {
        /// The repository and fallback tag.
        tag: String,
        /// The digest of the manifest that is stored.
        manifest: String,
        /// How often it was written.
        attempts: u32,
    },
    /// The registry, or its token service, wants us to come back later. Nothing is known about the
    /// image.
    #[error("{registry} limits the rate of requests{}", AfterText(*retry_after))]
    RateLimited {
        /// Who.
        registry: String,
        /// When to come back, if it said so.
        retry_after: Option<Duration>,
    },
    /// A text is no image reference, repository or digest.
    #[error("{text:?} is not usable as an image reference: {reason}")]
    Reference {
        /// The text.
        text: String,
        /// What is wrong with it, and the mend.
        reason: String,
    },
    /// No answer at all.
    #[error("{registry} could not be reached")]
    Transport {
        /// The registry's host, or its token service's.
        registry: String,
        /// Why.
        source: TransportError,
    },
    /// The registry wants to know who we are, or does not accept what we said.
    #[error(
        "the registry wants authentication to {access} {repository} ({credentials}){}",
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

/// Why a document of the registry is not what it should be. The parser repeats names and texts of
/// the document, which are whatever its author wrote.
pub(crate) fn not_json(what: &str, error: &serde_json::Error) -> String {
    format!("it is not {what}: {}", host::escape_remote(&error.to_string()))
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
            Some(after) => write!(f, "; it asks to come back after {} s", after.as_secs()),
            None => Ok(()),
        }
    }
}
