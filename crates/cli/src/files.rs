//! Files to sign and bundles to write.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::FileError;
use keys::{Digest, HashAlgorithm, Hasher};
use signer::{FileDigest, FileHasher, ForeignFormat};
use tempfile::NamedTempFile;

/// The digest of the file at `path`, or of stdin for `-`. Read on a thread of its own, so that
/// Ctrl-C and the deadline work while a slow pipe is read.
pub(crate) async fn digest(path: PathBuf, algorithm: HashAlgorithm) -> io::Result<Digest> {
    let digest = digests(path, vec![algorithm]).await?.pop();
    digest.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// As [`digest`], by several algorithms at once.
pub(crate) async fn digests(
    path: PathBuf,
    algorithms: Vec<HashAlgorithm>,
) -> io::Result<Vec<Digest>> {
    on_a_thread(move || hash(&mut *open(&path)?, &algorithms)).await
}

/// Reads the file at `path`, or stdin for `-`, at most `cap` bytes. On a thread of its own, because
/// a pipe or a network file system may block.
pub(crate) async fn read(path: &Path, cap: usize) -> Result<Vec<u8>, FileError> {
    let from = path.to_owned();
    let failed = |source| FileError::Io { path: path.to_owned(), source: Arc::new(source) };
    let work = move || {
        if !is_standard(&from) {
            return Ok(host::read_file(&from, cap));
        }
        let mut bytes = Vec::new();
        io::stdin().lock().take(cap as u64 + 1).read_to_end(&mut bytes)?;
        Ok(match bytes.len() > cap {
            true => Err(FileError::TooLarge { path: "stdin".into(), cap }),
            false => Ok(bytes),
        })
    };
    on_a_thread(work).await.map_err(failed)?
}

/// Runs `work` beside the runtime.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The digest of a file that is to be signed; an error of its own when the content is what another
/// kind of signature is over, which `any_content` lets pass. Read as by [`digest`].
pub(crate) async fn to_sign(
    path: PathBuf,
    any_content: bool,
) -> io::Result<Result<FileDigest, ForeignFormat>> {
    on_a_thread(move || {
        let mut hasher = FileHasher::new();
        feed(&mut *open(&path)?, |chunk| hasher.update(chunk))?;
        Ok(match any_content {
            true => Ok(signer::danger::any_content(hasher.finish_unchecked())),
            false => hasher.finish(),
        })
    })
    .await
}

/// Hashes `input` to its end, in constant memory.
fn hash(input: &mut dyn Read, algorithms: &[HashAlgorithm]) -> io::Result<Vec<Digest>> {
    let mut hashers: Vec<_> = algorithms.iter().map(|algorithm| Hasher::new(*algorithm)).collect();
    feed(input, |chunk| hashers.iter_mut().for_each(|hasher| hasher.update(chunk)))?;
    Ok(hashers.into_iter().map(Hasher::finish).collect())
}

/// Reads `input` to its end, a chunk at a time.
fn feed(input: &mut dyn Read, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match input.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => take(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

/// Opens `path` for reading; `-` is stdin. A directory is refused here rather than on reading.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if is_standard(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(file))
}

/// `-`: stdin where something is read, stdout where something is written.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether both paths are the same file, also one that does not exist yet.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| {
        fs::canonicalize(path).ok().or_else(|| {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let parent = fs::canonicalize(parent.unwrap_or_else(|| Path::new("."))).ok()?;
            Some(parent.join(path.file_name()?))
        })
    };
    one == other
        || matches!((whole(one), whole(other)), (Some(one), Some(other)) if one == other)
        || is_linked(one, other)
}

/// Whether both paths are hard links of one file.
#[cfg(unix)]
fn is_linked(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    let id = |path| fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
    id(one).is_some_and(|one| id(other) == Some(one))
}

#[cfg(not(unix))]
fn is_linked(_: &Path, _: &Path) -> bool {
    false
}

/// Where the bundle of the file at `path` is unless a flag names it.
pub(crate) fn bundle_path(path: &Path) -> PathBuf {
    with_suffix(path, ".sigstore.json")
}

