//! Tokens in files.

use std::path::Path;
use std::time::Duration;

use futures_util::future::{Either, select};
use host::{FileError, Host, with_causes};
use id_token::{IdToken, TOKEN_CAP};

use crate::outcome::parsed;

/// Why a file gives no token.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It does not exist.
    Missing,
    /// Anything else, for a person.
    Unusable(String),
}

/// The token in the file at `path`, read anew each time: it may be rotated.
pub(crate) async fn token(host: &Host, path: &Path) -> Result<IdToken, Problem> {
    let bytes = read(host, path).await?;
    parsed("the file", &String::from_utf8_lossy(&bytes)).map_err(Problem::Unusable)
}

/// Reads the file at `path`. A file system that does not answer is waited for only so long.
pub(crate) async fn read(host: &Host, path: &Path) -> Result<Vec<u8>, Problem> {
    // Begun only when the file is not there at once.
    let late = Box::pin(async { host.clock.sleep(DEADLINE).await });
    match select(host.env.read(path, TOKEN_CAP), late).await {
        Either::Left((Ok(bytes), _)) => Ok(bytes),
        Either::Left((Err(FileError::NotFound { .. }), _)) => Err(Problem::Missing),
        Either::Left((Err(error), _)) => Err(Problem::Unusable(with_causes(&error))),
        Either::Right(_) => Err(Problem::Unusable(format!(
            "reading {} took longer than {} s",
            path.display(),
            DEADLINE.as_secs()
        ))),
    }
}

/// What stays behind a mount that hangs, or behind a FIFO without a writer.
const DEADLINE: Duration = Duration::from_secs(10);
