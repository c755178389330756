//! Why a file was not signed or verified.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use host::FileError;
use signer::ForeignFormat;
use x509::Certificate;

use crate::error::nearest_pattern;
use crate::identity_error::IdentityError;
use crate::refusal::claimed_identity;

/// Why a file was not signed or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bundle exists and cannot be read.
    #[error("cannot read the bundle")]
    Bundle(#[source] FileError),
    /// The content is what another kind of signature is over.
    #[error("{} was not signed", file.display())]
    Content {
        /// The file.
        file: PathBuf,
        /// What the content is.
        source: ForeignFormat,
    },
    /// There is no identity to sign with.
    #[error("there is no identity to sign with")]
    Identity(#[source] Box<IdentityError>),
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
    /// The file has no bundle.
    #[error("no signature of {} found", file.display())]
    NoSignature {
        /// The file.
        file: PathBuf,
        /// Where its bundle would be.
        source: FileError,
    },
    /// The file does not exist or cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// A check of the signature failed, or could not be made.
    #[error("the signature of {} is not acceptable", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The certificate of the signer, not verified.
        certificate: Option<Box<Certificate>>,
        /// Which check.
        source: Box<verify::Error>,
    },
    /// The signature could not be made.
    #[error("{} was not signed", file.display())]
    Signing {
        /// The file.
        file: PathBuf,
        /// What went wrong.
        source: Box<signer::Error>,
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

impl Error {
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
