use host::TransportError;

/// Why there is no log entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log has this very entry already, and a log of version 2 hands out no entries: without
    /// the proof it is of no use. A signature made afresh makes another entry.
    #[error("the log at {url} already has this entry{}, and does not hand it out again", at(.index))]
    Duplicate {
        /// Whom we asked.
        url: String,
        /// Where in the log it is, if it said.
        index: Option<u64>,
    },
    /// The log answered with an error.
    #[error("the log at {url} answered {status}: {message}")]
    Http {
        /// Whom we asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// What it said, cut and escaped.
        message: String,
    },
    /// The log's answer is not a log entry.
    #[error("the answer of the log at {url} cannot be read: {reason}")]
    Malformed {
        /// Whom we asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The log answered an entry of something else than what was submitted.
    #[error("the log at {url} answered another entry: expected {what} {expected}, found {found}")]
    Mismatch {
        /// Whom we asked.
        url: String,
        /// What differs.
        what: &'static str,
        /// What was submitted.
        expected: String,
        /// What the entry has.
        found: String,
    },
    /// No answer.
    #[error("the log could not be asked")]
    Transport(#[source] TransportError),
    /// No log of this version takes such an entry.
    #[error("this cannot be logged: {reason}")]
    Unloggable {
        /// Why not.
        reason: String,
    },
}

fn at(index: &Option<u64>) -> String {
    index.map_or_else(String::new, |index| format!(" at index {index}"))
}
