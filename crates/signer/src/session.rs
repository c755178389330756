//! One identity, or one key, that signs.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use async_lock::Mutex;
use bundle::{
    Bundle, Content, Envelope, EnvelopeSignature, INTOTO_PAYLOAD_TYPE, MessageDigest,
    SIGN_PREDICATE_TYPE, Statement,
};
use futures_util::future::try_join_all;
use id_token::TokenSource;
use keys::{Digest, HashAlgorithm, KeyAlgorithm, KeyPair, Payload, PublicKey, Scheme, Sign as _};
use rekor_client::{ApiVersion, Entry, Rekor, encoding_digest};
use tsa_client::{Timestamp, Tsa};
use verify::{Artifact, Policy, Purpose};
use x509::Certificate;

use crate::content::FileDigest;
use crate::credential::{Credential, Source};
use crate::error::Error;
use crate::event::{Event, Identity};
use crate::record::LogRecord;
use crate::services::{Services, Signer};
use crate::{judge, logging};

/// One identity, one key, one certificate, any number of signatures; or a key of one's own.
///
/// Safe to use from many tasks at once: the certificate is asked for once. When it nears its end,
/// the session takes a new token, a new key and a new certificate by itself.
pub struct Session {
    signer: Signer,
    source: Source,
    /// Held while a certificate is asked for, so that tasks at the same time ask for one.
    credential: Mutex<Option<Arc<Credential>>>,
}

/// A signature and the facts about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Signed {
    /// The bundle, already verified.
    pub bundle: Bundle,
    /// The identity in the certificate; `None` of a key of one's own.
    pub identity: Option<Identity>,
    /// The certificates that issued the signer's, which a bundle does not hold; none of a key of
    /// one's own.
    pub issuers: Vec<Certificate>,
    /// The key that verifies the signature.
    pub key: PublicKey,
    /// Where it was logged; empty when no log is in use.
    pub logs: Vec<LogRecord>,
    /// The earliest time that a timestamp authority attests, when one is in use.
    pub timestamp: Option<SystemTime>,
}

