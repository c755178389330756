//! Files in a directory that nobody but this user and root may write to: who could write a verdict
//! there would decide which images run.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// Makes the directory where there is none, and checks it.
pub(crate) fn create(directory: &Path) -> io::Result<()> {
    if !directory.exists() {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
    }
    check(directory)
}

/// Refuses a directory that another user owns or may write to.
pub(crate) fn check(directory: &Path) -> io::Result<()> {
    let metadata = std::fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::Error::other("expected a directory, found something else"));
    }
    check_writers(&metadata)
}

/// Reads a regular file of at most `cap` bytes that nobody else may write to. A link is not
/// followed.
pub(crate) fn read(path: &Path, cap: usize) -> io::Result<Vec<u8>> {
    let file = open(path, File::options().read(true))?;
    let metadata = file.metadata()?;
    check_writers(&metadata)?;
    if !metadata.is_file() || metadata.len() > cap as u64 {
        return Err(io::Error::other(format!("expected a file of at most {cap} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(cap as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Writes the file `name` in one step, readable for this user only.
pub(crate) fn write(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    // Its mode is 0600.
    let mut draft = tempfile::Builder::new().prefix(".draft-").tempfile_in(directory)?;
    draft.write_all(bytes)?;
    draft.persist(directory.join(name)).map(drop).map_err(|error| error.error)
}

/// Opens the file that a lock is taken on, and makes it where there is none.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    open(path, &mut options)
}

/// Takes the lock if no other process has it; it is given back when the file is closed. Where there
/// are no such locks everybody has it.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    #[cfg(unix)]
    {
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::flock(file, exclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(false),
            result => result?,
        }
    }
    let _ = file;
    Ok(true)
}

#[cfg(unix)]
fn open(path: &Path, options: &mut std::fs::OpenOptions) -> io::Result<File> {
    use rustix::fs::OFlags;

    // A FIFO is not waited for.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags);
    options.open(path)
}

#[cfg(not(unix))]
fn open(path: &Path, options: &mut std::fs::OpenOptions) -> io::Result<File> {
    options.open(path)
}

#[cfg(unix)]
fn check_writers(metadata: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let (owner, us) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != us && owner != 0 {
        return Err(io::Error::other(format!("it belongs to another user (uid {owner})")));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("other users may write to it: run `chmod go-w` on it"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_writers(_: &Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    #[test]
    fn what_another_user_could_have_written_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        write(scratch.path(), "a", b"x").unwrap();
        let file = scratch.path().join("a");
        assert_eq!(read(&file, 1).unwrap(), b"x");
        assert!(read(&file, 0).is_err());
        std::fs::set_permissions(&file, Permissions::from_mode(0o620)).unwrap();
        let refused = read(&file, 1).unwrap_err().to_string();
        assert!(refused.contains("other users may write to it"), "{refused}");
        symlink("/etc/hostname", scratch.path().join("link")).unwrap();
        assert!(read(&scratch.path().join("link"), 100).is_err());
        std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(check(scratch.path()).is_err());
        std::fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).unwrap();
        check(scratch.path()).unwrap();
        symlink(scratch.path(), scratch.path().join("to-itself")).unwrap();
        assert!(check(&scratch.path().join("to-itself")).is_err());
        // Only root can give files to another user.
        if rustix::process::geteuid().is_root() {
            chown(scratch.path(), Some(65534), None).unwrap();
            let refused = check(scratch.path()).unwrap_err().to_string();
            assert_eq!(refused, "it belongs to another user (uid 65534)");
        }
    }

    #[test]
    fn a_fifo_is_refused_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, mode) = (scratch.path().join("fifo"), rustix::fs::Mode::from_raw_mode(0o600));
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(read(&path, 10).is_err());
    }
}
