use std::borrow::Cow;
use std::cell::RefCell;

use bundle::{Content, Envelope};
use keys::{Digest, HashAlgorithm, KeyAlgorithm, Payload, PublicKey, Scheme};
use x509::Certificate;

use crate::artifact::{Artifact, check_algorithm};
use crate::candidate::Candidate;
use crate::check::{Check, Error};
use crate::scheme::schemes;
use crate::text::hex;
use crate::verified::Warning;

/// What was signed by which key, as the bundle and the caller say. Log entries and timestamps are
/// compared with this.
pub(crate) struct Signed<'a> {
    pub(crate) content: &'a Content,
    pub(crate) artifact: &'a Artifact<'a>,
    pub(crate) signature: &'a [u8],
    pub(crate) key: &'a PublicKey,
    /// `None`: the key was known beforehand.
    pub(crate) certificate: Option<&'a Certificate>,
    /// The digests of the signed bytes that were computed so far.
    digests: RefCell<Vec<Digest>>,
}

/// How many bytes are hashed twice rather than verified from their digest.
const SHORT: usize = 64 << 10;

enum SignedInput<'a> {
    Digest(Digest),
    Message(Cow<'a, [u8]>),
}

impl<'a> Signed<'a> {
    pub(crate) fn new(
        candidate: &Candidate<'a>,
        artifact: &'a Artifact<'a>,
        key: &'a PublicKey,
        certificate: Option<&'a Certificate>,
    ) -> Self {
        let (content, signature) = (candidate.content, candidate.signature);
        Self { content, artifact, signature, key, certificate, digests: RefCell::default() }
    }

    pub(crate) fn envelope(&self) -> Option<&'a Envelope> {
        match self.content {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        }
    }

    /// The digest of the signed bytes, when they or it are known.
    pub(crate) fn digest(&self, algorithm: HashAlgorithm) -> Option<Digest> {
        let known = |digests: &[Digest]| {
            digests.iter().find(|digest| digest.algorithm() == algorithm).cloned()
        };
        if let Some(digest) = known(&self.digests.borrow()) {
            return Some(digest);
        }
        let digest = match self.content {
            // Not copied for hashing: a payload may be large.
            Content::Envelope(envelope) => Digest::of_pieces(algorithm, envelope.pae_pieces()),
            Content::Message { .. } => self.artifact.digest(algorithm)?,
        };
        self.digests.borrow_mut().push(digest.clone());
        Some(digest)
    }

    /// Verifies the signature over the signed bytes, and finds the scheme it was made by.
    pub(crate) fn verify(&self) -> Result<Scheme, Error> {
        let mut wrong = None;
        let mut needs_message = false;
        let schemes = self.schemes();
        for scheme in &schemes {
            let verified = match self.payload(*scheme) {
                None => {
                    needs_message |= scheme.hash().is_none();
                    continue;
                }
                Some(SignedInput::Message(message)) => {
                    self.key.verify(*scheme, Payload::Message(&message), self.signature)
                }
                Some(SignedInput::Digest(digest)) => {
                    self.key.verify(*scheme, Payload::Digest(&digest), self.signature)
                }
            };
            match verified {
                Ok(()) => return Ok(*scheme),
                Err(error) => wrong = Some(error),
            }
        }
        match wrong {
            Some(error) if !needs_message => Err(Check::Signature(error).into()),
            // It may be over the whole message, which no digest can stand for; or the digest given
            // is not one that this key signs.
            _ => {
                let needed = |scheme: &Scheme| match scheme.hash() {
                    Some(algorithm) if wrong.is_none() => Some(algorithm.name()),
                    Some(_) => None,
                    None => Some("the file itself"),
                };
                let expected: Vec<_> = schemes.iter().filter_map(needed).collect();
                Err(Error::Artifact {
                    expected: expected.join(" or "),
                    found: self.artifact.describe(),
                })
            }
        }
    }

    /// The digest that a bundle gives beside its signature must be by the algorithm that was
    /// signed.
    pub(crate) fn check_digest_algorithm(&self, scheme: Scheme) -> Result<(), Check> {
        match (self.content, scheme.hash()) {
            (Content::Message { digest: Some(digest), .. }, Some(algorithm)) => {
                check_algorithm(&digest.algorithm, &[algorithm])
            }
            _ => Ok(()),
        }
    }

    /// A key id that does not name the key which made the signature. It is not signed, and there is
    /// more than one convention: a warning.
    pub(crate) fn key_id_warning(&self, hint: Option<&str>) -> Option<Warning> {
        let signature = self.envelope()?.signatures.first()?;
        let found = signature.keyid.as_deref().filter(|found| !found.is_empty())?;
        let id = self.key.id();
        let expected = self.key.hint();
        let bare = found.strip_prefix("SHA256:").unwrap_or(found).trim_end_matches('=');
        let names_it = bare == expected.trim_end_matches('=') || bare == hex(&id);
        let known = names_it || hint == Some(found);
        (!known).then(|| Warning::KeyId { expected, found: found.chars().take(100).collect() })
    }

    /// Short content as it is: some schemes verify several times faster from a message than from
    /// its digest. Long content by its digest, which the entry of a log needs as well.
    fn payload(&self, scheme: Scheme) -> Option<SignedInput<'_>> {
        let length = match (self.content, self.artifact) {
            (Content::Envelope(envelope), _) => envelope.payload.len(),
            (Content::Message { .. }, Artifact::Message(message)) => message.len(),
            (Content::Message { .. }, _) => usize::MAX,
        };
        if let Some(algorithm) = scheme.hash().filter(|_| length > SHORT) {
            return self.digest(algorithm).map(SignedInput::Digest);
        }
        match (self.content, self.artifact) {
            (Content::Envelope(envelope), _) => Some(SignedInput::Message(envelope.pae().into())),
            (Content::Message { .. }, Artifact::Message(message)) => {
                Some(SignedInput::Message((*message).into()))
            }
            (Content::Message { .. }, _) => None,
        }
    }

    /// The schemes that this key may have signed by. Envelopes are signed whole by Ed25519 keys.
    fn schemes(&self) -> Vec<Scheme> {
        let mut schemes = schemes(self.key);
        if self.envelope().is_some() && self.key.algorithm() == KeyAlgorithm::Ed25519 {
            schemes.reverse();
        }
        schemes
    }
}