/// What is signed.
enum Work<'a> {
    /// A file, by its digest or whole.
    File(&'a FileDigest),
    /// A statement about the artifact that has this digest.
    Statement { statement: &'a Statement, artifact: Digest },
}

impl Session {
    /// Will sign with the identity of `source`. Asks for nothing yet.
    pub fn new(signer: Signer, source: Arc<dyn TokenSource>) -> Self {
        Self { signer, source: Source::identity(source), credential: Mutex::default() }
    }

    /// Will make new keys of the kind `algorithm`, instead of P-256. No effect on a key of one's own.
    #[must_use]
    pub fn with_algorithm(mut self, algorithm: KeyAlgorithm) -> Self {
        if let Source::Identity { algorithm: kind, .. } = &mut self.source {
            *kind = algorithm;
        }
        self
    }

    /// Will sign with `key`, which verifiers have: no token and no certificate is asked for.
    pub fn with_key(signer: Signer, key: Arc<KeyPair>) -> Self {
        Self { signer, source: Source::Key(key), credential: Mutex::default() }
    }

    /// The kind of key that signs: files must be hashed for it, see
    /// [`FileHasher::for_key`](crate::FileHasher::for_key).
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.source.algorithm()
    }

    /// The services in use.
    pub fn services(&self) -> &Services {
        self.signer.services()
    }

    /// The instance that it signs with.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Gets an identity token, and what the certificate authority publishes, now rather than with the
    /// certificate: for the time in which the artifact is looked at.
    ///
    /// # Errors
    /// There is no token.
    pub async fn begin(&self) -> Result<(), Error> {
        self.source.begin(&self.signer).await
    }

    /// The policy of someone who expects a signature of exactly this session: of its identity, or of
    /// its key. No certificate is asked for where the token says what will stand in it.
    ///
    /// # Errors
    /// Every error that concerns the identity.
    pub async fn expectation(&self, purpose: Purpose) -> Result<Policy, Error> {
        let predicted = match &*self.credential.lock().await {
            Some(credential) => Some(judge::accepted(credential.verifier())?),
            None => self.source.predict(&self.signer).await?,
        };
        let accepted = match predicted {
            Some(accepted) => accepted,
            None => judge::accepted(self.credential().await?.verifier())?,
        };
        Ok(judge::policy_of(purpose, accepted, &self.signer))
    }

    /// Gets a token and a certificate now rather than with the first signature.
    ///
    /// # Errors
    /// Every error that concerns the identity or the certificate.
    pub async fn prepare(&self) -> Result<(), Error> {
        self.credential().await.map(drop)
    }

    /// As [`prepare`](Self::prepare), for an attestation of `size` bytes: before a certificate is
    /// asked for, it makes sure that the logs take such an entry. A log is asked only where the entry
    /// would be large; nothing is logged.
    ///
    /// # Errors
    /// [`Error::Log`] with [`rekor_client::Error::TooLarge`]; as of [`prepare`](Self::prepare).
    pub async fn prepare_for(&self, size: usize) -> Result<(), Error> {
        self.check_log_size(size).await?;
        self.prepare().await
    }

    /// The certificate that signs next, got now if need be; `None` of a key of one's own.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn certificate(&self) -> Result<Option<Certificate>, Error> {
        Ok(self.credential().await?.certificate().cloned())
    }

    /// Signs `statement`: a DSSE envelope in a bundle v0.3.
    ///
    /// # Errors
    /// Any; see [`Error`]. The bundle is returned only once it verifies.
    pub async fn sign_statement(&self, statement: &Statement) -> Result<Signed, Error> {
        let artifact = subject_digest(statement)?;
        self.twice(Work::Statement { statement, artifact }).await
    }

    /// Signs the file whose digest is `file`: a message signature in a bundle v0.3.
    ///
    /// # Errors
    /// Any; see [`Error`]. The bundle is returned only once it verifies.
    pub async fn sign_file(&self, file: &FileDigest) -> Result<Signed, Error> {
        self.twice(Work::File(file)).await
    }

    /// A signature that the log has already is made once more: see [`is_logged_already`].
    async fn twice(&self, work: Work<'_>) -> Result<Signed, Error> {
        match self.sign(&work).await {
            Err(error) if is_logged_already(&error) => {
                let text = format!("{}: it is signed once more", host::with_causes(&error));
                self.signer.tell(&Event::Warning { text: &text });
                self.sign(&work).await
            }
            result => result,
        }
    }

    /// Signs, once more with a new certificate where one ended while a service was waited for.
    async fn sign(&self, work: &Work<'_>) -> Result<Signed, Error> {
        let mut renewals = 0;
        loop {
            let credential = self.credential().await?;
            let result = self.sign_with(&credential, work).await;
            let has_ended = !credential.is_fresh(self.signer.clock.now());
            let again = has_ended && renewals < MOST_RENEWALS;
            match result {
                Ok(Some(signed)) => return Ok(signed),
                Ok(None) if again => {}
                Err(error) if again && error.is_outage() => {
                    if let Error::Log { url, .. } = &error {
                        let text = format!(
                            "the certificate ended while {url} was waited for, and a new one \
                             signs: the log may hold an entry of the first signature"
                        );
                        self.signer.tell(&Event::Warning { text: &text });
                    }
                }
                Ok(None) => return Err(Error::craft("every certificate ended before its use")),
                Err(error) => return Err(error),
            }
            renewals += 1;
        }
    }

    /// Signs with `credential`; `None` when it ended while a timestamp was waited for.
    async fn sign_with(
        &self,
        credential: &Credential,
        work: &Work<'_>,
    ) -> Result<Option<Signed>, Error> {
        let until = credential.usable_until();
        let scheme = self.scheme(work, &credential.key);
        let (content, signature) = work.content(&credential.key, scheme)?;
        let timestamps = self.stamp(&signature, until).await?;
        if !credential.is_fresh(self.signer.clock.now()) {
            return Ok(None);
        }
        let artifact = work.artifact();
        if !self.signer.services.logs.is_empty() {
            // What is logged cannot be taken back.
            let bundle = credential.bundle(content.clone(), Vec::new(), &timestamps)?;
            judge::before_logging(&bundle, work.judged(), credential.verifier(), &self.signer)?;
        }
        let verifier = credential.verifier();
        let encoded = match &content {
            Content::Envelope(envelope) if self.logs_digest(work) => {
                scheme.hash().map(|hash| encoding_digest(envelope, hash))
            }
            _ => None,
        };
        let entry = match (&content, work) {
            (Content::Envelope(_), _) if let Some(digest) = &encoded => {
                Entry::Hashed { digest, signature: &signature, scheme, verifier }
            }
            (Content::Envelope(envelope), _) => Entry::Envelope { envelope, scheme, verifier },
            (Content::Message { signature, .. }, _) => {
                Entry::Hashed { digest: artifact, signature, scheme, verifier }
            }
        };
        let logged = logging::log(&entry, &self.signer, until).await?;
        let (logs, entries): (Vec<_>, Vec<_>) = logged.into_iter().unzip();
        let timestamp = timestamps.iter().map(Timestamp::gen_time).min();
        let bundle = credential.bundle(content, entries, &timestamps)?;
        judge::bundle(&bundle, work.judged(), verifier, &self.signer)?;
        let identity = credential.identity().cloned();
        let issuers = credential.issuers().to_vec();
        let key = credential.key.public_key().clone();
        Ok(Some(Signed { bundle, identity, issuers, key, logs, timestamp }))
    }

    /// A file is signed by its digest. So is a statement for a log of version 2, which holds
    /// digests only.
    fn scheme(&self, work: &Work<'_>, key: &KeyPair) -> Scheme {
        let mut logs = self.signer.services.logs.iter();
        match work {
            Work::Statement { .. } if self.logs_digest(work) => {
                key.public_key().algorithm().file_scheme()
            }
            Work::Statement { .. } if logs.all(|log| log.version == ApiVersion::V1) => key.scheme(),
            Work::Statement { .. } | Work::File(_) => key.public_key().algorithm().file_scheme(),
        }
    }

    /// Whether the logs get the digest of what is signed only, whatever their version.
    fn logs_digest(&self, work: &Work<'_>) -> bool {
        let is_attestation = |it: &Statement| it.predicate_type() != SIGN_PREDICATE_TYPE;
        self.signer.digest_only
            && matches!(work, Work::Statement { statement, .. } if is_attestation(statement))
    }

    /// Makes sure that the logs take an entry of an attestation of `size` bytes.
    async fn check_log_size(&self, size: usize) -> Result<(), Error> {
        if self.signer.digest_only {
            return Ok(());
        }
        // In base64, beside the certificate.
        let size = size.div_ceil(3).saturating_mul(4).saturating_add(ENTRY);
        for log in &self.signer.services.logs {
            let rekor = Rekor::new(log.url.clone(), log.version, Arc::clone(&self.signer.http));
            rekor.check_size(size).await.map_err(|source| Error::Log {
                url: log.url.to_string(),
                logged: Vec::new(),
                source: Box::new(source),
            })?;
        }
        Ok(())
    }

    /// The credential in use, or a new one when there is none or it nears its end.
    async fn credential(&self) -> Result<Arc<Credential>, Error> {
        let mut held = self.credential.lock().await;
        if let Some(credential) = &*held
            && credential.is_fresh(self.signer.clock.now())
        {
            return Ok(Arc::clone(credential));
        }
        let credential = Arc::new(self.source.credential(&self.signer).await?);
        *held = Some(Arc::clone(&credential));
        Ok(credential)
    }

    async fn stamp(
        &self,
        signature: &[u8],
        until: Option<SystemTime>,
    ) -> Result<Vec<Timestamp>, Error> {
        let (signer, patient) = (&self.signer, &self.signer.patient(until));
        try_join_all(signer.services.timestamp_authorities.iter().map(|url| async move {
            signer.tell(&Event::Stamping { url: url.as_str() });
            let tsa = Tsa::new(url.clone(), Arc::clone(patient));
            tsa.stamp(signature).await.map_err(|source| Error::Timestamp {
                url: url.to_string(),
                source: Box::new(source),
            })
        }))
        .await
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("signer", &self.signer)
            .field("source", &self.source.name())
            .finish_non_exhaustive()
    }
}

