//! Files that are written whole or not at all.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bundle::LargeText;
use keys::HashAlgorithm;
use tempfile::NamedTempFile;

/// Writes `bytes` to `path`. A reader sees either the old file or the whole new one, which has the
/// mode of the old one. A symbolic link that another user made is not followed.
///
/// # Errors
/// The file cannot be written, is a FIFO or a socket, or is a link of another user.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_parts_atomically(path, [bytes])
}

/// As [`write_atomically`], of a content that comes in parts.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_parts_atomically(
    path: &Path,
    parts: impl IntoIterator<Item = impl AsRef<[u8]>>,
) -> io::Result<()> {
    let mut parts = parts.into_iter();
    match Destination::of(path)? {
        Destination::Stream => {
            let mut stream = OpenOptions::new().write(true).open(path)?;
            parts.try_for_each(|part| stream.write_all(part.as_ref()))
        }
        Destination::File { target, mut draft } => {
            let written = parts.try_for_each(|part| draft.write_all(part.as_ref()));
            written.map_err(plain)?;
            draft.as_file().sync_all()?;
            draft.persist(target).map(drop).map_err(|error| error.error)
        }
    }
}

/// Writes `text` to `out` as one line that cannot act on a terminal. A large text is not held for it.
///
/// # Errors
/// As of `out`.
pub fn print_line(text: &LargeText, out: &mut impl io::Write) -> io::Result<()> {
    for part in text.parts() {
        out.write_all(host::escape(&String::from_utf8_lossy(&part)).as_bytes())?;
    }
    out.write_all(b"\n")
}

/// Checks that [`write_atomically`] could write a file at `path`, and leaves nothing behind.
///
/// # Errors
/// As [`write_atomically`].
pub fn check_writable(path: &Path) -> io::Result<()> {
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
        let directory = directory.unwrap_or_else(|| Path::new("."));
        let draft = draft(directory, existing.as_ref());
        let draft = draft.map_err(|error| in_directory(directory, error))?;
        if let Some(link) = link
            && !is_trusted(&link, &draft.as_file().metadata()?)
        {
            return Err(io::Error::other("it is a symbolic link that another user made"));
        }
        Ok(Self::File { target, draft })
    }
}

/// As [`write_parts_atomically`], of a signature that is logged: what cannot be written to `path` is
/// kept in a new file of the current directory, whose name tells the bundle.
///
/// # Errors
/// As [`write_atomically`]. The error says where the signature is or, where it could not be kept either
/// and is not large, holds it.
pub fn write_or_keep(path: &Path, bundle: &LargeText) -> io::Result<()> {
    write_parts_atomically(path, bundle.parts()).map_err(|error| kept(path, bundle, error))
}

/// `error`, with the place where the bundle that was to be at `path` is now.
pub(crate) fn kept(path: &Path, bundle: &LargeText, source: io::Error) -> io::Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".json").unwrap_or(&name);
    let name = name.strip_suffix(".sigstore").unwrap_or(name);
    let digest = keys::Digest::of_pieces(HashAlgorithm::Sha256, bundle.parts()).to_hex();
    let digest: String = digest.chars().take(8).collect();
    let file = PathBuf::from(format!("{name}-{digest}.sigstore.json"));
    let told = match write_parts_atomically(&file, bundle.parts()) {
        Ok(()) => format!("the signature is not lost: it is in {}", file.display()),
        Err(_) if bundle.len() <= SHOWN => {
            format!("the signature could not be written to another file, so here it is: {bundle}")
        }
        Err(_) => format!("the signature is lost: {} could not be written either", file.display()),
    };
    io::Error::new(source.kind(), Kept { told, source })
}

/// A signature could not be written where it belongs.
#[derive(Debug)]
struct Kept {
    told: String,
    source: io::Error,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told)
    }
}

impl std::error::Error for Kept {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// `error` without the name of a temporary file, which says nothing.
fn plain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Other => error,
        _ if error.raw_os_error().is_some() => error,
        kind => kind.into(),
    }
}

/// `error`, which names a file that was to be made in `directory`, as one that names the directory.
pub(crate) fn in_directory(directory: &Path, error: io::Error) -> io::Error {
    let directory = directory.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), format!("the directory {directory} does not exist"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            let reason = format!("no file can be made in the directory {directory}");
            io::Error::new(error.kind(), format!("{reason}: {}", error.kind()))
        }
        _ => plain(error),
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

/// The largest bundle that an error holds, in bytes.
const SHOWN: usize = 1 << 20;
const PREFIX: &str = ".ambisign-";

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
}
