//! Where a declared source has its token.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Method};

/// The kinds of sources that can be declared. Texts may hold the marks of
/// [`template`](super::template).
pub(crate) enum Place {
    /// What a program writes.
    Exec {
        program: String,
        args: Vec<String>,
        /// Of [`host::Invocation::SECRETS`], those that it is for.
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
