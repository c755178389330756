//! Files to sign and bundles to write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use keys::{Digest, HashAlgorithm, Hasher};

/// The digest of the file at `path`, or of stdin for `-`. Read on a thread of its own, so that
/// Ctrl-C and the deadline are heard while a slow pipe is waited for.
pub(crate) async fn digest(path: PathBuf, algorithm: HashAlgorithm) -> io::Result<Digest> {
    let work = move || digest_blocking(&mut *open(&path)?, algorithm);
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// As [`digest`], by several algorithms at once.
pub(crate) async fn digests(
    path: PathBuf,
    algorithms: Vec<HashAlgorithm>,
) -> io::Result<Vec<Digest>> {
    let work = move || digests_blocking(&mut *open(&path)?, &algorithms);
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn digest_blocking(input: &mut dyn Read, algorithm: HashAlgorithm) -> io::Result<Digest> {
    let digest = digests_blocking(input, &[algorithm])?.pop();
    digest.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Hashes `input` to its end, in constant memory.
fn digests_blocking(input: &mut dyn Read, algorithms: &[HashAlgorithm]) -> io::Result<Vec<Digest>> {
    let mut hashers: Vec<_> = algorithms.iter().map(|algorithm| Hasher::new(*algorithm)).collect();
    let mut chunk = vec![0; CHUNK];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(hashers.into_iter().map(Hasher::finish).collect()),
            Ok(read) => {
                let read = chunk.get(..read).unwrap_or_default();
                hashers.iter_mut().for_each(|hasher| hasher.update(read));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

/// Opens `path` for reading; `-` is stdin. A directory is refused here rather than on reading.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if is_stdin(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(file))
}

pub(crate) fn is_stdin(path: &Path) -> bool {
    is_standard(path)
}

/// `-`: stdin where something is read, stdout where something is written.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether both are the same file, by whatever names.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(a), Ok(b)) if a == b)
}

/// Where the bundle of the file at `path` is looked for and written unless told otherwise.
pub(crate) fn bundle_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sigstore.json");
    PathBuf::from(name)
}

/// Where clients wrote it before that became the name.
pub(crate) fn earlier_bundle_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sigstore");
    PathBuf::from(name)
}

/// Writes `bytes` to `path` so that a reader sees either the old file or the whole new one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link is followed: what it points to is replaced, and a device or a pipe is written to.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
        return OpenOptions::new().write(true).open(&target)?.write_all(bytes);
    }
    let draft = Draft(draft_path(&target)?);
    let mut file = OpenOptions::new().write(true).create_new(true).open(&draft.0)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft.0, &target)
}

/// Checks that a file could be written at `path`, leaving nothing behind.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    if is_standard(path) {
        return Ok(());
    }
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    match fs::metadata(&target) {
        Ok(metadata) if metadata.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(metadata) if !metadata.is_file() => return Ok(()),
        _ => (),
    }
    let draft = Draft(draft_path(&target)?);
    OpenOptions::new().write(true).create_new(true).open(&draft.0).map(drop)
}

/// A file that is removed unless it was renamed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// In the same directory, because only there is a rename atomic.
fn draft_path(target: &Path) -> io::Result<PathBuf> {
    let random = keys::random::<8>().map_err(io::Error::other)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    Ok(target.with_file_name(format!(".{name}.{:016x}.tmp", u64::from_be_bytes(random))))
}

const CHUNK: usize = 256 << 10;

/// Reads a file while everything else waits. What may hang (a FIFO, a file system of the network)
/// is for `Env::read`.
pub(crate) fn read_now(
    _: &dyn host::Env,
    path: &Path,
    cap: usize,
) -> Result<Vec<u8>, host::FileError> {
    host::read_file(path, cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sigstore.json");
        write_atomically(&path, b"one, which is longer").unwrap();
        write_atomically(&path, b"two").unwrap();
        check_writable(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_stream_is_hashed_whatever_its_chunks() {
        let data = vec![7; CHUNK * 2 + 1];
        let found = digest_blocking(&mut data.as_slice(), HashAlgorithm::Sha256).unwrap();
        assert_eq!(found, Digest::sha256(&data));
    }
}
