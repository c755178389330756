//! Why a file was not signed or verified.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use host::FileError;
use signer::rekor_client;
use verify::Check;
use x509::Certificate;

use crate::error::nearest_pattern;
use crate::refusal::{Reason, claimed_identity};
use crate::verdict::NotAcceptable;

/// Why a file was not signed or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log could not be asked for the entry of a detached signature.
    #[error("cannot look for the log entry of the signature")]
    Log(#[source] Box<rekor_client::Error>),
    /// What should be a bundle is none.
    #[error("{} is not a Sigstore bundle", path.display())]
    Malformed {
        /// The file that should be a bundle.
        path: PathBuf,
        /// The file to verify is a bundle: the two are swapped.
        swapped: bool,
        /// What is wrong with it.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No rule of the policy file matches the file.
    #[error(
        "no rule of the policy file matches {}{}",
        file.display(),
        nearest_pattern(nearest.as_deref())
    )]
    NoRule {
        /// The file.
        file: PathBuf,
        /// The pattern that it misses by the least.
        nearest: Option<String>,
    },
    /// The file has no bundle, or none of the bundles is about it.
    #[error("no signature of {} found", file.display())]
    NoSignature {
        /// The file.
        file: PathBuf,
        /// What was looked at.
        source: Missing,
    },
    /// Several signatures are about the file, and they are not enough.
    #[error("{_0}")]
    NotAcceptable(Box<NotAcceptable>),
    /// The file or its bundle does not exist or cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// A check of the signature failed, or could not be made; or a detached signature cannot be read.
    #[error("the signature of {} is not acceptable", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The certificate of the signer, not verified.
        certificate: Option<Box<Certificate>>,
        /// Which check.
        source: Box<verify::Error>,
    },
    /// Signing failed, no identity was found, or the content must not be signed.
    #[error("{} was not signed", file.display())]
    Signing {
        /// The file.
        file: PathBuf,
        /// What went wrong: a [`signer::Error`], an [`IdentityError`](crate::IdentityError), or a
        /// [`ForeignFormat`](signer::ForeignFormat), which another kind of signature is over.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The signature is over the whole file, as pure Ed25519 signatures are, and the file cannot be
    /// held in memory.
    #[error("cannot hold {} in memory, as its signature needs", file.display())]
    Whole {
        /// The file.
        file: PathBuf,
        /// Why it cannot be read whole.
        source: FileError,
    },
    /// The bundle cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The bundle.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

/// Why a file counts as unsigned.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// The bundle was not found, or could not be read.
    #[error(transparent)]
    File(FileError),
    /// There are bundles, and none is about the file for this purpose.
    #[error("{}", among(*bundles, digest, others))]
    Among {
        /// How many there are.
        bundles: usize,
        /// The digest of the file.
        digest: String,
        /// What those that are about the file are instead: predicate types, each once. They are
        /// not verified.
        others: Vec<String>,
    },
}

fn among(bundles: usize, digest: &str, others: &[String]) -> String {
    if others.is_empty() {
        return match bundles {
            1 => format!("the bundle is not about {digest}"),
            many => format!("none of {many} bundles is about {digest}"),
        };
    }
    let others: Vec<_> = others.iter().map(|other| host::escape_remote(other)).collect();
    format!("the bundles about {digest} are of another kind: {}", others.join(", "))
}

impl Error {
    /// Whether a signature was refused because it has no log entry, or no verified time, which the
    /// entry would have: one that can be looked up may help.
    pub fn lacks_log_entry(&self) -> bool {
        let lacks = |error: &verify::Error| match error {
            verify::Error::Refused(check) => {
                matches!(**check, Check::NoLogEntry { .. } | Check::NoTime { .. })
            }
            _ => false,
        };
        match self {
            Self::Refused { source, .. } => lacks(source),
            Self::NotAcceptable(found) => found
                .refused
                .iter()
                .any(|refusal| matches!(&refusal.reason, Reason::Refused(error) if lacks(error))),
            _ => false,
        }
    }

    /// The identity that the certificate of a refused signature claims, unless it is the reason.
    pub fn claimed_identity(&self) -> Option<String> {
        match self {
            Self::Refused { certificate, source, .. } => {
                claimed_identity(source, certificate.as_deref())
            }
            _ => None,
        }
    }
}
