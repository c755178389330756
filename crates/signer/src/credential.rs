//! What a session signs with: a key, and what verifiers know it by.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bundle::{Bundle, Content, LogEntry, VerificationMaterial};
use fulcio_client::{Fulcio, IssuerType, issued, preflight};
use id_token::{IdToken, Outcome, TokenSource};
use keys::{KeyAlgorithm, KeyPair, Sign as _};
use rekor_client::Verifier;
use tsa_client::Timestamp;
use x509::Certificate;

use crate::error::Error;
use crate::event::{Event, Identity};
use crate::services::Signer;
use crate::{judge, logs};

/// Where a session gets its credentials.
pub(crate) enum Source {
    /// From the certificate authority, for a new key of this kind and the identity of this source.
    Identity(Arc<dyn TokenSource>, KeyAlgorithm),
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
        Self::Identity(source, KeyAlgorithm::EcdsaP256)
    }

    /// The name of the identity source.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Identity(source, _) => source.name(),
            Self::Key(_) => "key",
        }
    }

    /// The kind of key in the credentials.
    pub(crate) fn algorithm(&self) -> KeyAlgorithm {
        match self {
            Self::Identity(_, algorithm) => *algorithm,
            Self::Key(key) => key.public_key().algorithm(),
        }
    }

    /// Gets a credential: with an identity, a token and a certificate.
    pub(crate) async fn credential(&self, signer: &Signer) -> Result<Credential, Error> {
        match self {
            Self::Identity(source, algorithm) => certify(&**source, *algorithm, signer).await,
            Self::Key(key) => {
                logs::check(signer, signer.clock.now()).await?;
                Ok(Credential { key: Arc::clone(key), holder: Holder::Key })
            }
        }
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
}

async fn certify(
    source: &dyn TokenSource,
    algorithm: KeyAlgorithm,
    signer: &Signer,
) -> Result<Credential, Error> {
    let provider = source.name();
    let Some(url) = &signer.services.fulcio else {
        let reason = "an identity needs a certificate, and no certificate authority is in use";
        return Err(Error::Unverifiable { reason: reason.to_owned() });
    };
    let token = token(source, signer).await?;
    check_token(&token, provider, signer).await?;
    logs::check(signer, signer.clock.now()).await?;

    signer.tell(&Event::Requesting { url: url.as_str() });
    let key = KeyPair::generate_for(algorithm).map_err(Error::craft)?;
    let refused = |source| Error::Certificate { url: url.to_string(), source: Box::new(source) };
    let fulcio = Fulcio::new(url.clone(), Arc::clone(&signer.http));
    let chain = fulcio.issue(&token, &key).await.map_err(refused)?;
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
