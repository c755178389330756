//! One identity that signs.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_lock::Mutex;
use bundle::{
    Bundle, Content, Envelope, EnvelopeSignature, INTOTO_PAYLOAD_TYPE, LogEntry, MessageDigest,
    Statement, VerificationMaterial, pae,
};
use fulcio_client::{Fulcio, IssuerType, issued, preflight};
use futures_util::future::try_join_all;
use id_token::{IdToken, Outcome, TokenSource};
use keys::{Digest, HashAlgorithm, KeyPair, Payload, Sign as _};
use rekor_client::{Entry, Rekor, Verifier};
use tsa_client::{Timestamp, Tsa};
use url::Url;
use x509::Certificate;

use crate::content::FileDigest;
use crate::error::Error;
use crate::event::{Event, Identity};
use crate::services::Signer;
use crate::{judge, logs};

/// One identity, one key, one certificate, any number of signatures.
///
/// Safe to use from many tasks at once: the certificate is asked for once. When it nears its end,
/// the session takes a new token, a new key and a new certificate by itself.
pub struct Session {
    signer: Signer,
    source: Arc<dyn TokenSource>,
    /// Held while a certificate is asked for, so that tasks at the same time ask for one.
    credential: Mutex<Option<Arc<Credential>>>,
}

/// A signature and the facts about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Signed {
    /// The bundle, already verified.
    pub bundle: Bundle,
    /// The identity in the certificate.
    pub identity: Identity,
    /// Where it was logged; empty when no log is in use.
    pub logs: Vec<LogRecord>,
    /// The earliest time that a timestamp authority attests, when one is in use.
    pub timestamp: Option<SystemTime>,
}

/// Where a signature was logged.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct LogRecord {
    /// The log.
    pub url: Url,
    /// The entry's index in it.
    pub index: u64,
}

/// A key, the certificate for it, and until when to use them.
struct Credential {
    key: KeyPair,
    leaf: Certificate,
    identity: Identity,
    taken: SystemTime,
    use_for: Duration,
}

