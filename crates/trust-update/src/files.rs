//! Files of the cache and of the configuration: only those that this user, root or the owner of a
//! directory that the user named can have written are read, and writing never follows a link.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

/// The user that is trusted beside this one and root: the owner of a directory that was named.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Owner(Option<u32>);

impl Owner {
    /// The owner of `directory`. None if there is no such directory.
    pub(crate) fn of(directory: &Path) -> Self {
        #[cfg(unix)]
        let owner = |metadata| std::os::unix::fs::MetadataExt::uid(&metadata);
        #[cfg(not(unix))]
        let owner = |_: Metadata| 0;
        Self(std::fs::metadata(directory).ok().map(owner))
    }
}

/// Reads a regular file of at most `cap` bytes, without waiting for a writer of a FIFO.
pub(crate) fn read(path: &Path, cap: usize, trusted: Owner) -> io::Result<Vec<u8>> {
    check_owner(&std::fs::symlink_metadata(path)?, trusted)?;
    let file = open_without_waiting(path)?;
    let metadata = file.metadata()?;
    check_owner(&metadata, trusted)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(cap as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > cap {
        return Err(io::Error::other(format!("larger than the limit of {cap} bytes")));
    }
    Ok(bytes)
}

/// Writes a file in one step, through a new file with a random name beside it. A link at `path` is
/// replaced and not followed; the mode of a file that is replaced is kept.
pub(crate) fn write(path: &Path, bytes: &[u8], trusted: Owner) -> io::Result<()> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    create_directory(directory, trusted)?;
    let replaced = std::fs::symlink_metadata(path).ok().filter(Metadata::is_file);
    let mut builder = tempfile::Builder::new();
    let draft = builder.prefix(".draft-");
    #[cfg(unix)]
    let draft = draft.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut draft = draft.tempfile_in(directory)?;
    draft.write_all(bytes)?;
    if let Some(replaced) = replaced {
        draft.as_file().set_permissions(replaced.permissions())?;
    }
    draft.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Creates a directory with a random name that begins with `prefix`, which is removed when it is
/// dropped. Other users may read in it, for what root caches in an image serves every user.
pub(crate) fn new_directory(parent: &Path, prefix: &str) -> io::Result<tempfile::TempDir> {
    let mut builder = tempfile::Builder::new();
    let directory = builder.prefix(prefix);
    #[cfg(unix)]
    let directory =
        directory.permissions(std::os::unix::fs::PermissionsExt::from_mode(DIRECTORY_MODE));
    directory.tempdir_in(parent)
}

/// Creates a directory where there is none. An existing one must not belong to another user.
pub(crate) fn create_directory(path: &Path, trusted: Owner) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
    builder.recursive(true).create(path)?;
    check_directory(path, trusted)
}

/// Refuses a directory that another user owns. An absent one is not an error.
pub(crate) fn check_directory(path: &Path, trusted: Owner) -> io::Result<()> {
    metadata_of(path)?.map_or(Ok(()), |metadata| check_owner(&metadata, trusted))
}

/// The same for a directory that was not named by the user, which must not be open to every user
/// either. One that was named may be: containers are often run without a umask.
pub(crate) fn check_default_directory(path: &Path) -> io::Result<()> {
    check_directory(path, Owner::default())?;
    match metadata_of(path)?.is_some_and(|metadata| is_open_to_all(&metadata)) {
        true => Err(denied("every user may write to it".to_owned())),
        false => Ok(()),
    }
}

fn metadata_of(path: &Path) -> io::Result<Option<Metadata>> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Opens the file that a lock is taken on, and creates it where there is none.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        flags(rustix::fs::OFlags::NOFOLLOW),
    );
    options.open(path)
}

/// Removes a directory with everything in it, if it is there. Links in it are not followed.
pub(crate) fn remove_directory(path: &Path) -> io::Result<()> {
    found(std::fs::remove_dir_all(path))
}

/// Removes a file, if it is there.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    found(std::fs::remove_file(path))
}

fn found(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        flags(rustix::fs::OFlags::NONBLOCK),
    );
    options.open(path)
}

fn denied(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, reason)
}

#[cfg(unix)]
fn check_owner(metadata: &Metadata, trusted: Owner) -> io::Result<()> {
    let owner = std::os::unix::fs::MetadataExt::uid(metadata);
    if is_trusted(owner, rustix::process::geteuid().as_raw()) || trusted.0 == Some(owner) {
        return Ok(());
    }
    Err(denied(format!("it belongs to another user (uid {owner})")))
}

#[cfg(unix)]
fn is_trusted(owner: u32, us: u32) -> bool {
    owner == 0 || owner == us
}

/// With the sticky bit, as in `/tmp`, users cannot replace the files of other users.
#[cfg(unix)]
fn is_open_to_all(metadata: &Metadata) -> bool {
    let mode = std::os::unix::fs::MetadataExt::mode(metadata);
    mode & 0o1002 == 0o0002
}

