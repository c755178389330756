//! The signature of a file, as it was found.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bundle::bytes::Bytes;
use bundle::proto_json::{Message, decode_base64};
use bundle::{Bundle, Envelope, LARGE_SIZE_CAP, Limits, LogEntry, SIZE_CAP};
use host::{Env, FileError};
use keys::{Digest, HashAlgorithm};
use trust_root::TrustedRoot;
use verify::{LegacySignature, Policy, Purpose, Verified};
use x509::Certificate;

use crate::file::argument::FileArgument;
use crate::file::artifact::Artifact;
use crate::file::error::{Error, Missing};
use crate::file::paths::{bundle_path, older_bundle_path};

/// A signature of a file: a Sigstore bundle, or what cosign wrote before there were bundles.
#[derive(Clone, Debug)]
pub struct FileSignature {
    pub(crate) name: String,
    pub(crate) content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A bundle and the digest of its bytes.
    Bundle(Arc<Bundle>, Digest),
    Legacy(Arc<LegacySignature>),
}

impl FileSignature {
    /// Reads the content of the bundle `name`. The JSON that cosign wrote before is accepted too.
    ///
    /// # Errors
    /// It is neither format.
    pub fn parse(
        name: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let (name, bytes) = (name.to_owned(), bytes.into());
        // Nothing that cosign wrote before is as large, so that it need not be kept.
        if bytes.len() > SIZE_CAP {
            let digest = Digest::sha256(&bytes);
            let bundle = Arc::new(Bundle::read(bytes, &Limits::large())?);
            return Ok(Self { name, content: Content::Bundle(bundle, digest) });
        }
        let bytes = bytes.as_ref();
        let has = |field: &str| {
            let document = Message::parse(bytes, SIZE_CAP);
            document.is_ok_and(|mut document| document.any(field).is_ok_and(|it| it.is_some()))
        };
        let content = match Bundle::from_json_within(bytes, &Limits::large()) {
            Ok(bundle) => Content::Bundle(Arc::new(bundle), Digest::sha256(bytes)),
            Err(_) if has("base64Signature") => {
                Content::Legacy(Arc::new(LegacySignature::blob_bundle(bytes)?))
            }
            Err(_) if has("payloadType") => {
                let attestation = LegacySignature::attestation(bytes, &Default::default())?;
                Content::Legacy(Arc::new(attestation))
            }
            Err(error) => return Err(error.into()),
        };
        Ok(Self { name, content })
    }

    /// A detached signature (base64 or raw), the certificate of the signer (PEM, DER, or base64 of them;
    /// none for a known key) and a timestamp (DER, or the JSON that cosign wraps it in).
    ///
    /// # Errors
    /// One of them cannot be read.
    pub async fn detached(
        signature: Vec<u8>,
        certificate: Option<Vec<u8>>,
        timestamp: Option<Vec<u8>>,
    ) -> Result<Self, verify::Error> {
        // Hostile content may take long.
        let parse = move || {
            let certificate = certificate.map(|bytes| pem_of(&bytes));
            let timestamp = timestamp.map(|bytes| {
                let wrapped = Message::parse(&bytes, SIZE_CAP).ok();
                let inner = wrapped.and_then(|mut it| it.bytes("SignedRFC3161Timestamp").ok()?);
                inner.unwrap_or(bytes)
            });
            LegacySignature::detached(&signature, certificate.as_deref(), timestamp.as_deref())
        };
        let legacy = host::off_thread(parse).await.unwrap_or_else(|error| {
            let expected = "a thread to read it on".to_owned();
            Err(verify::Error::Artifact { expected, found: error.to_string() })
        })?;
        Ok(Self { name: "signature".to_owned(), content: Content::Legacy(Arc::new(legacy)) })
    }

