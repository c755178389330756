//! Bundles v0.3 made of older material: detached signatures, and bundles of earlier formats.

use std::fmt;
use std::sync::Arc;

use bundle::log_body::LogBody;
use bundle::{Bundle, Content, LogEntry};
use host::{FileError, Transport};
use keys::{Digest, HashAlgorithm, PublicKey};
use signer::rekor_client;
use trust_root::TrustedRoot;
use verify::Finding;

use crate::file::argument::FileArgument;
use crate::file::artifact::Artifact;
use crate::file::lookup::LogSearch;
use crate::file::signature::Content::Legacy;
use crate::file::signature::{self, FileSignature};

/// Makes bundles v0.3. What it makes was checked: the signature and the log entries verify. Whether
/// the signer is acceptable is not asked.
#[derive(Clone)]
pub struct Converter {
    search: LogSearch,
    root: Arc<TrustedRoot>,
    logged: bool,
}

/// Why the files could not be converted into a bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// The log could not be asked.
    #[error("cannot look for the log entry of the signature")]
    Log(#[source] Box<rekor_client::Error>),
    /// No log has an entry of the signature.
    #[error("the signature has no log entry: {} asked, and none has one", asked(*_0))]
    NotLogged(usize),
    /// The parts make no bundle.
    #[error("the parts make no bundle")]
    Parts(#[source] bundle::Error),
    /// A check of what would be in the bundle failed.
    #[error("the signature does not verify")]
    Refused(#[source] Box<verify::Error>),
}

fn asked(logs: usize) -> String {
    if logs == 1 { "1 log was".to_owned() } else { format!("{logs} logs were") }
}

impl Converter {
    /// Looks entries up in the logs of `root`, through `http`.
    pub fn new(root: Arc<TrustedRoot>, http: Arc<dyn Transport>) -> Self {
        Self { search: LogSearch::new(Arc::clone(&root), http), root, logged: true }
    }

    /// Asks no log: the bundle has the log entries that the signature came with.
    #[must_use]
    pub fn without_log(self) -> Self {
        Self { logged: false, ..self }
    }

    /// The bundle v0.3 of `signature`, which is of `artifact` (a signature with a log entry or an
    /// attestation needs none) by its certificate or else by `key`.
    ///
    /// # Errors
    /// [`ConvertError`].
    pub async fn bundle(
        &self,
        signature: &FileSignature,
        artifact: Option<&Artifact>,
        key: Option<&PublicKey>,
    ) -> Result<Bundle, ConvertError> {
        let mut entries = Vec::new();
        for entry in signature.log_entries() {
            entries.push(self.complete(entry).await?);
        }
        if entries.is_empty() && self.logged && matches!(signature.content, Legacy(_)) {
            let mut found = self.search.find(signature, artifact, key).await?;
            match (found.entry, found.failed.pop()) {
                (Some(entry), _) => entries.push(entry),
                (None, Some(error)) => return Err(ConvertError::Log(Box::new(error))),
                (None, None) => return Err(ConvertError::NotLogged(found.asked.len())),
            }
        }
        let bundle = match &signature.content {
            signature::Content::Bundle(bundle, _) => {
                let (material, content) = (bundle.material().clone(), bundle.content().clone());
                Bundle::new(material, content, entries, bundle.timestamps().to_vec())
            }
            Legacy(legacy) => {
                let digest = match artifact {
                    Some(Artifact::Digest { digest, .. }) => Some(digest.clone()),
                    Some(Artifact::File(file)) => digest(file, signature, key).await?,
                    None => entries.iter().find_map(logged_digest),
                };
                (**legacy).clone().with_log_entries(entries).to_bundle(digest.as_ref())
            }
        };
        let bundle = bundle.map_err(ConvertError::Parts)?;
        self.check(&bundle, key)?;
        Ok(bundle)
    }

    /// The entry with its proof of inclusion.
    async fn complete(&self, entry: &LogEntry) -> Result<LogEntry, ConvertError> {
        if entry.inclusion_proof.is_some() || !self.logged {
            return Ok(entry.clone());
        }
        let found = self.search.complete(entry).await;
        let found = found.map_err(|error| ConvertError::Log(Box::new(error)))?;
        found.ok_or(ConvertError::NotLogged(1))
    }

    fn check(&self, bundle: &Bundle, key: Option<&PublicKey>) -> Result<(), ConvertError> {
        let claimed = match bundle.content() {
            Content::Message { digest: Some(claimed), .. } => {
                let algorithm = HashAlgorithm::from_sigstore_name(&claimed.algorithm);
                algorithm.and_then(|it| Digest::new(it, claimed.digest.clone()).ok())
            }
            _ => None,
        };
        let digests: Vec<_> = claimed.into_iter().collect();
        let found = verify::examine(bundle, &verify::Artifact::Digests(&digests), key, &self.root);
        match (found.signature, found.log) {
            (Finding::Fails(error), _) => Err(ConvertError::Refused(Box::new(error))),
            (_, Finding::Fails(error)) if !bundle.log_entries().is_empty() => {
                Err(ConvertError::Refused(Box::new(error)))
            }
            _ => Ok(()),
        }
    }
}

/// The digest of `file` by the algorithm of the signature.
async fn digest(
    file: &FileArgument,
    signature: &FileSignature,
    key: Option<&PublicKey>,
) -> Result<Option<Digest>, FileError> {
    let algorithm = match key {
        Some(key) => key.algorithm().file_hash(),
        None => signature.hash_algorithm().unwrap_or(HashAlgorithm::Sha256),
    };
    Ok(file.digests(&[algorithm]).await?.pop())
}

/// The digest of the file that a log entry is about.
fn logged_digest(entry: &LogEntry) -> Option<Digest> {
    match LogBody::parse(&entry.canonicalized_body).ok()? {
        LogBody::HashedRekord001(body) => {
            let algorithm = HashAlgorithm::from_name(&body.hash.algorithm)?;
            Digest::from_hex(algorithm, &body.hash.value.to_ascii_lowercase()).ok()
        }
        LogBody::HashedRekord002(body) => {
            let algorithm = HashAlgorithm::from_sigstore_name(&body.algorithm)?;
            Digest::new(algorithm, body.digest).ok()
        }
        _ => None,
    }
}

impl fmt::Debug for Converter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Converter").field("logged", &self.logged).finish_non_exhaustive()
    }
}