/// What is signed.
enum Work<'a> {
    /// A file, by its digest.
    File(&'a Digest),
    /// A statement about the artifact that has this digest.
    Statement { statement: &'a Statement, artifact: Digest },
}

impl Session {
    /// Will sign with the identity of `source`. Asks for nothing yet.
    pub fn new(signer: Signer, source: Arc<dyn TokenSource>) -> Self {
        Self { signer, source, credential: Mutex::default() }
    }

    /// Gets a token and a certificate now rather than with the first signature.
    ///
    /// # Errors
    /// Every error that concerns the identity or the certificate.
    pub async fn prepare(&self) -> Result<Identity, Error> {
        Ok(self.credential().await?.identity.clone())
    }

    /// The certificate that signs next, got now if need be.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub async fn certificate(&self) -> Result<Certificate, Error> {
        Ok(self.credential().await?.leaf.clone())
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
        self.twice(Work::File(file.digest())).await
    }

    /// A signature that the log has already is made once more: see [`is_logged_already`].
    async fn twice(&self, work: Work<'_>) -> Result<Signed, Error> {
        match self.sign(&work).await {
            Err(error) if is_logged_already(&error) => self.sign(&work).await,
            result => result,
        }
    }

    async fn sign(&self, work: &Work<'_>) -> Result<Signed, Error> {
        let credential = self.credential().await?;
        let (content, signature) = work.content(&credential.key)?;
        let timestamps = self.stamp(&signature).await?;
        let artifact = work.artifact();
        if !self.signer.services.logs.is_empty() {
            // What is logged cannot be taken back.
            let bundle = credential.bundle(content.clone(), Vec::new(), &timestamps)?;
            judge::before_logging(&bundle, artifact, &credential.leaf, &self.signer)?;
        }
        let (scheme, verifier) = (credential.key.scheme(), Verifier::Certificate(&credential.leaf));
        let entry = match (&content, work) {
            (Content::Envelope(envelope), _) => Entry::Envelope { envelope, scheme, verifier },
            (Content::Message { signature, .. }, _) => {
                Entry::Hashed { digest: artifact, signature, scheme, verifier }
            }
        };
        let (logs, entries): (Vec<_>, Vec<_>) = self.log(&entry).await?.into_iter().unzip();
        let timestamp = timestamps.iter().map(Timestamp::gen_time).min();
        let bundle = credential.bundle(content, entries, &timestamps)?;
        judge::bundle(&bundle, artifact, &credential.leaf, &self.signer)?;
        Ok(Signed { bundle, identity: credential.identity.clone(), logs, timestamp })
    }

    /// The credential in use, or a new one when there is none or it nears its end.
    async fn credential(&self) -> Result<Arc<Credential>, Error> {
        let mut held = self.credential.lock().await;
        if let Some(credential) = &*held
            && credential.is_fresh(self.signer.clock.now())
        {
            return Ok(Arc::clone(credential));
        }
        let credential = Arc::new(self.certify().await?);
        *held = Some(Arc::clone(&credential));
        Ok(credential)
    }

    async fn certify(&self) -> Result<Credential, Error> {
        let signer = &self.signer;
        let provider = self.source.name();
        let token = self.token().await?;
        let url = &signer.services.fulcio;
        self.check_token(&token).await?;
        logs::check(signer, signer.clock.now()).await?;

        signer.tell(&Event::Requesting { url: url.as_str() });
        let key = KeyPair::generate().map_err(Error::craft)?;
        let refused =
            |source| Error::Certificate { url: url.to_string(), source: Box::new(source) };
        let fulcio = Fulcio::new(url.clone(), Arc::clone(&signer.http));
        let chain = fulcio.issue(&token, &key).await.map_err(refused)?;
        let taken = signer.clock.now();
        let leaf = chain.into_iter().next().ok_or_else(|| Error::craft("an empty chain"))?;
        let identity = Identity {
            name: leaf.subject_name().map_err(untrusted)?.as_str().to_owned(),
            issuer: leaf
                .oidc_issuer()
                .map_err(untrusted)?
                .ok_or_else(|| Error::Untrusted("the certificate names no OIDC issuer".into()))?,
            provider: provider.to_owned(),
        };
        let configuration = signer.configuration().await;
        if let Some(Err(difference)) = issued::compare(&leaf, token.claims(), configuration) {
            // Of the issuers that `fulcio_client` knows, the client refused it.
            let issuer = token.claims().issuer();
            let issuer = configuration.and_then(|it| it.issuer_for(issuer.unwrap_or_default()));
            if issuer.is_some_and(|issuer| is_certain(&issuer.issuer_type)) {
                return Err(Error::Untrusted(Box::new(difference)));
            }
            let text = format!("the certificate differs from the identity token: {difference}");
            signer.tell(&Event::Warning { text: &text });
        }
        judge::certificate(&leaf, signer)?;
        signer.tell(&Event::Certified { identity: &identity, not_after: leaf.not_after() });
        let use_for = use_for(&leaf);
        Ok(Credential { key, leaf, identity, taken, use_for })
    }

    async fn token(&self) -> Result<IdToken, Error> {
        let provider = self.source.name();
        self.signer.tell(&Event::Looking { provider });
        match self.source.find(&self.signer.audience, TOKEN_MIN_TTL).await {
            Outcome::Found(found) => {
                self.signer.tell(&Event::Found { provider, evidence: &found.evidence });
                Ok(found.token)
            }
            Outcome::Broken(broken) => Err(Error::IdentityBroken {
                provider: provider.to_owned(),
                broken: Box::new(broken),
            }),
            Outcome::Absent(absence) => {
                Err(Error::IdentityMissing { provider: provider.to_owned(), absence })
            }
            _ => Err(Error::craft("the identity source gave an unknown outcome")),
        }
    }

    /// Fulcio answers nearly every fault of a token with the same words, so that the faults are
    /// looked for here first.
    async fn check_token(&self, token: &IdToken) -> Result<(), Error> {
        let authority = self.signer.authority().await;
        let configuration = authority.configuration.as_ref();
        let now = authority.time(self.signer.clock.now());
        let provider = self.source.name();
        let warnings = preflight::check(token, &self.signer.audience, configuration, now).map_err(
            |source| Error::Preflight { provider: provider.to_owned(), source: Box::new(source) },
        )?;
        for warning in warnings {
            self.signer.tell(&Event::Warning { text: &warning.to_string() });
        }
        Ok(())
    }

    async fn stamp(&self, signature: &[u8]) -> Result<Vec<Timestamp>, Error> {
        let signer = &self.signer;
        try_join_all(signer.services.timestamp_authorities.iter().map(|url| async move {
            signer.tell(&Event::Stamping { url: url.as_str() });
            let tsa = Tsa::new(url.clone(), Arc::clone(&signer.http));
            tsa.stamp(signature).await.map_err(|source| Error::Timestamp {
                url: url.to_string(),
                source: Box::new(source),
            })
        }))
        .await
    }

    async fn log(&self, entry: &Entry<'_>) -> Result<Vec<(LogRecord, LogEntry)>, Error> {
        let signer = &self.signer;
        try_join_all(signer.services.logs.iter().map(|log| async move {
            let url = log.url.clone();
            signer.tell(&Event::Logging { url: url.as_str() });
            let rekor = Rekor::new(url.clone(), log.version, Arc::clone(&signer.http));
            match rekor.submit(entry).await {
                Ok(logged) => Ok((LogRecord { url, index: logged.log_index }, logged)),
                Err(source) => Err(Error::Log { url: url.into(), source: Box::new(source) }),
            }
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

impl Work<'_> {
    fn artifact(&self) -> &Digest {
        match self {
            Self::File(digest) => digest,
            Self::Statement { artifact, .. } => artifact,
        }
    }

    /// The content of a bundle, and the signature in it.
    fn content(&self, key: &KeyPair) -> Result<(Content, Vec<u8>), Error> {
        match self {
            Self::File(digest) => {
                let signature = key.sign(Payload::Digest(digest)).map_err(Error::craft)?;
                let digest = Some(MessageDigest {
                    algorithm: digest.algorithm().sigstore_name().to_owned(),
                    digest: digest.as_bytes().to_vec(),
                });
                Ok((Content::Message { digest, signature: signature.clone() }, signature))
            }
            Self::Statement { statement, .. } => {
                let payload = statement.to_json();
                let encoding = pae(INTOTO_PAYLOAD_TYPE, &payload);
                let sig = key.sign(Payload::Message(&encoding)).map_err(Error::craft)?;
                let envelope = Envelope {
                    payload,
                    payload_type: INTOTO_PAYLOAD_TYPE.to_owned(),
                    signatures: vec![EnvelopeSignature { sig: sig.clone(), keyid: None }],
                };
                Ok((Content::Envelope(envelope), sig))
            }
        }
    }
}

impl Credential {
    fn bundle(
        &self,
        content: Content,
        entries: Vec<LogEntry>,
        timestamps: &[Timestamp],
    ) -> Result<Bundle, Error> {
        Bundle::new(
            VerificationMaterial::Certificate(self.leaf.der().to_vec()),
            content,
            entries,
            timestamps.iter().map(|timestamp| timestamp.der().to_vec()).collect(),
        )
        .map_err(Error::craft)
    }

    /// Counted from when it was taken, so that a wrong local clock does not matter.
    fn is_fresh(&self, now: SystemTime) -> bool {
        now.duration_since(self.taken).is_ok_and(|age| age < self.use_for)
    }
}

/// A signature must reach the log within the certificate's life, and a log may take its minute. A
/// certificate too short for that margin is used for half its life.
fn use_for(leaf: &Certificate) -> Duration {
    let life = leaf.not_after().duration_since(leaf.not_before()).unwrap_or_default();
    life.saturating_sub(MARGIN).max(life / 2)
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

/// Whether a token of such an issuer says exactly what its certificate will be. Of others it depends
/// on a template that the certificate authority does not tell.
fn is_certain(issuer_type: &IssuerType) -> bool {
    matches!(
        issuer_type,
        IssuerType::Kubernetes | IssuerType::Spiffe | IssuerType::Uri | IssuerType::Username
    )
}

/// Whether the log has this very signature and does not hand out the proof: it took the entry, and
/// its answer was lost on the way. A new signature makes a new entry.
fn is_logged_already(error: &Error) -> bool {
    matches!(error, Error::Log { source, .. } if matches!(**source, rekor_client::Error::Duplicate { .. }))
}

fn untrusted(source: x509::Error) -> Error {
    Error::Untrusted(Box::new(source))
}

/// How long a token must still live when a source hands it out: one request to Fulcio.
const TOKEN_MIN_TTL: Duration = Duration::from_secs(10);

/// How long before its end a certificate is not used for new signatures.
const MARGIN: Duration = Duration::from_secs(90);
