//! The process environment, and files read off the runtime's thread.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use host::{BoxFuture, Env, FileError};

/// The variables this process was started with, and its files.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnv;

impl SystemEnv {
    /// The names of all variables.
    #[expect(clippy::disallowed_methods, reason = "the real environment")]
    pub(crate) fn names() -> impl Iterator<Item = OsString> {
        std::env::vars_os().map(|(name, _)| name)
    }
}

impl Env for SystemEnv {
    #[expect(clippy::disallowed_methods, reason = "the real environment")]
    fn var_os(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn read<'a>(&'a self, path: &'a Path, cap: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        Box::pin(read_file(path.to_owned(), cap))
    }
}

/// Variables of a test with the files of this machine.
///
/// ```
/// # use ambisign_http_client as http_client;
/// use http_client::DiskEnv;
///
/// let env = DiskEnv([("HOME", "/tmp/home-of-a-test")]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskEnv<E>(pub E);

impl<E: Env> Env for DiskEnv<E> {
    fn var_os(&self, name: &str) -> Option<OsString> {
        self.0.var_os(name)
    }

    fn read<'a>(&'a self, path: &'a Path, cap: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        Box::pin(read_file(path.to_owned(), cap))
    }
}

/// Reads the file at `path` as [`host::read_file_or_fifo`] does, off the runtime's thread.
async fn read_file(path: PathBuf, cap: usize) -> Result<Vec<u8>, FileError> {
    let at = path.clone();
    let read = host::off_thread(move || host::read_file_or_fifo(&at, cap)).await;
    read.unwrap_or_else(|error| Err(FileError::from_io(&path, error)))
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn a_file_is_read_and_a_missing_one_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        assert_eq!(SystemEnv.read(file.path(), 5).await.unwrap(), b"hello");
        let error = SystemEnv.read(file.path(), 4).await.unwrap_err();
        assert!(matches!(error, FileError::TooLarge { cap: 4, .. }), "{error}");
        let error = SystemEnv.read(Path::new("/nonexistent/x"), 4).await.unwrap_err();
        assert!(matches!(error, FileError::NotFound { .. }), "{error}");
    }

    /// The runtime has one thread, and dropping it waits for its blocking tasks.
    #[test]
    fn a_pipe_that_stays_silent_neither_blocks_a_deadline_nor_the_end_of_the_runtime() {
        let mut silent = Command::new("sleep").arg("30").stdout(Stdio::piped()).spawn().unwrap();
        let pipe = silent.stdout.take().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&pipe);
        let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
        let started = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let read = runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(100), SystemEnv.read(&path, 100)).await
        });
        drop(runtime);
        assert!(read.is_err(), "the deadline acts: {read:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        silent.kill().unwrap();
        silent.wait().unwrap();
    }
}