    /// A detached signature of `file`, in files: `signature` names one, or is the signature itself in
    /// base64, as cosign accepts it; the certificate and the timestamp are as in
    /// [`detached`](Self::detached).
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Refused`].
    pub async fn in_files(
        file: &Path,
        signature: &str,
        certificate: Option<&Path>,
        timestamp: Option<&Path>,
        env: &dyn Env,
    ) -> Result<Self, Error> {
        let bytes = match env.read(Path::new(signature), SIZE_CAP).await {
            Err(_) if decode_base64(signature).is_some() => signature.into(),
            read => read?,
        };
        let read = async |path: Option<&Path>| match path {
            Some(path) => env.read(path, SIZE_CAP).await.map(Some),
            None => Ok(None),
        };
        let (certificate, timestamp) = (read(certificate).await?, read(timestamp).await?);
        let read = Self::detached(bytes, certificate, timestamp).await;
        read.map_err(|error| {
            let (file, source) = (file.to_owned(), Box::new(error));
            Error::Refused { file, certificate: None, source }
        })
    }

    /// An envelope (DSSE, JSON) with an attestation, and the certificate of the signer (PEM; none for
    /// a known key).
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn attested(envelope: &[u8], certificate: Option<&[u8]>) -> Result<Self, verify::Error> {
        let pem = certificate.map(|it| String::from_utf8_lossy(it).into_owned());
        let certificate = pem.map(|pem| ("dev.sigstore.cosign/certificate".to_owned(), pem));
        let legacy = LegacySignature::attestation(envelope, &certificate.into_iter().collect())?;
        Ok(Self { name: "attestation".to_owned(), content: Content::Legacy(Arc::new(legacy)) })
    }

    /// As [`attested`](Self::attested), of files.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Refused`].
    pub async fn attested_in_files(
        envelope: &Path,
        certificate: Option<&Path>,
        env: &dyn Env,
    ) -> Result<Self, Error> {
        let bytes = env.read(envelope, SIZE_CAP).await?;
        let certificate = match certificate {
            Some(path) => Some(env.read(path, SIZE_CAP).await?),
            None => None,
        };
        Self::attested(&bytes, certificate.as_deref()).map_err(|error| {
            let (file, source) = (envelope.to_owned(), Box::new(error));
            Error::Refused { file, certificate: None, source }
        })
    }

    /// Reads the bundle in `file`.
    ///
    /// # Errors
    /// [`Error::Read`] and [`Error::Malformed`].
    pub async fn read(file: &FileArgument) -> Result<Self, Error> {
        let bytes = file.read(LARGE_SIZE_CAP).await?;
        Self::parse_apart(file.as_path(), bytes).await
    }

    /// Hostile content may take long.
    async fn parse_apart(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let name = path.display().to_string();
        let parsed = host::off_thread(move || Self::parse(&name, bytes)).await;
        let parsed = parsed.unwrap_or_else(|error| Err(error.into()));
        parsed.map_err(|source| Error::Malformed { path: path.to_owned(), swapped: false, source })
    }

    /// Reads the signature of `artifact`: `bundle`, or the bundle beside the file.
    ///
    /// # Errors
    /// [`Error::NoSignature`]; [`Error::Read`] when there is neither a bundle nor the file, or the
    /// bundle cannot be read; [`Error::Malformed`].
    pub async fn of(artifact: &Artifact, bundle: Option<&FileArgument>) -> Result<Self, Error> {
        let (path, bytes) = read(artifact, bundle).await?;
        match Self::parse_apart(&path, bytes).await {
            Err(Error::Malformed { path, source, .. }) => {
                let swapped = Self::is_bundle(artifact).await;
                Err(Error::Malformed { path, swapped, source })
            }
            parsed => parsed,
        }
    }

    /// The algorithm to hash the file with.
    ///
    /// # Errors
    /// As [`verify::hash_algorithm`].
    pub fn hash_algorithm(&self) -> Result<HashAlgorithm, verify::Error> {
        match &self.content {
            Content::Bundle(bundle, _) => verify::hash_algorithm(bundle),
            Content::Legacy(legacy) => legacy.hash_algorithm(),
        }
    }

    /// The certificate of the signer, not verified.
    pub fn certificate(&self) -> Option<Certificate> {
        match &self.content {
            Content::Bundle(bundle, _) => verify::certificate(bundle),
            Content::Legacy(legacy) => legacy.certificate(),
        }
    }

    /// The digest of the bundle; `None` for cosign's earlier formats.
    pub fn bundle_digest(&self) -> Option<&Digest> {
        match &self.content {
            Content::Bundle(_, digest) => Some(digest),
            Content::Legacy(_) => None,
        }
    }

    /// The log entries, not verified.
    pub(crate) fn log_entries(&self) -> &[LogEntry] {
        match &self.content {
            Content::Bundle(bundle, _) => bundle.log_entries(),
            Content::Legacy(legacy) => legacy.log_entries(),
        }
    }

    /// The envelope of an attestation.
    pub(crate) fn envelope(&self) -> Option<&Envelope> {
        match &self.content {
            Content::Bundle(bundle, _) => match bundle.content() {
                bundle::Content::Envelope(envelope) => Some(envelope),
                bundle::Content::Message { .. } => None,
            },
            Content::Legacy(legacy) => legacy.envelope(),
        }
    }

    /// The raw signature.
    pub(crate) fn signature(&self) -> &[u8] {
        match &self.content {
            Content::Bundle(bundle, _) => bundle.signature(),
            Content::Legacy(legacy) => legacy.signature(),
        }
    }

    /// The same with this log entry, of a signature that came without a bundle.
    pub(crate) fn with_log_entry(mut self, entry: LogEntry) -> Self {
        if let Content::Legacy(legacy) = self.content {
            let logged = (*legacy).clone().with_log_entries(vec![entry]);
            self.content = Content::Legacy(Arc::new(logged));
        }
        self
    }

    /// Whether it may be about the artifact, by the digests that it names; they are not verified.
    pub(crate) fn may_be_about(&self, artifact: &verify::Artifact<'_>) -> bool {
        match &self.content {
            Content::Bundle(bundle, _) => verify::may_be_about(bundle, artifact),
            Content::Legacy(_) => true,
        }
    }

    /// What it is, by the predicate type of its statement, where that is not what `policy` is about.
    pub(crate) fn other_purpose(&self, policy: &Policy) -> Option<String> {
        let Some(envelope) = self.envelope() else {
            let is_file = *policy.purpose() == Purpose::FileSignature;
            return (!is_file).then(|| "a signature of the file".to_owned());
        };
        let statement = envelope.statement().ok()?;
        let predicate_type = statement.predicate_type();
        let is_it = policy.purpose().predicate_type() == Some(predicate_type);
        (!is_it).then(|| predicate_type.to_owned())
    }

    /// Whether what should be verified is a bundle: the two were swapped.
    pub(crate) async fn is_bundle(artifact: &Artifact) -> bool {
        let Artifact::File(file @ FileArgument::File(_)) = artifact else { return false };
        let Ok(bytes) = file.read_regular(SIZE_CAP).await else { return false };
        host::off_thread(move || Bundle::from_json(&bytes).is_ok()).await.unwrap_or(false)
    }

    pub(crate) fn judge(
        &self,
        artifact: &verify::Artifact<'_>,
        policy: &Policy,
        root: &TrustedRoot,
        now: SystemTime,
    ) -> Result<Verified, verify::Error> {
        match &self.content {
            Content::Bundle(bundle, _) => verify::verify(bundle, artifact, policy, root, now),
            Content::Legacy(legacy) => verify::verify_legacy(legacy, artifact, policy, root, now),
        }
    }
}

