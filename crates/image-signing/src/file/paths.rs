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
    let known = marks(other);
    marks(one).iter().any(|mark| known.contains(mark))
}

/// By what a file is known again. Paths lead to the same file when they have a mark in common.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Mark {
    /// A path to it, as given or without links and dots.
    Path(PathBuf),
    /// The file itself, whatever its names are.
    #[cfg(unix)]
    Node(u64, u64),
}

/// The marks of the file that `path` leads to, also of one that does not exist yet.
pub(crate) fn marks(path: &Path) -> Vec<Mark> {
    let whole = fs::canonicalize(path).ok().or_else(|| {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = fs::canonicalize(parent.unwrap_or_else(|| Path::new("."))).ok()?;
        Some(parent.join(path.file_name()?))
    });
    let mut marks = vec![Mark::Path(path.to_owned())];
    marks.extend(whole.map(Mark::Path));
    #[cfg(unix)]
    marks.extend(fs::metadata(path).ok().map(|it| {
        use std::os::unix::fs::MetadataExt as _;
        Mark::Node(it.dev(), it.ino())
    }));
    marks
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
