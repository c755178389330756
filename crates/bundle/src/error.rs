use crate::constants::{MEDIA_TYPE_V0_3, STATEMENT_TYPE_V1};

/// Why a bundle, envelope, statement or log entry cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field is missing, of the wrong type, unknown, or there twice.
    #[error("{path}: {problem}")]
    Field {
        /// Where in the document, as `verificationMaterial.tlogEntries[0].logIndex`.
        path: String,
        /// What is wrong with it: expected and found.
        problem: String,
    },
    /// Not one well-formed JSON document; the position is in the source.
    #[error("not well-formed JSON")]
    Json(#[source] serde_json::Error),
    /// More of something than this reader takes.
    #[error("{found} {what}, at most {limit} are allowed")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
        /// How many there are.
        found: usize,
    },
    /// The body of a log entry is of a kind that this crate does not read.
    #[error(
        "unknown kind of log entry {} {}, expected hashedrekord 0.0.1 or 0.0.2, dsse 0.0.1 or \
         intoto 0.0.2",
        quote(kind),
        quote(version)
    )]
    LogKind {
        /// The `kind` found, as it is in the body.
        kind: String,
        /// The `apiVersion` found, as it is in the body.
        version: String,
    },
    /// The media type is none of v0.1 to v0.3.
    #[error("unknown bundle media type {found}, expected {expected}", expected = MEDIA_TYPE_V0_3)]
    MediaType {
        /// The media type found, quoted, or `(none)`.
        found: String,
    },
    /// Every field can be read, but together they break a rule of the format.
    #[error("{path}: {problem}")]
    Rule {
        /// Where in the document.
        path: String,
        /// Which rule, with expected and found.
        problem: String,
    },
    /// The `_type` of a statement is not one of in-toto's.
    #[error("unknown statement type {found}, expected {expected}", expected = STATEMENT_TYPE_V1)]
    StatementType {
        /// The type found, quoted.
        found: String,
    },
    /// The document is larger than what is read.
    #[error("{found} bytes, at most {limit} are read")]
    TooLarge {
        /// The largest size read, in bytes.
        limit: usize,
        /// The size found, in bytes.
        found: usize,
    },
}

impl Error {
    pub(crate) fn field(path: &str, problem: impl Into<String>) -> Self {
        Self::Field { path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn rule(path: &str, problem: impl Into<String>) -> Self {
        Self::Rule { path: path.to_owned(), problem: problem.into() }
    }
}

/// `text` in quotes, escaped and cut: names in a document are whatever its author wrote.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 120;
    match text.char_indices().nth(SHOWN) {
        None => format!("\"{}\"", text.escape_default()),
        Some((end, _)) => format!("\"{}...\"", text[..end].escape_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn quoting_escapes_control_characters_and_cuts() {
        assert_eq!(quote("a\u{1b}[0m"), "\"a\\u{1b}[0m\"");
        assert!(quote(&"x".repeat(10_000)).len() < 200);
    }
}
