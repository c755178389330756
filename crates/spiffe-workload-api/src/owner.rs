//! Who could have put a socket where it is.

use crate::endpoint::Endpoint;
use crate::error::Error;

/// The kind of [`Error::Untrusted`] here.
pub(crate) const SOCKET: &str = "socket";

/// Checks that only root or this process's user can have put the socket of `endpoint` there.
/// A socket that does not exist passes, and so does a TCP port.
pub(crate) async fn check(endpoint: &Endpoint) -> Result<(), Error> {
    #[cfg(unix)]
    if let Some(path) = endpoint.path().map(std::path::Path::to_owned) {
        // A file system may hang.
        let checked = tokio::task::spawn_blocking(move || unix::check(&path)).await;
        let checked = checked.unwrap_or_else(|error| Err(error.to_string()));
        return checked.map_err(|reason| Error::Untrusted { kind: SOCKET, reason });
    }
    let _ = endpoint;
    Ok(())
}

#[cfg(unix)]
mod unix {
    use std::fs::{Metadata, canonicalize, symlink_metadata};
    use std::io;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    pub(super) fn check(path: &Path) -> Result<(), String> {
        let user = rustix::process::geteuid().as_raw();
        // As it is written, links included, and where it leads.
        parts(path, user)?;
        match canonicalize(path) {
            Ok(real) if real != path => parts(&real, user),
            Ok(_) => Ok(()),
            Err(error) => not_there(path, &error),
        }
    }

    /// Looks at `path` and every directory above it, from the top.
    fn parts(path: &Path, user: u32) -> Result<(), String> {
        let mut parts: Vec<&Path> = path.ancestors().collect();
        parts.reverse();
        for part in parts {
            match symlink_metadata(part) {
                Ok(metadata) => part_of(part, &metadata, user)?,
                Err(error) => return not_there(part, &error),
            }
        }
        Ok(())
    }

    fn part_of(path: &Path, metadata: &Metadata, user: u32) -> Result<(), String> {
        let owner = metadata.uid();
        if owner != 0 && owner != user {
            return Err(format!(
                "{} belongs to the user {owner}, expected root or the user {user}",
                path.display()
            ));
        }
        // In a directory with the sticky bit, as /tmp, others replace only what is their own.
        const OTHERS_WRITE: u32 = 0o022;
        const STICKY: u32 = 0o1000;
        let mode = metadata.mode();
        if metadata.is_dir() && mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
            return Err(format!(
                "other users may write to the directory {} (mode {:o})",
                path.display(),
                mode & 0o7777
            ));
        }
        Ok(())
    }

    fn not_there(path: &Path, error: &io::Error) -> Result<(), String> {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(()),
            _ => Err(format!("{} cannot be examined: {error}", path.display())),
        }
    }

    #[cfg(test)]
    mod tests {
        use std::fs::{Permissions, create_dir, set_permissions};
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        use std::os::unix::net::UnixListener;

        use super::*;

        #[test]
        fn a_socket_of_ours_is_used_and_a_missing_one_is_not_suspicious() {
            let directory = tempfile::tempdir().unwrap();
            let socket = directory.path().join("api.sock");
            assert_eq!(check(&socket), Ok(()));
            let _listener = UnixListener::bind(&socket).unwrap();
            assert_eq!(check(&socket), Ok(()));
            set_permissions(&socket, Permissions::from_mode(0o777)).unwrap();
            assert_eq!(check(&socket), Ok(()), "everyone may connect to a Workload API");
        }

        #[test]
        fn a_directory_that_others_may_write_to_is_refused_unless_it_is_sticky() {
            let directory = tempfile::tempdir().unwrap();
            let public = directory.path().join("public");
            create_dir(&public).unwrap();
            let socket = public.join("api.sock");
            let _listener = UnixListener::bind(&socket).unwrap();
            for (mode, accepted) in [(0o755, true), (0o777, false), (0o775, false), (0o1777, true)]
            {
                set_permissions(&public, Permissions::from_mode(mode)).unwrap();
                assert_eq!(check(&socket).is_ok(), accepted, "{mode:o}");
            }
            // Our own link to a socket that others could have put there.
            set_permissions(&public, Permissions::from_mode(0o777)).unwrap();
            let link = directory.path().join("link.sock");
            symlink(&socket, &link).unwrap();
            let reason = check(&link).unwrap_err();
            assert!(reason.contains("public (mode 777)"), "{reason}");
        }

        #[test]
        fn what_belongs_to_another_user_is_refused() {
            let directory = tempfile::tempdir().unwrap();
            let socket = directory.path().join("api.sock");
            let _listener = UnixListener::bind(&socket).unwrap();
            // As another user sees it, if it is not root's.
            let metadata = symlink_metadata(&socket).unwrap();
            if metadata.uid() == 0 {
                std::os::unix::fs::chown(&socket, Some(65_534), None).unwrap();
                let reason = check(&socket).unwrap_err();
                assert!(reason.contains("api.sock belongs to the user 65534"), "{reason}");
                std::os::unix::fs::chown(&socket, Some(0), None).unwrap();
                std::os::unix::fs::chown(directory.path(), Some(65_534), None).unwrap();
                assert!(check(&socket).is_err(), "the directory is another user's");
            } else {
                let reason = parts(&socket, metadata.uid() + 1).unwrap_err();
                assert!(reason.contains("belongs to the user"), "{reason}");
            }
        }
    }
}
