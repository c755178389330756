//! A declared source, checked.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};

/// One declared source.
pub(crate) struct Declaration {
    pub(crate) name: String,
    /// Only where this variable is set.
    pub(crate) when: Option<String>,
    /// Where in the answer the token is; `None` takes the whole text, or the usual fields.
    pub(crate) field: Option<String>,
    pub(crate) kind: Kind,
}

/// Where it has its token. Texts may hold the marks of the templates.
pub(crate) enum Kind {
    /// What a program writes.
    Exec {
        program: String,
        args: Vec<String>,
        /// Of [`id_token::SECRET_VARIABLES`], those that it is for.
        pass: Vec<String>,
        timeout: Duration,
    },
    /// A file.
    File(PathBuf),
    /// A variable.
    Env(String),
    /// What a service answers.
    Http {
        url: String,
        method: Method,
        headers: Vec<(HeaderName, String)>,
        body: Option<String>,
        socket: Option<PathBuf>,
    },
}