/// Without a umask, directories would be open to every user.
#[cfg(unix)]
const DIRECTORY_MODE: u32 = 0o755;

#[cfg(unix)]
fn flags(flags: rustix::fs::OFlags) -> i32 {
    i32::try_from(flags.bits()).unwrap_or_default()
}

#[cfg(not(unix))]
fn check_owner(_: &Metadata, _: Owner) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Metadata) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};

    use super::*;

    const US: Owner = Owner(None);
    /// The uid of `nobody` on most systems.
    const OTHER_USER: u32 = 65534;

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn a_link_at_the_place_of_a_file_is_replaced_and_not_followed() {
        let scratch = tempfile::tempdir().unwrap();
        let (victim, path) = (scratch.path().join("victim"), scratch.path().join("file"));
        std::fs::write(&victim, "precious").unwrap();
        symlink(&victim, &path).unwrap();
        write(&path, b"ours", US).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(std::fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(read(&path, 10, US).unwrap(), b"ours");
    }

    #[test]
    fn drafts_have_random_names_and_follow_no_link_that_was_planted() {
        let scratch = tempfile::tempdir().unwrap();
        let victim = scratch.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        // The names that drafts had before they were random.
        for number in 0..100 {
            let draft = format!(".draft-{}-{number}", std::process::id());
            symlink(&victim, scratch.path().join(draft)).unwrap();
        }
        write(&scratch.path().join("file"), b"ours", US).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn the_mode_of_a_file_that_is_replaced_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        for mode in [0o600, 0o640, 0o444] {
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            write(&path, b"x", US).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, mode);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_is_new_is_readable_and_not_writable_for_others() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("directory/file");
        write(&file, b"x", US).unwrap();
        let new = new_directory(scratch.path(), ".new-").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        // The umask of the process may take more away, and leaves what the owner needs.
        assert_eq!((mode(&file) & 0o622, mode(&file) & 0o133), (0o600, 0));
        for directory in [file.parent().unwrap(), new.path()] {
            assert_eq!((mode(directory) & 0o722, mode(directory) & 0o022), (0o700, 0));
        }
    }

    #[test]
    fn a_fifo_is_refused_at_once() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("fifo");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(read(&path, 10, US).unwrap_err().to_string(), "not a regular file");
    }

    #[test]
    fn files_of_this_user_and_of_root_are_trusted() {
        assert!(is_trusted(1000, 1000) && is_trusted(0, 1000) && is_trusted(0, 0));
        assert!(!is_trusted(1000, 0) && !is_trusted(1001, 1000));
    }

    /// Only root can give files to another user: as another user this test checks nothing.
    #[test]
    fn files_and_directories_of_another_user_are_refused() {
        if !is_root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        std::fs::write(&path, "x").unwrap();
        chown(&path, Some(OTHER_USER), None).unwrap();
        let error = read(&path, 10, US).unwrap_err();
        assert_eq!(error.to_string(), "it belongs to another user (uid 65534)");
        let link = scratch.path().join("link");
        symlink("/dev/null", &link).unwrap();
        std::os::unix::fs::lchown(&link, Some(OTHER_USER), None).unwrap();
        assert!(read(&link, 10, US).is_err());
        let directory = scratch.path().join("directory");
        std::fs::create_dir(&directory).unwrap();
        chown(&directory, Some(OTHER_USER), None).unwrap();
        assert!(check_directory(&directory, US).is_err());
        assert!(write(&directory.join("file"), b"x", US).is_err());
        // The owner of a directory that was named is trusted in it.
        let owner = Owner::of(&directory);
        write(&directory.join("file"), b"x", owner).unwrap();
        assert_eq!(read(&path, 10, owner).unwrap(), b"x");
    }

    #[test]
    fn a_default_directory_that_every_user_may_write_to_is_refused_unless_it_is_sticky() {
        let scratch = tempfile::tempdir().unwrap();
        let with = |mode| {
            std::fs::set_permissions(scratch.path(), Permissions::from_mode(mode)).unwrap();
            check_directory(scratch.path(), US).unwrap();
            check_default_directory(scratch.path())
        };
        assert_eq!(with(0o777).unwrap_err().to_string(), "every user may write to it");
        with(0o1777).unwrap();
        with(0o775).unwrap();
        check_default_directory(&scratch.path().join("absent")).unwrap();
    }

    #[test]
    fn the_file_of_a_lock_is_not_created_through_a_link() {
        let scratch = tempfile::tempdir().unwrap();
        let (target, lock) = (scratch.path().join("target"), scratch.path().join("lock"));
        symlink(&target, &lock).unwrap();
        assert!(open_lock(&lock).is_err());
        assert!(!target.exists());
    }
}
