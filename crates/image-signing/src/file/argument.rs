//! A file as a person names it, and its content.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bundle::Subject;
use host::FileError;
use keys::{Digest, HashAlgorithm, Hasher};

use crate::file::error::Error;
use crate::file::write;

/// A file as a command line names it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FileArgument {
    /// The file at this path.
    File(PathBuf),
    /// stdin where something is read, stdout where something is written.
    Standard,
}

impl FileArgument {
    /// Reads an argument: `-` is stdin or stdout, anything else a path.
    pub fn parse(argument: impl Into<PathBuf>) -> Self {
        let path = argument.into();
        if path.as_os_str() == "-" { Self::Standard } else { Self::File(path) }
    }

    /// The path, or `-`.
    pub fn as_path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Standard => Path::new("-"),
        }
    }

    /// Whether this is stdin or stdout.
    pub fn is_standard(&self) -> bool {
        *self == Self::Standard
    }

    /// Checks that the file can be written, before there is anything to write. stdout can.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn check_writable(&self) -> Result<(), Error> {
        let Self::File(path) = self else { return Ok(()) };
        let failed = |source| Error::Write { path: path.clone(), source };
        write::check_writable(path).map_err(failed)
    }

    /// The whole content, at most `cap` bytes. The writer of a FIFO is waited for.
    ///
    /// # Errors
    /// As [`host::read_file_or_fifo`].
    pub async fn read(&self, cap: usize) -> Result<Vec<u8>, FileError> {
        self.read_by(host::read_file_or_fifo, cap).await
    }

    /// As [`read`](Self::read), but refuses a FIFO: for a file that is looked for beside another and that
    /// the user did not name.
    pub(crate) async fn read_regular(&self, cap: usize) -> Result<Vec<u8>, FileError> {
        self.read_by(host::read_file, cap).await
    }

    async fn read_by(&self, read: ReadFile, cap: usize) -> Result<Vec<u8>, FileError> {
        let from = self.clone();
        let read = host::off_thread(move || match from {
            Self::File(path) => read(&path, cap),
            Self::Standard => read_stdin(cap),
        });
        read.await.unwrap_or_else(|error| Err(FileError::from_io(self.as_path(), error)))
    }

    /// The digests by `algorithms`, of the content read once and as a stream.
    ///
    /// # Errors
    /// It does not exist, is a directory, or cannot be read.
    pub async fn digests(&self, algorithms: &[HashAlgorithm]) -> Result<Vec<Digest>, FileError> {
        let (from, algorithms) = (self.clone(), algorithms.to_vec());
        let hash = move || {
            let mut hashers: Vec<_> = algorithms.into_iter().map(Hasher::new).collect();
            from.feed(|chunk| hashers.iter_mut().for_each(|hasher| hasher.update(chunk)))?;
            Ok(hashers.into_iter().map(Hasher::finish).collect())
        };
        let done = host::off_thread(hash).await.and_then(|done| done);
        done.map_err(|error| FileError::from_io(self.as_path(), error))
    }

    /// The file as the subject of an attestation: its name, and the SHA-256 digest that is `known`
    /// or else read.
    ///
    /// # Errors
    /// As [`digests`](Self::digests).
    pub async fn subject(&self, known: Option<Digest>) -> Result<Subject, FileError> {
        let digest = match known {
            Some(digest) => Some(digest),
            None => self.digests(&[HashAlgorithm::Sha256]).await?.pop(),
        };
        let name = self.as_path().file_name().map(|name| name.to_string_lossy().into_owned());
        let hex = digest.map(|digest| ("sha256".to_owned(), digest.to_hex()));
        let digests = hex.into_iter().collect();
        Ok(Subject { name, digests, annotations: BTreeMap::new() })
    }

    /// Gives `take` the content, a chunk at a time. Blocks.
    pub(crate) fn feed(&self, take: impl FnMut(&[u8])) -> io::Result<()> {
        match self {
            Self::Standard => feed(io::stdin().lock(), take),
            // Refused here rather than on reading, which says less.
            Self::File(path) if path.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Self::File(path) => feed(File::open(path)?, take),
        }
    }
}

impl fmt::Display for FileArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_path().display().fmt(f)
    }
}

type ReadFile = fn(&Path, usize) -> Result<Vec<u8>, FileError>;

fn read_stdin(cap: usize) -> Result<Vec<u8>, FileError> {
    let path = Path::new("stdin");
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(cap as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| FileError::from_io(path, error))?;
    if bytes.len() > cap {
        return Err(FileError::TooLarge { path: path.to_owned(), cap });
    }
    Ok(bytes)
}

fn feed(mut input: impl Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK + CACHE_LINE];
    // The kernel copies to an address between two cache lines at a third of the speed.
    let start = buffer.as_ptr().align_offset(CACHE_LINE).min(CACHE_LINE);
    let chunk = buffer.get_mut(start..start + CHUNK).unwrap_or_default();
    loop {
        match input.read(chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => take(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

const CACHE_LINE: usize = 64;
const CHUNK: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_of_several_chunks_is_hashed_by_several_algorithms_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let data = vec![7; CHUNK * 2 + 1];
        std::fs::write(file.path(), &data).unwrap();
        let algorithms = [HashAlgorithm::Sha256, HashAlgorithm::Sha512];
        let digests = FileArgument::parse(file.path()).digests(&algorithms).await.unwrap();
        assert_eq!(digests, algorithms.map(|algorithm| Digest::of(algorithm, &data)));
    }

    #[tokio::test]
    async fn a_directory_is_not_hashed() {
        let directory = tempfile::tempdir().unwrap();
        let error = FileArgument::parse(directory.path()).digests(&[]).await.unwrap_err();
        assert!(
            matches!(&error, FileError::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory)
        );
    }
}