/// Where older clients wrote it.
pub(crate) fn older_bundle_path(path: &Path) -> PathBuf {
    with_suffix(path, ".sigstore")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The file that the bundle at `path` belongs to by its name, if that file exists.
pub(crate) fn file_of_bundle(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().to_str()?;
    let file = name.strip_suffix(".sigstore.json").or_else(|| name.strip_suffix(".sigstore"))?;
    Some(PathBuf::from(file)).filter(|file| file.is_file())
}

/// Writes `bytes` to `path`. A reader sees either the old file or the whole new one, which has the
/// mode of the old one.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match Destination::of(path)? {
        Destination::Stream => OpenOptions::new().write(true).open(path)?.write_all(bytes),
        Destination::File { target, mut draft } => {
            draft.write_all(bytes)?;
            draft.as_file().sync_all()?;
            draft.persist(target).map(drop).map_err(|error| error.error)
        }
    }
}

/// Checks that a file could be written at `path`, leaving nothing behind.
pub(crate) fn check_writable(path: &Path) -> io::Result<()> {
    if is_standard(path) {
        return Ok(());
    }
    Destination::of(path).map(drop)
}

/// How a path is written to.
enum Destination {
    /// A device, or a pipe that is open already.
    Stream,
    /// A new file beside `target`, which it will replace. Removed when dropped.
    File { target: PathBuf, draft: NamedTempFile },
}

impl Destination {
    fn of(path: &Path) -> io::Result<Self> {
        let existing = fs::metadata(path).ok();
        if let Some(existing) = existing.as_ref().filter(|existing| !existing.is_file()) {
            return match existing.is_dir() {
                true => Err(io::ErrorKind::IsADirectory.into()),
                // What a shell substitutes for `>(command)` has a reader already.
                false if is_device(existing) || is_open_already(path) => Ok(Self::Stream),
                false => Err(io::Error::other("it is a FIFO or a socket, which may wait forever")),
            };
        }
        let link = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_symlink);
        // A link of our own is followed: the file it names is replaced, and the link stays.
        let target = match link {
            Some(_) => fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()),
            None => path.to_owned(),
        };
        let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        let draft = draft(directory.unwrap_or_else(|| Path::new(".")), existing.as_ref())?;
        if let Some(link) = link
            && !is_trusted(&link, &draft.as_file().metadata()?)
        {
            return Err(io::Error::other("it is a symbolic link that another user made"));
        }
        Ok(Self::File { target, draft })
    }
}

#[cfg(unix)]
fn draft(directory: &Path, existing: Option<&fs::Metadata>) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt as _;

    // The umask applies to these.
    let new = fs::Permissions::from_mode(0o666);
    let draft = tempfile::Builder::new().prefix(PREFIX).permissions(new).tempfile_in(directory)?;
    if let Some(existing) = existing {
        let mode = existing.permissions().mode() & 0o777;
        draft.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    }
    Ok(draft)
}

#[cfg(not(unix))]
fn draft(directory: &Path, _: Option<&fs::Metadata>) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(PREFIX).tempfile_in(directory)
}

/// Whether `link` was made by us, who made `draft`, or by root.
#[cfg(unix)]
fn is_trusted(link: &fs::Metadata, draft: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    [0, draft.uid()].contains(&link.uid())
}

#[cfg(not(unix))]
fn is_trusted(_: &fs::Metadata, _: &fs::Metadata) -> bool {
    true
}

#[cfg(unix)]
fn is_device(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;

    file.file_type().is_char_device() || file.file_type().is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: &fs::Metadata) -> bool {
    true
}

fn is_open_already(path: &Path) -> bool {
    ["/dev/fd", "/proc/self/fd", "/dev/stdout", "/dev/stderr"].iter().any(|it| path.starts_with(it))
}

const PREFIX: &str = ".ambisign-";

const CHUNK: usize = 256 << 10;

/// Reads a file while everything else waits. What may hang (a FIFO, a file system of the network)
/// is for `Env::read`.
pub(crate) fn read_now(_: &dyn host::Env, path: &Path, cap: usize) -> Result<Vec<u8>, FileError> {
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
    fn our_own_link_stays_a_link_and_the_mode_of_its_file_stays() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_atomically(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn one_file_has_many_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a"), "").unwrap();
        fs::hard_link(path("a"), path("b")).unwrap();
        assert!(is_same(&path("a"), &path("b")));
        assert!(is_same(&path("new"), &directory.path().join(".").join("new")));
        assert!(!is_same(&path("new"), &path("a")));
    }

    #[test]
    fn a_stream_is_hashed_whatever_its_chunks() {
        let data = vec![7; CHUNK * 2 + 1];
        let found = hash(&mut data.as_slice(), &[HashAlgorithm::Sha256]).unwrap();
        assert_eq!(found, [Digest::sha256(&data)]);
    }
}
