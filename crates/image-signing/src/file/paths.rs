//! Names of files and their bundles.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the bundle of the file at `path` is unless it is named.
pub fn bundle_path(path: &Path) -> PathBuf {
    with_suffix(path, SUFFIX)
}

/// Where older clients wrote it.
pub fn older_bundle_path(path: &Path) -> PathBuf {
    with_suffix(path, OLDER_SUFFIX)
}

/// The file that the bundle at `path` belongs to by its name, if that file exists.
pub(crate) fn file_of_bundle(path: &Path) -> Option<PathBuf> {
    let name = path.as_os_str().to_str()?;
    let file = name.strip_suffix(SUFFIX).or_else(|| name.strip_suffix(OLDER_SUFFIX))?;
    Some(PathBuf::from(file)).filter(|file| file.is_file())
}

/// Whether both paths lead to the same file, also one that does not exist yet.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
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

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

const SUFFIX: &str = ".sigstore.json";
const OLDER_SUFFIX: &str = ".sigstore";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_many_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a"), "").unwrap();
        fs::hard_link(path("a"), path("b")).unwrap();
        assert!(is_same_file(&path("a"), &path("b")));
        assert!(is_same_file(&path("new"), &directory.path().join(".").join("new")));
        assert!(!is_same_file(&path("new"), &path("a")));
    }
}
