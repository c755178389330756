//! Signatures that were verified.

use std::collections::BTreeSet;
use std::fmt;

use bundle::Envelope;
use oci_push::Resolved;
use verify::Verified;

use crate::image::{Image, Target};
use crate::refusal::Refusal;
use crate::time::rfc3339;

/// An image with as many acceptable signatures as are required.
#[derive(Debug)]
#[non_exhaustive]
pub struct VerifiedImage {
    /// The image as it was named.
    pub image: Image,
    /// Its manifest.
    pub resolved: Resolved,
    /// The index that is signed in place of the image, which it lists: see
    /// [`ImageVerifier::by_index`](crate::ImageVerifier::by_index).
    pub index: Option<Target>,
    /// The acceptable signatures: at least one.
    pub signatures: Vec<VerifiedSignature>,
    /// What else is attached and does not count.
    pub refused: Vec<Refusal>,
}

impl VerifiedImage {
    /// What a program tells people: a line for each signer, with the times and the log entries of
    /// their signatures.
    pub fn lines(&self) -> Vec<String> {
        let (image, digest) = (&self.image, self.resolved.digest());
        let by_index = self.index.as_ref().map_or_else(String::new, |index| {
            format!(" by its index {} ({})", index.name(), index.resolved().digest())
        });
        let mut signers: Vec<(SignerName, Vec<&Verified>)> = Vec::new();
        for signature in &self.signatures {
            let signer = signature.signer();
            match signers.iter_mut().find(|(known, _)| *known == signer) {
                Some((_, signatures)) => signatures.push(&signature.verified),
                None => signers.push((signer, vec![&signature.verified])),
            }
        }
        let line = |(signer, signatures): &(SignerName, Vec<&Verified>)| {
            let when = when_and_where(signatures);
            format!("verified {image} ({digest}){by_index} signed by {signer}{when}")
        };
        signers.iter().map(line).collect()
    }
}

/// The verified times of some signatures and the indexes of their log entries, as the end of a
/// line.
pub(crate) fn when_and_where(signatures: &[&Verified]) -> String {
    let mut end = String::new();
    if signatures.len() > 1 {
        end.push_str(&format!(", {} signatures", signatures.len()));
    }
    let first = |it: &&Verified| it.times().iter().map(|time| time.time).min();
    let times: BTreeSet<_> = signatures.iter().filter_map(first).map(rfc3339).collect();
    match (times.first(), times.last()) {
        (Some(first), Some(last)) if first != last => {
            end.push_str(&format!(" from {first} to {last}"));
        }
        (Some(time), _) => end.push_str(&format!(" at {time}")),
        _ => (),
    }
    let entries = signatures.iter().flat_map(|it| it.log_entries());
    let indexes: BTreeSet<_> = entries.filter_map(|entry| entry.log_index).collect();
    let indexes: Vec<_> = indexes.iter().map(ToString::to_string).collect();
    match indexes.as_slice() {
        [] => (),
        [one] => end.push_str(&format!(", log index {one}")),
        many => end.push_str(&format!(", log indexes {}", many.join(", "))),
    }
    end
}

/// A signature or attestation of an image that was verified.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct VerifiedSignature {
    /// Who signed, when, and what.
    pub verified: Verified,
    /// The digest of the bundle; `None` for cosign's earlier formats.
    pub bundle_digest: Option<keys::Digest>,
    /// What was signed, where it is an envelope.
    pub envelope: Option<Envelope>,
}

impl VerifiedSignature {
    /// Who signed.
    pub fn signer(&self) -> SignerName {
        SignerName::of(&self.verified)
    }
}

/// A signer whose signature was verified. Displays without control characters.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SignerName {
    /// An identity.
    Identity {
        /// The subject of the certificate.
        subject: String,
        /// The OIDC issuer in the certificate.
        issuer: String,
    },
    /// A key that the policy names.
    Key {
        /// The SHA-256 of its SPKI, in hex.
        sha256: String,
    },
}

impl SignerName {
    /// Who made the signature that was verified.
    pub fn of(verified: &Verified) -> Self {
        match verified.subject_name() {
            Some(subject) => Self::Identity {
                subject: subject.as_str().to_owned(),
                issuer: verified.issuer().unwrap_or_default().to_owned(),
            },
            None => {
                Self::Key { sha256: keys::Digest::sha256(verified.public_key().spki()).to_hex() }
            }
        }
    }
}

impl fmt::Display for SignerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity { subject, issuer } => {
                write!(f, "{} ({})", host::escape_remote(subject), host::escape_remote(issuer))
            }
            Self::Key { sha256 } => write!(f, "the key sha256:{sha256}"),
        }
    }
}
