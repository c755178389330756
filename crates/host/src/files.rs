//! Reading files of unknown origin.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the regular file at `path`, at most `cap` bytes.
///
/// Looks before it opens, because opening a FIFO waits for a writer that may never come. It blocks
/// nevertheless where a file system hangs or the other end of `/dev/fd/N` is slow: on the thread of
/// an async runtime use `Env::read`.
///
/// # Errors
/// The path does not exist, is a directory, a socket or a FIFO, cannot be read, or holds more
/// than `cap` bytes.
pub fn read_file(path: &Path, cap: usize) -> Result<Vec<u8>, FileError> {
    read(path, cap, |_| false)
}

/// As [`read_file`], and a FIFO too: it blocks until the FIFO has a writer and the writer has ended.
///
/// # Errors
/// As of [`read_file`], but for a FIFO.
pub fn read_file_or_fifo(path: &Path, cap: usize) -> Result<Vec<u8>, FileError> {
    read(path, cap, is_fifo)
}

#[cfg(unix)]
fn is_fifo(metadata: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    metadata.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_fifo(_: &Metadata) -> bool {
    false
}

fn read(path: &Path, cap: usize, is_allowed: fn(&Metadata) -> bool) -> Result<Vec<u8>, FileError> {
    match read_once(path, cap, is_allowed) {
        // A volume of Kubernetes is renewed by replacing a link, whose old target is then removed.
        Err(FileError::NotFound { .. }) if path.is_symlink() => read_once(path, cap, is_allowed),
        answer => answer,
    }
}

fn read_once(
    path: &Path,
    cap: usize,
    is_allowed: fn(&Metadata) -> bool,
) -> Result<Vec<u8>, FileError> {
    let io = |source: std::io::Error| FileError::from_io(path, source);
    let metadata = std::fs::metadata(path).map_err(io)?;
    // What shells substitute for `<(command)`: there the writer is already present.
    let substituted = PIPES.into_iter().any(|pipes| path.starts_with(pipes));
    if !metadata.is_file() && !substituted && !is_allowed(&metadata) {
        return Err(FileError::not_a_file(path, &metadata));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(io)?
        .take((cap as u64).saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() > cap {
        return Err(FileError::TooLarge { path: path.to_owned(), cap });
    }
    Ok(bytes)
}

/// Where the pipes of this process are.
const PIPES: [&str; 3] = ["/dev/fd", "/dev/stdin", "/proc/self/fd"];

/// Why a file could not be read.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// Nothing is there.
    #[error("{} does not exist", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
    },
    /// A directory, a socket, a FIFO or a device.
    #[error("{} is {found}, expected a regular file", path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
        /// What it is: `a directory`.
        found: &'static str,
    },
    /// More bytes than the caller allows.
    #[error("{} is larger than the limit of {cap} bytes", path.display())]
    TooLarge {
        /// The path asked for.
        path: PathBuf,
        /// The limit, in bytes.
        cap: usize,
    },
    /// The operating system refused.
    #[error("{} could not be read", path.display())]
    Io {
        /// The path asked for.
        path: PathBuf,
        /// Its reason.
        source: Arc<std::io::Error>,
    },
}

impl FileError {
    /// The error for what is at `path` and is not a regular file, by its `metadata`.
    pub fn not_a_file(path: &Path, metadata: &Metadata) -> Self {
        let found = match metadata.is_dir() {
            true => "a directory",
            false if is_fifo(metadata) => "a FIFO",
            false => "a socket or a device",
        };
        Self::NotAFile { path: path.to_owned(), found }
    }

    /// The error for what the operating system said of `path`.
    pub fn from_io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::NotFound { path },
            _ => Self::Io { path, source: Arc::new(source) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ambisign-host-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_file_of_exactly_the_cap_is_read_and_one_byte_more_is_refused() {
        let path = scratch("cap");
        std::fs::write(&path, [7; 10]).unwrap();
        for cap in [10, usize::MAX] {
            assert_eq!(read_file(&path, cap).unwrap(), [7; 10]);
        }
        assert!(matches!(read_file(&path, 9), Err(FileError::TooLarge { cap: 9, .. })));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_directory_and_a_missing_file_are_told_apart() {
        let directory = std::env::temp_dir();
        let found = read_file(&directory, 9).unwrap_err().to_string();
        assert!(found.ends_with(" is a directory, expected a regular file"), "{found}");
        assert!(matches!(read_file(&scratch("missing"), 9), Err(FileError::NotFound { .. })));
    }

    #[cfg(unix)]
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the standard library makes no FIFO")]
    fn a_fifo_is_read_only_where_its_writer_may_be_waited_for() {
        let path = scratch("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(matches!(read_file(&path, 9), Err(FileError::NotAFile { .. })));
        let at = path.clone();
        let writer = std::thread::spawn(move || std::fs::write(at, "hello").unwrap());
        assert_eq!(read_file_or_fifo(&path, 9).unwrap(), b"hello");
        writer.join().unwrap();
        let zero = Path::new("/dev/zero");
        assert!(matches!(read_file_or_fifo(zero, 9), Err(FileError::NotAFile { .. })));
        std::fs::remove_file(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_is_refused_without_waiting() {
        let path = scratch("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(read_file(&path, 9), Err(FileError::NotAFile { .. })));
        drop(listener);
        std::fs::remove_file(&path).unwrap();
    }
}
