//! Looking up log entries: of a detached signature, and with the proof that an older bundle lacks.

use std::fmt;
use std::sync::Arc;

use bundle::LogEntry;
use host::{FileError, Transport};
use keys::PublicKey;
use signer::ApiVersion;
use signer::rekor_client::{Entry, Error as RekorError, Rekor, Verifier};
use signer::url::Url;
use trust_root::{Log, TrustedRoot};
use x509::Certificate;

use crate::file::artifact::Artifact;
use crate::file::signature::FileSignature;

/// Asks the logs of a trusted root, those of Rekor version 1, for entries.
#[derive(Clone)]
pub struct LogSearch {
    root: Arc<TrustedRoot>,
    http: Arc<dyn Transport>,
}

/// What [`LogSearch::find`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Lookup {
    /// The entry, where a log has one. It is not verified.
    pub entry: Option<LogEntry>,
    /// Which logs were asked.
    pub asked: Vec<Url>,
    /// What went wrong with those that did not answer. Without an entry, it is not known whether the
    /// signature was logged.
    pub failed: Vec<RekorError>,
}

impl LogSearch {
    /// Asks the logs of `root` through `http`.
    pub fn new(root: Arc<TrustedRoot>, http: Arc<dyn Transport>) -> Self {
        Self { root, http }
    }

    /// Looks for the entry of `signature`, which is a signature of `artifact` by the key of its
    /// certificate or else by `key`. The entry must have the same digest, signature and certificate
    /// or key. No log is asked for a signature that has an entry or cannot have one.
    ///
    /// # Errors
    /// The artifact cannot be read.
    pub async fn find(
        &self,
        signature: &FileSignature,
        artifact: Option<&Artifact>,
        key: Option<&PublicKey>,
    ) -> Result<Lookup, FileError> {
        let mut lookup = Lookup { entry: None, asked: Vec::new(), failed: Vec::new() };
        let certificate = signature.certificate();
        let verifier = match (&certificate, key) {
            (Some(certificate), _) => Some(Verifier::Certificate(certificate)),
            (None, key) => key.map(Verifier::PublicKey),
        };
        let known = certificate.as_ref().map(Certificate::public_key).or(key);
        let scheme = known.map(PublicKey::default_scheme);
        let hash = scheme.and_then(|scheme| scheme.hash());
        let (Some(verifier), Some(scheme), Some(hash), true) =
            (verifier, scheme, hash, signature.log_entries().is_empty())
        else {
            return Ok(lookup);
        };
        let digest = match artifact {
            _ if signature.envelope().is_some() => None,
            Some(Artifact::Digest { digest, .. }) => Some(digest.clone()),
            Some(Artifact::File(file)) => file.digests(&[hash]).await?.pop(),
            None => None,
        };
        let entry = match (signature.envelope(), &digest) {
            (Some(envelope), _) => Entry::Envelope { envelope, scheme, verifier },
            (None, Some(digest)) => {
                Entry::Hashed { digest, signature: signature.signature(), scheme, verifier }
            }
            (None, None) => return Ok(lookup),
        };
        // The id of a log of version 1 is made of its key alone.
        let is_v1 = |log: &&Log| log.log_id() == log.key().id();
        for log in self.root.tlogs().iter().filter(is_v1) {
            let used = certificate.as_ref().map(Certificate::not_before);
            let is_past = used.is_some_and(|time| !log.valid_for().contains(time));
            let Ok(url) = log.base_url().parse::<Url>() else { continue };
            if is_past || lookup.asked.contains(&url) {
                continue;
            }
            lookup.asked.push(url.clone());
            match self.rekor(url).find(&entry).await {
                Ok(Some(logged)) => {
                    lookup.entry = Some(logged);
                    return Ok(lookup);
                }
                Ok(None) => (),
                Err(error) => lookup.failed.push(error),
            }
        }
        Ok(lookup)
    }

    /// The entry as its log has it, with the proof of inclusion that a bundle of today needs. `None`
    /// when the log is not one of the trusted root, or has no such entry.
    ///
    /// # Errors
    /// The log cannot be reached or answers an error.
    pub async fn complete(&self, entry: &LogEntry) -> Result<Option<LogEntry>, RekorError> {
        let mut leaf = keys::Hasher::new(keys::HashAlgorithm::Sha256);
        leaf.update(&[0]);
        leaf.update(&entry.canonicalized_body);
        let id = leaf.finish().to_hex();
        let log = self.root.tlogs().iter().find(|log| log.log_id() == entry.log_id);
        match log.and_then(|log| log.base_url().parse().ok()) {
            Some(url) => self.rekor(url).entry(&id).await,
            None => Ok(None),
        }
    }

    fn rekor(&self, url: Url) -> Rekor {
        Rekor::new(url, ApiVersion::V1, Arc::clone(&self.http))
    }
}

impl fmt::Debug for LogSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogSearch").field("root", &self.root).finish_non_exhaustive()
    }
}
