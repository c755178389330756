//! Which files are signed, and where their bundles go.

use std::path::{Path, PathBuf};

use crate::file::argument::FileArgument;
use crate::file::paths::{bundle_path, file_of_bundle, is_same_file};

/// Files to sign, and where their bundles go.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Pairs {
    /// Each file with its bundle.
    pub pairs: Vec<(FileArgument, FileArgument)>,
    /// Files whose bundle was named among the files, and is not signed: a wildcard named it.
    pub skipped: Vec<PathBuf>,
}

/// Why files cannot be signed together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// Nothing is to be signed.
    #[error("no file to sign is left")]
    NoFile,
    /// One bundle, and several files.
    #[error("--bundle names one file, and {files} files are to be signed")]
    OneBundle {
        /// How many.
        files: usize,
    },
    /// A bundle would be written over a file that is read.
    #[error("the bundle would overwrite {what}: {}", file.display())]
    Overwrites {
        /// What the file is for.
        what: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// stdin among the files, and no bundle is named.
    #[error("stdin has no file name for its bundle")]
    Nameless,
    /// A file is named twice.
    #[error("{} is named twice", file.display())]
    Twice {
        /// The file.
        file: PathBuf,
    },
}

/// Pairs `files` with their bundles: `bundle`, or the usual path beside each file. `inputs` are
/// other files that are read, and what they are for.
///
/// A run must not sign its own output: a bundle that lies beside its file is skipped, and every
/// other overlap is refused.
///
/// # Errors
/// [`PairError`].
pub fn pairs(
    files: &[FileArgument],
    bundle: Option<&FileArgument>,
    inputs: &[(&'static str, PathBuf)],
) -> Result<Pairs, PairError> {
    let beside = |file: &FileArgument| file_of_bundle(file.as_path()).filter(|_| files.len() > 1);
    let skipped: Vec<_> = files.iter().filter_map(beside).collect();
    let kept: Vec<_> = files.iter().filter(|file| beside(file).is_none()).collect();
    let destination = |file: &FileArgument| match (bundle, file) {
        (Some(_), _) if kept.len() > 1 => Err(PairError::OneBundle { files: kept.len() }),
        (Some(bundle), _) => Ok(bundle.clone()),
        (None, FileArgument::Standard) => Err(PairError::Nameless),
        (None, FileArgument::File(path)) => Ok(FileArgument::File(bundle_path(path))),
    };
    let pairs = kept.iter().map(|file| Ok(((*file).clone(), destination(file)?)));
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    if pairs.is_empty() {
        return Err(PairError::NoFile);
    }
    let signed = pairs.iter().map(|(file, _)| ("the file to sign", file.as_path().to_owned()));
    let inputs: Vec<_> = inputs.iter().cloned().chain(signed).collect();
    for (index, (file, bundle)) in pairs.iter().enumerate() {
        let file = file.as_path();
        if pairs.iter().skip(index + 1).any(|(other, _)| is_same_file(file, other.as_path())) {
            return Err(PairError::Twice { file: file.to_owned() });
        }
        check_overwrites(bundle, &inputs)?;
    }
    Ok(Pairs { pairs, skipped })
}

/// Refuses a `bundle` that would be written over one of `inputs`, files that are read and what they
/// are for.
///
/// # Errors
/// [`PairError::Overwrites`].
pub fn check_overwrites(
    bundle: &FileArgument,
    inputs: &[(&'static str, PathBuf)],
) -> Result<(), PairError> {
    let FileArgument::File(bundle) = bundle else { return Ok(()) };
    let is_bundle = |input: &Path| input.as_os_str() != "-" && is_same_file(bundle, input);
    match inputs.iter().find(|(_, input)| is_bundle(input)) {
        Some((what, file)) => Err(PairError::Overwrites { what, file: file.clone() }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_of_a_file_that_is_signed_is_skipped_and_another_one_is_signed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, name).unwrap();
            path
        };
        let files = ["a", "a.sigstore.json", "b.sigstore"].map(|it| FileArgument::parse(path(it)));
        let found = pairs(&files, None, &[]).unwrap();
        assert_eq!(found.skipped, [directory.path().join("a")]);
        let [(a, of_a), (b, _)] = found.pairs.as_slice() else { panic!("{found:?}") };
        assert_eq!((a, of_a.as_path()), (&files[0], files[1].as_path()));
        assert_eq!(b, &files[2]);
    }

    #[test]
    fn stdin_needs_a_bundle_and_one_bundle_is_for_one_file() {
        let (stdin, file) = (FileArgument::parse("-"), FileArgument::parse("a"));
        let one = std::slice::from_ref(&stdin);
        assert_eq!(pairs(one, None, &[]), Err(PairError::Nameless));
        assert!(pairs(one, Some(&stdin), &[]).is_ok());
        let both = [stdin, file.clone()];
        assert_eq!(pairs(&both, Some(&file), &[]), Err(PairError::OneBundle { files: 2 }));
        assert_eq!(pairs(&[], None, &[]), Err(PairError::NoFile));
    }
}
