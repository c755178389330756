use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{Content, Envelope};
use keys::{Digest, HashAlgorithm, KeyAlgorithm, Payload, PublicKey, Scheme};
use x509::Certificate;

use crate::artifact::Artifact;
use crate::check::{Check, Error, plain};
use crate::entry::hex;
use crate::judge::Matter;

/// What was signed, by which key, as the bundle and the caller say: the one thing that log entries
/// and timestamps are compared with.
pub(crate) struct Signed<'a> {
    pub(crate) content: &'a Content,
    pub(crate) artifact: &'a Artifact<'a>,
    pub(crate) signature: &'a [u8],
    pub(crate) key: &'a PublicKey,
    /// `None`: the key was known beforehand.
    pub(crate) certificate: Option<&'a Certificate>,
    /// The bytes an envelope's signature is over.
    pub(crate) pae: Vec<u8>,
}

impl<'a> Signed<'a> {
    pub(crate) fn new(
        matter: &'a Matter<'a>,
        artifact: &'a Artifact<'a>,
        key: &'a PublicKey,
        certificate: Option<&'a Certificate>,
    ) -> Self {
        let pae = match matter.content {
            Content::Envelope(envelope) => envelope.pae(),
            Content::Message { .. } => Vec::new(),
        };
        let (content, signature) = (matter.content, matter.signature);
        Self { content, artifact, signature, key, certificate, pae }
    }

    pub(crate) fn envelope(&self) -> Option<&'a Envelope> {
        match self.content {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        }
    }

    /// The digest of the signed bytes, when they or it are known.
    pub(crate) fn digest(&self, algorithm: HashAlgorithm) -> Option<Digest> {
        match self.content {
            Content::Envelope(_) => Some(Digest::of(algorithm, &self.pae)),
            Content::Message { .. } => self.artifact.digest(algorithm),
        }
    }

    /// Verifies the signature over the signed bytes, and finds by which scheme it was made.
    pub(crate) fn verify(&self) -> Result<Scheme, Error> {
        let mut wrong = None;
        let schemes = self.schemes();
        for scheme in &schemes {
            let verified = match self.payload(*scheme) {
                None => continue,
                Some(Given::Message(message)) => {
                    self.key.verify(*scheme, Payload::Message(message), self.signature)
                }
                Some(Given::Digest(digest)) => {
                    self.key.verify(*scheme, Payload::Digest(&digest), self.signature)
                }
            };
            match verified {
                Ok(()) => return Ok(*scheme),
                Err(error) => wrong = Some(error),
            }
        }
        match wrong {
            Some(error) => Err(Check::Signature(error).into()),
            // Not even tried: the digest given is not one this key signs.
            None => {
                let expected = schemes
                    .iter()
                    .map(|scheme| scheme.hash().map_or("the message", |algorithm| algorithm.name()))
                    .collect::<Vec<_>>();
                Err(Error::Artifact {
                    expected: expected.join(" or "),
                    found: self.artifact.describe(),
                })
            }
        }
    }

    /// What the bundle says of the signature beside it, signed by nobody, must at least be true.
    pub(crate) fn check_hints(&self, scheme: Scheme, hint: Option<&str>) -> Result<(), Check> {
        match (self.content, scheme.hash()) {
            (Content::Message { digest: Some(digest), .. }, Some(algorithm)) => {
                check_algorithm(&digest.algorithm, &[algorithm])
            }
            _ => self.check_key_id(hint),
        }
    }

    /// A key id need not be there, and is signed by nobody; one that names another key than the one
    /// that made the signature is a contradiction.
    fn check_key_id(&self, hint: Option<&str>) -> Result<(), Check> {
        let signature = self.envelope().and_then(|envelope| envelope.signatures.first());
        let Some(found) = signature.and_then(|signature| signature.keyid.as_deref()) else {
            return Ok(());
        };
        let id = self.key.id();
        let expected = STANDARD.encode(id);
        let bare = found.strip_prefix("SHA256:").unwrap_or(found).trim_end_matches('=');
        let names_it = bare == expected.trim_end_matches('=') || bare == hex(&id);
        if names_it || hint == Some(found) {
            return Ok(());
        }
        Err(Check::KeyId { expected, found: plain(found) })
    }

    fn payload(&self, scheme: Scheme) -> Option<Given<'_>> {
        match (self.content, self.artifact) {
            (Content::Envelope(_), _) => Some(Given::Message(&self.pae)),
            (Content::Message { .. }, Artifact::Message(message)) => Some(Given::Message(message)),
            (Content::Message { .. }, _) => self.artifact.digest(scheme.hash()?).map(Given::Digest),
        }
    }

    /// The schemes a key of this kind may have signed by, the usual one first. The others were
    /// used by older clients, or by clients that take the pure form over messages they hold.
    fn schemes(&self) -> Vec<Scheme> {
        let mut schemes = schemes(self.key);
        if self.envelope().is_some() && self.key.algorithm() == KeyAlgorithm::Ed25519 {
            schemes.reverse();
        }
        schemes
    }
}

/// By which schemes a key may have signed a message, the usual one first.
fn schemes(key: &PublicKey) -> Vec<Scheme> {
    match key.algorithm() {
        KeyAlgorithm::EcdsaP256 => vec![Scheme::EcdsaP256Sha256],
        KeyAlgorithm::EcdsaP384 => vec![Scheme::EcdsaP384Sha384, Scheme::EcdsaP384Sha256],
        KeyAlgorithm::EcdsaP521 => vec![Scheme::EcdsaP521Sha512, Scheme::EcdsaP521Sha256],
        KeyAlgorithm::Ed25519 => vec![Scheme::Ed25519ph, Scheme::Ed25519],
        KeyAlgorithm::Rsa { bits } => {
            vec![Scheme::RsaPkcs1Sha256 { bits }, Scheme::RsaPssSha256 { bits }]
        }
    }
}

/// Which digests of a message `key` may have signed.
pub(crate) fn hashes(key: &PublicKey) -> Vec<HashAlgorithm> {
    schemes(key).into_iter().filter_map(Scheme::hash).collect()
}

/// Demands that the digest in a bundle, by its Sigstore name, is by one of the `signed` ones.
pub(crate) fn check_algorithm(named: &str, signed: &[HashAlgorithm]) -> Result<(), Check> {
    if signed.iter().any(|algorithm| algorithm.sigstore_name() == named) {
        return Ok(());
    }
    let expected: Vec<_> = signed.iter().map(|algorithm| algorithm.sigstore_name()).collect();
    Err(Check::DigestAlgorithm { expected: expected.join(" or "), found: plain(named) })
}

enum Given<'a> {
    Digest(Digest),
    Message(&'a [u8]),
}
