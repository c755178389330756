use host::TransportError;

/// Why there is no log entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log has this entry already, and a log of version 2 does not return existing entries:
    /// there is no proof of it. A new signature makes a new entry.
    #[error("the log at {url} already has this entry{} and does not return it again", at(.index))]
    Duplicate {
        /// The log.
        url: String,
        /// The entry's index, if the log named it.
        index: Option<u64>,
    },
    /// The log answered with an error.
    #[error("the log at {url} answered {status}: {message}")]
    Http {
        /// The log.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Its message, cut and escaped.
        message: String,
    },
    /// The answer is not a log entry.
    #[error("the answer of the log at {url} cannot be read: {reason}")]
    Malformed {
        /// The log.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The entry in the answer is not the one that was submitted.
    #[error("the log at {url} returned another entry: expected {what} {expected}, found {found}")]
    Mismatch {
        /// The log.
        url: String,
        /// What differs.
        what: &'static str,
        /// What was submitted.
        expected: String,
        /// What the entry has.
        found: String,
    },
    /// The log does not take requests of the size that the entry would have.
    #[error("the log at {url} takes no entry of {size} bytes: {answer}; it takes {takes} bytes")]
    TooLarge {
        /// The log.
        url: String,
        /// The size of the request, in bytes.
        size: usize,
        /// A size that it takes, at least half of its limit.
        takes: usize,
        /// How it refuses.
        answer: String,
    },
    /// The log did not answer.
    #[error("the request to the log failed")]
    Transport(#[source] TransportError),
    /// No log of this version accepts such an entry.
    #[error("the entry cannot be logged: {reason}")]
    Unloggable {
        /// Why not.
        reason: String,
    },
}

fn at(index: &Option<u64>) -> String {
    index.map_or_else(String::new, |index| format!(" at index {index}"))
}
