//! What a session signs with: a key, and what verifiers know it by.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_lock::Mutex;
use bundle::{Bundle, Content, LogEntry, VerificationMaterial};
use fulcio_client::predict::Profile;
use fulcio_client::{Fulcio, IssuerType, issued, preflight};
use futures_util::future::join;
use id_token::{IdToken, Outcome, TokenSource};
use keys::{KeyAlgorithm, KeyPair, Sign as _};
use rekor_client::Verifier;
use tsa_client::Timestamp;
use url::Url;
use verify::AcceptedSigner;
use x509::Certificate;

use crate::error::Error;
use crate::event::{Event, Identity};
use crate::services::Signer;
use crate::{judge, logs};

/// Where a session gets its credentials.
pub(crate) enum Source {
    /// From the certificate authority, for a new key of this kind and the identity of this source. A token that
    /// was got before the certificate is kept until then.
    Identity {
        source: Arc<dyn TokenSource>,
        token: Mutex<Option<IdToken>>,
        algorithm: KeyAlgorithm,
    },
    /// This key, which verifiers have.
    Key(Arc<KeyPair>),
}

/// A key, and what verifiers know it by.
pub(crate) struct Credential {
    pub(crate) key: Arc<KeyPair>,
    holder: Holder,
}

enum Holder {
    /// The certificate says whose key it is. It is used for so long from when it was taken.
    Identity {
        leaf: Certificate,
        issuers: Vec<Certificate>,
        identity: Identity,
        taken: SystemTime,
        use_for: Duration,
    },
    /// Verifiers have the key.
    Key,
}

impl Source {
    pub(crate) fn identity(source: Arc<dyn TokenSource>) -> Self {
        let algorithm = KeyAlgorithm::EcdsaP256;
        Self::Identity { source, token: Mutex::default(), algorithm }
    }

    /// The name of the identity source.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Identity { source, .. } => source.name(),
            Self::Key(_) => "key",
        }
    }

    /// The kind of key in the credentials.
    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Identity { algorithm, .. } => *algorithm,
            Self::Key(key) => key.public_key().algorithm(),
        }
    }

    /// Gets a credential: with an identity, a token and a certificate.
    pub(crate) async fn credential(&self, signer: &Signer) -> Result<Credential, Error> {
        match self {
            Self::Identity { source, token, algorithm } => {
                certify(&**source, token, *algorithm, signer).await
            }
            Self::Key(key) => {
                logs::check(signer, signer.clock.now()).await?;
                Ok(Credential { key: Arc::clone(key), holder: Holder::Key })
            }
        }
    }
}

impl Source {
    /// Gets a token, and what the certificate authority publishes, at the same time.
    pub(crate) async fn begin(&self, signer: &Signer) -> Result<(), Error> {
        match self {
            Self::Identity { source, token, .. } => {
                join(keep_token(&**source, token, signer), signer.ask_ahead()).await.0.map(drop)
            }
            Self::Key(_) => Ok(()),
        }
    }

    /// Whose signatures these will be; `None` where only a certificate will tell.
    pub(crate) async fn predict(&self, signer: &Signer) -> Result<Option<AcceptedSigner>, Error> {
        let (source, token) = match self {
            Self::Identity { source, token, .. } => (source, token),
            Self::Key(key) => return Ok(Some(AcceptedSigner::key(key.public_key().clone()))),
        };
        let token = keep_token(&**source, token, signer).await?;
        let authority = signer.authority().await;
        let claims = token.claims();
        let issuer = authority.configuration.as_ref().zip(claims.issuer());
        let issuer = issuer.and_then(|(configuration, issuer)| configuration.issuer_for(issuer));
        let predicted = issuer.and_then(|issuer| Profile::of(issuer, claims).predict(claims));
        Ok(predicted.map(|it| judge::identity(it.subject.as_str(), &it.issuer)))
    }
}

impl Credential {
    /// What a verifier checks a signature with.
    pub(crate) fn verifier(&self) -> Verifier<'_> {
        match &self.holder {
            Holder::Identity { leaf, .. } => Verifier::Certificate(leaf),
            Holder::Key => Verifier::PublicKey(self.key.public_key()),
        }
    }

    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match &self.holder {
            Holder::Identity { leaf, .. } => Some(leaf),
            Holder::Key => None,
        }
    }

    /// The certificates that issued it.
    pub(crate) fn issuers(&self) -> &[Certificate] {
        match &self.holder {
            Holder::Identity { issuers, .. } => issuers,
            Holder::Key => &[],
        }
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        match &self.holder {
            Holder::Identity { identity, .. } => Some(identity),
            Holder::Key => None,
        }
    }

    pub(crate) fn bundle(
        &self,
        content: Content,
        entries: Vec<LogEntry>,
        timestamps: &[Timestamp],
    ) -> Result<Bundle, Error> {
        let material = match &self.holder {
            Holder::Identity { leaf, .. } => VerificationMaterial::Certificate(leaf.der().to_vec()),
            Holder::Key => {
                VerificationMaterial::PublicKey { hint: Some(self.key.public_key().hint()) }
            }
        };
        let timestamps = timestamps.iter().map(|timestamp| timestamp.der().to_vec()).collect();
        Bundle::new(material, content, entries, timestamps).map_err(Error::craft)
    }

    /// Counted from when the certificate was taken, so that a wrong local clock does not matter.
    pub(crate) fn is_fresh(&self, now: SystemTime) -> bool {
        match &self.holder {
            Holder::Identity { taken, use_for, .. } => {
                now.duration_since(*taken).is_ok_and(|age| age < *use_for)
            }
            Holder::Key => true,
        }
    }

    /// When it is not fresh any more; `None` for a key.
    pub(crate) fn usable_until(&self) -> Option<SystemTime> {
        match &self.holder {
            Holder::Identity { taken, use_for, .. } => taken.checked_add(*use_for),
            Holder::Key => None,
        }
    }
}

