//! Why there is no SVID.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use id_token::SpiffeId;

use crate::endpoint::Endpoint;

/// The most identities in the text of an error.
const MOST_SHOWN: usize = 20;

/// Why there is no SVID, by what a caller can do about it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A text is not what it should be: an address, a SPIFFE ID, a bundle.
    #[error("{found:?} is not {expected}: {reason}")]
    Malformed {
        /// What it should be.
        expected: &'static str,
        /// The text, cut to what can be shown.
        found: String,
        /// Which rule it breaks, and for the usual mistakes how to write it.
        reason: String,
    },
    /// The connection could not be opened.
    #[error("cannot connect to {endpoint}: {why}")]
    Unreachable {
        /// The Workload API.
        endpoint: Endpoint,
        /// The kind of failure.
        why: Unreachable,
        /// The operating system's reason.
        source: Arc<std::io::Error>,
    },
    /// The server does not speak gRPC, or broke the connection.
    #[error("the server at {endpoint} does not answer as a SPIFFE Workload API: {reason}")]
    NotGrpc {
        /// The Workload API.
        endpoint: Endpoint,
        /// What it did.
        reason: String,
    },
    /// The deadline passed.
    #[error("no answer from {endpoint} within {after:?}")]
    TimedOut {
        /// The Workload API.
        endpoint: Endpoint,
        /// The deadline.
        after: Duration,
    },
    /// This process has no identity (PERMISSION_DENIED), or others than the one asked for. Soon
    /// after a registration that can change, so it is worth trying again for some seconds.
    #[error("{endpoint} {}", refusal(asked.as_ref(), offered, message))]
    NoIdentity {
        /// The Workload API.
        endpoint: Endpoint,
        /// The identity asked for, unless this process has no identity at all.
        asked: Option<SpiffeId>,
        /// The identities that this process has instead, as far as the API told them.
        offered: Vec<Offer>,
        /// The server's words, or which part of the choice none of the identities fits.
        message: String,
    },
    /// Every other refusal: asking again will not help.
    #[error("{endpoint} refuses the request with {code}: {message}")]
    Refused {
        /// The Workload API.
        endpoint: Endpoint,
        /// The name of the gRPC status code, `INVALID_ARGUMENT` for example.
        code: &'static str,
        /// The server's words.
        message: String,
    },
    /// UNAVAILABLE: the agent is starting, overloaded, or cut off from its server. Worth trying
    /// again.
    #[error("{endpoint} cannot serve now: {message}")]
    Unavailable {
        /// The Workload API.
        endpoint: Endpoint,
        /// The server's words.
        message: String,
    },
    /// There are several identities and no choice was made. Their order in the answer means nothing,
    /// so that taking the first would pick one by chance.
    #[error("this process has several SPIFFE identities: {}", Offer::list(offered))]
    Several {
        /// All of them.
        offered: Vec<Offer>,
    },
    /// An SVID, or the socket of a Workload API, does not pass the checks.
    #[error("the {kind} cannot be trusted: {reason}")]
    Untrusted {
        /// `JWT-SVID`, `X.509-SVID` or `socket`.
        kind: &'static str,
        /// What is wrong: expected and found.
        reason: String,
    },
    /// The answer breaks the Workload API's own rules.
    #[error("the answer of {endpoint} cannot be used: {reason}")]
    InvalidAnswer {
        /// The Workload API.
        endpoint: Endpoint,
        /// What is wrong: expected and found.
        reason: String,
    },
}

/// Why a connection could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unreachable {
    /// The socket does not exist.
    Missing,
    /// The file is not a socket.
    NotASocket,
    /// Other.
    Other,
    /// This process may not open the socket, or not enter a directory above it.
    PermissionDenied,
    /// The socket exists and no server listens on it.
    Refused,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the socket does not exist",
            Self::NotASocket => "the file is not a socket",
            Self::Other => "the operating system gives another reason",
            Self::PermissionDenied => "permission denied",
            Self::Refused => "no server listens on it",
        })
    }
}

/// An identity that a process may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Offer {
    /// Its SPIFFE ID.
    pub spiffe_id: SpiffeId,
    /// What the operator says it is for, as the Workload API sent it; may be empty.
    pub hint: String,
}

impl Offer {
    pub(crate) fn list(offers: &[Self]) -> String {
        let mut texts: Vec<String> =
            offers.iter().take(MOST_SHOWN).map(ToString::to_string).collect();
        match offers.len().saturating_sub(MOST_SHOWN) {
            0 => {}
            more => texts.push(format!("and {more} more")),
        }
        texts.join(", ")
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hint.is_empty() {
            write!(f, "{}", self.spiffe_id)
        } else {
            write!(f, "{} (hint \"{}\")", self.spiffe_id, host::escape_remote(&self.hint))
        }
    }
}

fn refusal(asked: Option<&SpiffeId>, offered: &[Offer], message: &str) -> String {
    let refused = match (asked, offered) {
        (Some(id), _) => format!("does not issue {id} to this process"),
        (None, []) => "issues no identity to this process".to_owned(),
        (None, _) => "does not issue the identity asked for to this process".to_owned(),
    };
    let offers = match offered {
        [] => String::new(),
        offered => format!("it issues {}", Offer::list(offered)),
    };
    let reasons = [message, &offers].into_iter().filter(|reason| !reason.is_empty());
    format!("{refused}: {}", reasons.collect::<Vec<_>>().join("; "))
}

/// A SPIFFE ID or trust domain that is not one.
impl From<id_token::Error> for Error {
    fn from(error: id_token::Error) -> Self {
        match error {
            id_token::Error::Spiffe { expected, found, reason } => {
                Self::Malformed { expected, found, reason: reason.to_owned() }
            }
            other => Self::Malformed {
                expected: "SPIFFE ID",
                found: String::new(),
                reason: other.to_string(),
            },
        }
    }
}
