//! A signature under judgement, whatever format it came in.

use bundle::{Bundle, Content, LogEntry, VerificationMaterial};
use keys::Digest;

/// A signature with everything that came with it.
#[derive(Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) material: &'a VerificationMaterial,
    pub(crate) content: &'a Content,
    pub(crate) entries: &'a [LogEntry],
    pub(crate) timestamps: &'a [Vec<u8>],
    pub(crate) signature: &'a [u8],
    /// The bytes that the timestamps are over.
    pub(crate) stamped: &'a [u8],
}

/// What ties the signed content to the artifact.
#[derive(Clone, Copy)]
pub(crate) enum Binding<'a> {
    /// The content itself: a statement about the artifact, or a signature over it.
    Content,
    /// The signature is over `payload`, a simple-signing document that must name `image`.
    SimpleSigning { payload: &'a [u8], image: &'a Digest },
}

impl<'a> Candidate<'a> {
    pub(crate) fn of(bundle: &'a Bundle) -> Self {
        Self {
            material: bundle.material(),
            content: bundle.content(),
            entries: bundle.log_entries(),
            timestamps: bundle.timestamps(),
            signature: bundle.signature(),
            stamped: bundle.signature(),
        }
    }

    /// The signer's certificate and the other certificates beside it, as DER.
    pub(crate) fn certificates(&self) -> Option<(&'a [u8], &'a [Vec<u8>])> {
        certificates(self.material)
    }
}

/// The signer's certificate and the other certificates beside it, as DER.
pub(crate) fn certificates(material: &VerificationMaterial) -> Option<(&[u8], &[Vec<u8>])> {
    match material {
        VerificationMaterial::Certificate(leaf) => Some((leaf, &[])),
        VerificationMaterial::Chain(chain) => {
            chain.split_first().map(|(leaf, others)| (leaf.as_slice(), others))
        }
        VerificationMaterial::PublicKey { .. } => None,
    }
}