/// Gets a certificate, once more with a new token where one ended while the certificate authority was
/// waited for.
async fn certify(
    source: &dyn TokenSource,
    kept: &Mutex<Option<IdToken>>,
    algorithm: KeyAlgorithm,
    signer: &Signer,
) -> Result<Credential, Error> {
    let Some(url) = &signer.services.fulcio else {
        let reason = "an identity needs a certificate, and no certificate authority is in use";
        return Err(Error::Unverifiable { reason: reason.to_owned() });
    };
    let mut renewals = 0;
    loop {
        let token = keep_token(source, kept, signer).await?;
        let result = certify_with(&token, source.name(), url, algorithm, signer).await;
        let has_ended = !is_alive(&token, signer.clock.now());
        match result {
            Err(error) if error.is_outage() && has_ended && renewals < MOST_RENEWALS => {
                renewals += 1;
            }
            result => {
                // The next certificate needs a new one.
                kept.lock().await.take();
                return result;
            }
        }
    }
}

/// The token that was got before, or a new one.
async fn keep_token(
    source: &dyn TokenSource,
    kept: &Mutex<Option<IdToken>>,
    signer: &Signer,
) -> Result<IdToken, Error> {
    let mut kept = kept.lock().await;
    if let Some(token) = kept.as_ref().filter(|token| is_alive(token, signer.clock.now())) {
        return Ok(token.clone());
    }
    let token = token(source, signer).await?;
    *kept = Some(token.clone());
    Ok(token)
}

fn is_alive(token: &IdToken, now: SystemTime) -> bool {
    let end = token.claims().expires_at();
    end.is_none_or(|end| end.duration_since(now).is_ok_and(|left| left >= TOKEN_MIN_TTL))
}

async fn certify_with(
    token: &IdToken,
    provider: &str,
    url: &Url,
    algorithm: KeyAlgorithm,
    signer: &Signer,
) -> Result<Credential, Error> {
    check_token(token, provider, signer).await?;
    logs::check(signer, signer.clock.now()).await?;

    signer.tell(&Event::Requesting { url: url.as_str() });
    let key = KeyPair::generate_for(algorithm).map_err(Error::craft)?;
    let refused = |source| Error::Certificate { url: url.to_string(), source: Box::new(source) };
    let usable = token.claims().expires_at().and_then(|end| end.checked_sub(TOKEN_MIN_TTL));
    let fulcio = Fulcio::new(url.clone(), signer.patient(usable));
    let chain = fulcio.issue(token, &key).await.map_err(refused)?;
    let taken = signer.clock.now();
    let mut chain = chain.into_iter();
    let leaf = chain.next().ok_or_else(|| Error::craft("an empty chain"))?;
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
    let issuers = chain.collect();
    let holder = Holder::Identity { leaf, issuers, identity, taken, use_for };
    Ok(Credential { key: Arc::new(key), holder })
}

async fn token(source: &dyn TokenSource, signer: &Signer) -> Result<IdToken, Error> {
    let provider = source.name();
    signer.tell(&Event::Looking { provider });
    match source.find(&signer.audience, TOKEN_MIN_TTL).await {
        Outcome::Found(found) => {
            signer.tell(&Event::Found { provider, evidence: &found.evidence });
            Ok(found.token)
        }
        Outcome::Broken(broken) => {
            Err(Error::IdentityBroken { provider: provider.to_owned(), broken: Box::new(broken) })
        }
        Outcome::Absent(absence) => {
            Err(Error::IdentityMissing { provider: provider.to_owned(), absence })
        }
        _ => Err(Error::craft("the identity source gave an unknown outcome")),
    }
}

/// Fulcio answers nearly every fault of a token with the same words, so that the faults are looked
/// for here first.
async fn check_token(token: &IdToken, provider: &str, signer: &Signer) -> Result<(), Error> {
    let authority = signer.authority().await;
    let configuration = authority.configuration.as_ref();
    let now = authority.time(signer.clock.now());
    let warnings =
        preflight::check(token, &signer.audience, configuration, now).map_err(|source| {
            Error::Preflight { provider: provider.to_owned(), source: Box::new(source) }
        })?;
    for warning in warnings {
        signer.tell(&Event::Warning { text: &warning.to_string() });
    }
    Ok(())
}

/// A signature must reach the log within the certificate's life, and a log may take its minute. A
/// certificate too short for that margin is used for half its life.
fn use_for(leaf: &Certificate) -> Duration {
    let life = leaf.not_after().duration_since(leaf.not_before()).unwrap_or_default();
    life.saturating_sub(MARGIN).max(life / 2)
}

/// Whether a token of such an issuer says exactly what its certificate will be. Of others it depends
/// on a template that the certificate authority does not tell.
fn is_certain(issuer_type: &IssuerType) -> bool {
    matches!(
        issuer_type,
        IssuerType::Kubernetes | IssuerType::Spiffe | IssuerType::Uri | IssuerType::Username
    )
}

fn untrusted(source: x509::Error) -> Error {
    Error::Untrusted(Box::new(source))
}

/// How long a token must still live when a source hands it out: one request to Fulcio.
const TOKEN_MIN_TTL: Duration = Duration::from_secs(10);

/// How long before its end a certificate is not used for new signatures.
const MARGIN: Duration = Duration::from_secs(90);

/// How often a token is renewed for one certificate.
const MOST_RENEWALS: u32 = 8;
