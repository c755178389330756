//! Why there is no identity.

use std::path::PathBuf;

use id_token::{Absence, Broken};

/// Why [`detect`](crate::detect) found no token, or the sources could not be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file in which a user declares sources cannot be used.
    #[error("{}{}: {reason}", path.display(), at(*line))]
    Declaration {
        /// The file.
        path: PathBuf,
        /// Where in it, if that is known; the first line is 1.
        line: Option<usize>,
        /// What is wrong. Never holds a line of the file.
        reason: String,
    },
    /// A place that is ours has an identity for us, and it cannot be had.
    #[error("the identity of `{provider}` is here but cannot be used: {}", broken.reason)]
    Broken {
        /// The source's name.
        provider: String,
        /// What is wrong, and the mend.
        broken: Broken,
    },
    /// No place has a token for us.
    #[error("no ambient identity found")]
    Nothing {
        /// What was looked for where, in order.
        absent: Vec<(String, Absence)>,
        /// Places that may be ours and did not work.
        broken: Vec<(String, Broken)>,
    },
    /// The source that was asked for by name finds nothing here.
    #[error("the identity provider `{provider}` finds nothing here: {}", absence.evidence)]
    NotHere {
        /// The source's name.
        provider: String,
        /// What it looked for.
        absence: Absence,
    },
    /// There is no source of that name.
    #[error("there is no identity provider `{name}`, expected one of: {}", known.join(", "))]
    UnknownProvider {
        /// What was asked for.
        name: String,
        /// The names there are, in order of precedence.
        known: Vec<String>,
    },
}

fn at(line: Option<usize>) -> String {
    line.map(|line| format!(", line {line}")).unwrap_or_default()
}
