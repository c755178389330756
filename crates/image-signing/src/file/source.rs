//! Where the signatures of files are.

use std::path::PathBuf;

use async_lock::OnceCell;
use host::Env;

use crate::file::argument::FileArgument;
use crate::file::artifact::Artifact;
use crate::file::error::Error;
use crate::file::offered::Signatures;
use crate::file::pairs::PairError;
use crate::file::signature::FileSignature;

/// Where the signatures of files are: in named bundles, beside each file, or in detached parts. What is
/// named is read once for all files.
#[derive(Debug)]
pub struct SignatureSource {
    from: From,
    read: OnceCell<Signatures>,
}

#[derive(Debug)]
enum From {
    /// None: the bundle beside each file.
    Bundles(Vec<FileArgument>),
    Detached {
        signature: String,
        certificate: Option<PathBuf>,
        timestamp: Option<PathBuf>,
    },
}

impl SignatureSource {
    /// The signatures of `artifacts` in these bundles, or in the bundle beside each file.
    ///
    /// # Errors
    /// [`PairError::StdinTwice`].
    pub fn bundles(bundles: &[PathBuf], artifacts: &[Artifact]) -> Result<Self, PairError> {
        let bundles: Vec<_> = bundles.iter().map(FileArgument::parse).collect();
        let is_taken = bundles.is_empty() || bundles.iter().any(FileArgument::is_standard);
        if is_taken && artifacts.iter().any(Artifact::is_stdin) {
            return Err(PairError::StdinTwice);
        }
        Ok(Self { from: From::Bundles(bundles), read: OnceCell::new() })
    }

    /// The detached signature of the only one of `artifacts`: see [`FileSignature::in_files`].
    ///
    /// # Errors
    /// [`PairError::Detached`]: there are several.
    pub fn detached(
        signature: &str,
        certificate: Option<PathBuf>,
        timestamp: Option<PathBuf>,
        artifacts: &[Artifact],
    ) -> Result<Self, PairError> {
        if artifacts.len() > 1 {
            return Err(PairError::Detached);
        }
        let from = From::Detached { signature: signature.to_owned(), certificate, timestamp };
        Ok(Self { from, read: OnceCell::new() })
    }

    /// The signatures that are offered for `artifact`.
    ///
    /// # Errors
    /// As [`Signatures::of`] and [`FileSignature::in_files`].
    pub async fn of(&self, artifact: &Artifact, env: &dyn Env) -> Result<Signatures, Error> {
        let read = async || match &self.from {
            From::Bundles(bundles) => Signatures::of(artifact, bundles).await,
            From::Detached { signature, certificate, timestamp } => {
                let (certificate, timestamp) = (certificate.as_deref(), timestamp.as_deref());
                let file = artifact.name();
                FileSignature::in_files(file, signature, certificate, timestamp, env)
                    .await
                    .map(Signatures::from)
            }
        };
        match &self.from {
            From::Bundles(bundles) if bundles.is_empty() => read().await,
            _ => self.read.get_or_try_init(read).await.cloned(),
        }
    }

    /// Whether the signature is detached: its log entry may have to be looked up.
    pub fn is_detached(&self) -> bool {
        matches!(self.from, From::Detached { .. })
    }
}
