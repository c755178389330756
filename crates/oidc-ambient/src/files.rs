//! Files that sources read: with a cap, and with a deadline.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::{Either, select};
use host::{FileError, Host, escape, scrub, with_causes};
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
    let bytes = text(host, path).await?;
    parsed("the file", &bytes).map_err(Problem::Unusable)
}

/// The text of the file at `path`, which may be a token.
pub(crate) async fn text(host: &Host, path: &Path) -> Result<String, Problem> {
    match read(host, path, TOKEN_CAP).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(FileError::NotFound { .. }) => Err(Problem::Missing),
        Err(error) => Err(Problem::Unusable(with_causes(&error))),
    }
}

/// Reads the file at `path`, at most `cap` bytes. A file system that does not answer, and a FIFO
/// without a writer, are waited for 10 seconds.
///
/// # Errors
/// Those of [`host::Env::read`]; a file that was waited for too long is [`FileError::Io`].
pub async fn read(host: &Host, path: &Path, cap: usize) -> Result<Vec<u8>, FileError> {
    // Begun only when the file is not there at once.
    let late = Box::pin(async { host.clock.sleep(DEADLINE).await });
    match select(host.env.read(path, cap), late).await {
        Either::Left((answer, _)) => answer.map_err(|error| renamed(error, path)),
        Either::Right(_) => {
            let reason = format!("it took longer than {} s", DEADLINE.as_secs());
            let late = io::Error::new(io::ErrorKind::TimedOut, reason);
            Err(FileError::from_io(Path::new(&shown(path)), late))
        }
    }
}

/// `path`, if it is one: a person may have put the secret itself where its path belongs.
pub fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    let is_path =
        path.is_absolute() && text.len() <= LONGEST_SHOWN && text == escape(&scrub(&text));
    if is_path { text } else { HIDDEN.to_owned() }
}

/// `error` with `path` as it may be shown.
fn renamed(error: FileError, path: &Path) -> FileError {
    let path = PathBuf::from(shown(path));
    match error {
        FileError::NotFound { .. } => FileError::NotFound { path },
        FileError::NotAFile { found, .. } => FileError::NotAFile { path, found },
        FileError::TooLarge { cap, .. } => FileError::TooLarge { path, cap },
        FileError::Io { source, .. } => FileError::Io { path, source },
        other => other,
    }
}

const HIDDEN: &str = "the file (not shown: its name is not a plain absolute path)";
const LONGEST_SHOWN: usize = 512;

const DEADLINE: Duration = Duration::from_secs(10);