impl Signed {
    /// Whose signature it is, to stand after a verb: `as NAME`, or `with the key sha256:HEX`.
    pub fn by(&self) -> String {
        match &self.identity {
            Some(identity) => format!("as {}", identity.name),
            None => format!("with the key {}", Digest::sha256(self.key.spki())),
        }
    }
}

impl Work<'_> {
    fn artifact(&self) -> &Digest {
        match self {
            Self::File(file) => file.digest(),
            Self::Statement { artifact, .. } => artifact,
        }
    }

    /// What a finished bundle is compared with.
    fn judged(&self) -> Artifact<'_> {
        match self {
            Self::File(FileDigest { short: Some(content), .. }) => Artifact::Message(content),
            _ => Artifact::Digest(self.artifact()),
        }
    }

    /// The content of a bundle, and the signature in it.
    fn content(&self, key: &KeyPair, scheme: Scheme) -> Result<(Content, Vec<u8>), Error> {
        match self {
            Self::File(FileDigest { digest, message, .. }) => {
                let message = message.as_ref().map(|message| Payload::Message(message));
                let payload = message.unwrap_or(Payload::Digest(digest));
                let signature = key.sign_by(scheme, payload).map_err(Error::craft)?;
                let digest = Some(MessageDigest {
                    algorithm: digest.algorithm().sigstore_name().to_owned(),
                    digest: digest.as_bytes().to_vec(),
                });
                Ok((Content::Message { digest, signature: signature.clone() }, signature))
            }
            Self::Statement { statement, .. } => {
                let mut envelope = Envelope {
                    payload: statement.bytes().clone(),
                    payload_type: INTOTO_PAYLOAD_TYPE.to_owned(),
                    signatures: Vec::new(),
                };
                let hash = scheme.hash().filter(|_| !key.public_key().algorithm().needs_message());
                let sig = match hash.map(|hash| encoding_digest(&envelope, hash)) {
                    Some(digest) => key.sign_by(scheme, Payload::Digest(&digest)),
                    None => key.sign_by(scheme, Payload::Message(&envelope.pae())),
                };
                let sig = sig.map_err(Error::craft)?;
                envelope.signatures.push(EnvelopeSignature { sig: sig.clone(), keyid: None });
                Ok((Content::Envelope(envelope), sig))
            }
        }
    }
}

fn subject_digest(statement: &Statement) -> Result<Digest, Error> {
    let subject = statement.subjects().first();
    let subject = subject.ok_or_else(|| Error::craft("the statement has no subject"))?;
    let digest = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512]
        .into_iter()
        .find_map(|algorithm| Some((algorithm, subject.digests.get(algorithm.name())?)));
    let (algorithm, hex) =
        digest.ok_or_else(|| Error::craft("the statement's subject has no known digest"))?;
    Digest::from_hex(algorithm, hex).map_err(Error::craft)
}

/// Whether the log has this very signature and does not hand out the proof: it took the entry, and
/// its answer was lost on the way. A new signature makes a new entry.
fn is_logged_already(error: &Error) -> bool {
    matches!(error, Error::Log { source, .. } if matches!(**source, rekor_client::Error::Duplicate { .. }))
}

/// What an entry has beside the statement, in bytes.
const ENTRY: usize = 4 << 10;
/// How often a certificate is renewed for one signature.
const MOST_RENEWALS: u32 = 8;
