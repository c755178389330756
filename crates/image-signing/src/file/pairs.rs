//! Which files are signed, and where their bundles go.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::file::argument::FileArgument;
use crate::file::outputs::Outputs;
use crate::file::paths::{Mark, bundle_path, file_of_bundle, is_same_file, marks};

/// Files to sign, and where their bundles go.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Pairs {
    /// Each file with where its signature goes.
    pub pairs: Vec<(FileArgument, Outputs)>,
    /// Files whose bundle was named among the files, and is not signed: a wildcard named it.
    pub skipped: Vec<PathBuf>,
}

/// Why files cannot be signed together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The earlier format, and nothing to write it to.
    #[error("--new-bundle-format=false needs --bundle or --output-signature")]
    NoOutput,
    /// Nothing is to be signed.
    #[error("no file to sign is left")]
    NoFile,
    /// One output, and several files.
    #[error("{flag} names one file, and {files} files are to be signed")]
    OneBundle {
        /// The flag that names the output.
        flag: &'static str,
        /// How many.
        files: usize,
    },
    /// An output would be written over a file that is read, or over another output.
    #[error("{output} would overwrite {what}: {}", file.display())]
    Overwrites {
        /// What would be written: "the bundle", or a flag.
        output: &'static str,
        /// What the file is for.
        what: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// stdin among the files, and no bundle is named.
    #[error("stdin has no file name for its bundle")]
    Nameless,
    /// stdin is to be verified, and its bundle would be read from stdin too, or is not named.
    #[error("stdin is the file to verify, and no other file is named for its bundle")]
    StdinTwice,
    /// A detached signature, and several files.
    #[error("--signature is of one file, and several are named: verify them one by one")]
    Detached,
    /// A file is named twice.
    #[error("{} is named twice", file.display())]
    Twice {
        /// The file.
        file: PathBuf,
    },
}

