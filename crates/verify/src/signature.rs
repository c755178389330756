use bundle::{Content, Envelope};
use keys::{Digest, HashAlgorithm, KeyAlgorithm, Payload, PublicKey, Scheme};
use x509::Certificate;

use crate::artifact::Artifact;
use crate::check::{Check, Error};
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
        let pure_first = self.envelope().is_some();
        match self.key.algorithm() {
            KeyAlgorithm::EcdsaP256 => vec![Scheme::EcdsaP256Sha256],
            KeyAlgorithm::EcdsaP384 => vec![Scheme::EcdsaP384Sha384, Scheme::EcdsaP384Sha256],
            KeyAlgorithm::EcdsaP521 => vec![Scheme::EcdsaP521Sha512, Scheme::EcdsaP521Sha256],
            KeyAlgorithm::Ed25519 if pure_first => vec![Scheme::Ed25519, Scheme::Ed25519ph],
            KeyAlgorithm::Ed25519 => vec![Scheme::Ed25519ph, Scheme::Ed25519],
            KeyAlgorithm::Rsa { bits } => {
                vec![Scheme::RsaPkcs1Sha256 { bits }, Scheme::RsaPssSha256 { bits }]
            }
        }
    }
}

enum Given<'a> {
    Digest(Digest),
    Message(&'a [u8]),
}