/// The certificate as PEM, if it is DER or base64 of that; else as it is.
fn pem_of(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let words: String = text.split_ascii_whitespace().collect();
    let decoded = decode_base64(&words).unwrap_or_default();
    let certificate = [bytes, &decoded].into_iter().find_map(|it| Certificate::from_der(it).ok());
    certificate.map_or_else(|| text.into_owned(), |certificate| certificate.to_pem())
}

/// The path of the bundle and its content.
async fn read(
    artifact: &Artifact,
    bundle: Option<&FileArgument>,
) -> Result<(PathBuf, Vec<u8>), Error> {
    let name = artifact.name();
    let beside = [bundle_path(name), older_bundle_path(name)].map(FileArgument::File);
    let candidates = bundle.map_or(beside.as_slice(), std::slice::from_ref);
    let mut missing = None;
    for candidate in candidates {
        let read = match bundle {
            Some(named) => named.read(LARGE_SIZE_CAP).await,
            None => candidate.read_regular(LARGE_SIZE_CAP).await,
        };
        match read {
            Ok(bytes) => return Ok((candidate.as_path().to_owned(), bytes)),
            Err(error @ FileError::NotFound { .. }) => _ = missing.get_or_insert(error),
            Err(error) => return Err(error.into()),
        }
    }
    let file = name.to_owned();
    match missing {
        Some(source) if bundle.is_some() || !is_missing(artifact) => {
            Err(Error::NoSignature { file, source: Missing::File(source) })
        }
        _ => Err(FileError::NotFound { path: file }.into()),
    }
}

fn is_missing(artifact: &Artifact) -> bool {
    matches!(artifact, Artifact::File(FileArgument::File(path)) if !path.exists())
}
