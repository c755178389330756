//! What the signature of a file is about.

use std::path::{Path, PathBuf};

use keys::{Digest, HashAlgorithm};

use crate::file::argument::FileArgument;

/// What was signed: a file, or what is known of it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Artifact {
    /// A file.
    File(FileArgument),
    /// A file of which the digest is known.
    Digest {
        /// How the file is called in errors and reports.
        name: PathBuf,
        /// Its digest.
        digest: Digest,
    },
}

impl Artifact {
    /// Reads an argument: a path, `-` for stdin, or `sha256:HEX` unless such a file exists.
    pub fn parse(argument: impl Into<PathBuf>) -> Self {
        let name = argument.into();
        match named_digest(&name) {
            Some(digest) => Self::Digest { name, digest },
            None => Self::File(FileArgument::parse(name)),
        }
    }

    /// The path or the name.
    pub fn name(&self) -> &Path {
        match self {
            Self::File(file) => file.as_path(),
            Self::Digest { name, .. } => name,
        }
    }

    /// Whether it comes from stdin.
    pub fn is_stdin(&self) -> bool {
        matches!(self, Self::File(FileArgument::Standard))
    }
}

fn named_digest(name: &Path) -> Option<Digest> {
    let text = name.to_string_lossy();
    let (algorithm, hex) = text.split_once(':')?;
    let digest = Digest::from_hex(HashAlgorithm::from_name(algorithm)?, hex).ok()?;
    (!name.exists()).then_some(digest)
}