/// Pairs `files` with where their signatures go: to `outputs`, or where it names nothing to a bundle
/// at the usual path beside each file. `inputs` are other files that are read, and what they are for.
///
/// A run must not sign its own output: a bundle that lies beside its file is skipped, and every
/// other overlap is refused.
///
/// # Errors
/// [`PairError`].
pub fn pairs(
    files: &[FileArgument],
    outputs: &Outputs,
    inputs: &[(&'static str, PathBuf)],
) -> Result<Pairs, PairError> {
    if outputs.earlier && outputs.files().next().is_none() {
        return Err(PairError::NoOutput);
    }
    let beside = |file: &FileArgument| file_of_bundle(file.as_path()).filter(|_| files.len() > 1);
    let skipped: Vec<_> = files.iter().filter_map(beside).collect();
    let kept: Vec<_> = files.iter().filter(|file| beside(file).is_none()).collect();
    let destination = |file: &FileArgument| match (outputs.files().next(), file) {
        (Some((flag, _)), _) if kept.len() > 1 => {
            Err(PairError::OneBundle { flag, files: kept.len() })
        }
        (Some(_), _) => Ok(outputs.clone()),
        (None, FileArgument::Standard) => Err(PairError::Nameless),
        (None, FileArgument::File(path)) => Ok(FileArgument::File(bundle_path(path)).into()),
    };
    let pairs = kept.iter().map(|file| Ok(((*file).clone(), destination(file)?)));
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    if pairs.is_empty() {
        return Err(PairError::NoFile);
    }
    let (mut signed, mut read) = (Files::default(), Files::default());
    inputs.iter().for_each(|(what, path)| read.add(what, path));
    for (file, _) in &pairs {
        let file = file.as_path();
        if let Some((_, file)) = signed.find(file) {
            return Err(PairError::Twice { file: file.clone() });
        }
        signed.add("the file to sign", file);
        read.add("the file to sign", file);
    }
    for (_, outputs) in &pairs {
        let mut written = Vec::new();
        for (flag, output) in outputs.files() {
            let name = if flag == "--bundle" { THE_BUNDLE } else { flag };
            check_overwritten(name, &output, &written)?;
            if let FileArgument::File(path) = &output
                && let Some((what, file)) = read.find(path).filter(|(_, it)| !is_stdin(it))
            {
                return Err(PairError::Overwrites { output: name, what, file: file.clone() });
            }
            written.push((flag, output.as_path().to_owned()));
        }
    }
    Ok(Pairs { pairs, skipped })
}

/// Files, found by any path to them: ten thousand as fast as one.
#[derive(Default)]
struct Files {
    all: Vec<(&'static str, PathBuf)>,
    by_mark: HashMap<Mark, usize>,
}

impl Files {
    fn add(&mut self, what: &'static str, path: &Path) {
        for mark in marks(path) {
            // The first one is named.
            self.by_mark.entry(mark).or_insert(self.all.len());
        }
        self.all.push((what, path.to_owned()));
    }

    fn find(&self, path: &Path) -> Option<&(&'static str, PathBuf)> {
        let position = marks(path).iter().find_map(|mark| self.by_mark.get(mark).copied());
        self.all.get(position?)
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
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
    check_overwritten(THE_BUNDLE, bundle, inputs)
}

fn check_overwritten(
    output: &'static str,
    file: &FileArgument,
    taken: &[(&'static str, PathBuf)],
) -> Result<(), PairError> {
    let FileArgument::File(path) = file else { return Ok(()) };
    let is_it = |other: &Path| !is_stdin(other) && is_same_file(path, other);
    match taken.iter().find(|(_, other)| is_it(other)) {
        Some((what, file)) => Err(PairError::Overwrites { output, what, file: file.clone() }),
        None => Ok(()),
    }
}

const THE_BUNDLE: &str = "the bundle";

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
        let found = pairs(&files, &Outputs::default(), &[]).unwrap();
        assert_eq!(found.skipped, [directory.path().join("a")]);
        let [(a, of_a), (b, _)] = found.pairs.as_slice() else { panic!("{found:?}") };
        assert_eq!((a, of_a), (&files[0], &files[1].clone().into()));
        assert_eq!(b, &files[2]);
    }

    #[test]
    fn a_file_that_is_named_twice_is_refused_by_whatever_name_and_a_thousand_files_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut files: Vec<_> =
            (0..1000).map(|number| FileArgument::parse(path(&number.to_string()))).collect();
        std::fs::write(path("7"), "").unwrap();
        std::fs::hard_link(path("7"), path("linked")).unwrap();
        let start = files.len();
        assert_eq!(pairs(&files, &Outputs::default(), &[]).unwrap().pairs.len(), start);
        for again in ["linked", "./7", "8"] {
            files.push(FileArgument::parse(path(again)));
            let found = pairs(&files, &Outputs::default(), &[]).unwrap_err();
            let first = path(if again == "8" { "8" } else { "7" });
            assert_eq!(found, PairError::Twice { file: first });
            files.truncate(start);
        }
        let token = [("the identity token", path("9.sigstore.json"))];
        let found = pairs(&files, &Outputs::default(), &token).unwrap_err().to_string();
        assert!(found.starts_with("the bundle would overwrite the identity token: "), "{found}");
    }

    #[test]
    fn stdin_needs_a_bundle_and_one_bundle_is_for_one_file() {
        let (stdin, file) = (FileArgument::parse("-"), FileArgument::parse("a"));
        let one = std::slice::from_ref(&stdin);
        let none = Outputs::default();
        assert_eq!(pairs(one, &none, &[]), Err(PairError::Nameless));
        assert!(pairs(one, &stdin.clone().into(), &[]).is_ok());
        let both = [stdin, file.clone()];
        let error = pairs(&both, &file.into(), &[]).unwrap_err();
        assert_eq!(error, PairError::OneBundle { flag: "--bundle", files: 2 });
        assert_eq!(pairs(&[], &none, &[]), Err(PairError::NoFile));
    }

    #[test]
    fn no_output_overwrites_another_one_or_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let (file, output) = (directory.path().join("a"), directory.path().join("a.sig"));
        let files = [FileArgument::parse(&file)];
        let of = |signature: &Path, certificate: &Path| Outputs {
            signature: Some(signature.to_owned()),
            certificate: Some(certificate.to_owned()),
            ..Outputs::default()
        };
        assert!(pairs(&files, &of(&output, &directory.path().join("a.pem")), &[]).is_ok());
        let twice = pairs(&files, &of(&output, &output), &[]).unwrap_err().to_string();
        assert!(twice.starts_with("--output-certificate would overwrite --output-sig"), "{twice}");
        let itself = pairs(&files, &of(&file, &output), &[]).unwrap_err().to_string();
        assert!(itself.starts_with("--output-signature would overwrite the file"), "{itself}");
    }
}
