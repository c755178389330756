use bundle::{Bundle, Content, INTOTO_PAYLOAD_TYPE, SIGN_PREDICATE_TYPE};

use crate::check::{Check, Error};
use crate::text::plain;

/// What a signature is for. A signature made for one purpose never counts for another.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Purpose {
    /// A container image: a statement of the predicate type [`SIGN_PREDICATE_TYPE`], or a
    /// simple-signing document in cosign's earlier format.
    ImageSignature,
    /// A file: a signature over its content.
    FileSignature,
    /// A statement of this predicate type about an image or a file.
    Attestation {
        /// The predicate type.
        predicate_type: String,
    },
}

/// Which formats of signatures count.
///
/// cosign's earlier formats are weaker than bundles in one respect: whoever gets a workload to sign
/// a file of their choice can have it sign a simple-signing document, and use that signature as one
/// of an image. [`Formats::Bundle`] excludes this.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Formats {
    /// Sigstore bundles and cosign's earlier formats.
    #[default]
    Any,
    /// Sigstore bundles.
    Bundle,
    /// cosign's earlier formats.
    Legacy,
}

impl Purpose {
    /// What `bundle` says that it is. This is not verified: use it only for a bundle that you made
    /// yourself, or to tell a person what a bundle holds.
    ///
    /// # Errors
    ///
    /// When the bundle holds an envelope without a readable statement.
    pub fn claimed_by(bundle: &Bundle) -> Result<Self, Error> {
        let Content::Envelope(envelope) = bundle.content() else {
            return Ok(Self::FileSignature);
        };
        if envelope.payload_type != INTOTO_PAYLOAD_TYPE {
            let found = envelope.payload_type.chars().take(200).collect();
            return Err(Check::PayloadType { expected: INTOTO_PAYLOAD_TYPE, found }.into());
        }
        let statement = envelope.statement().map_err(Check::Statement)?;
        Ok(match statement.predicate_type() {
            SIGN_PREDICATE_TYPE => Self::ImageSignature,
            other => Self::Attestation { predicate_type: other.to_owned() },
        })
    }

    /// The predicate type of the statement that it takes.
    pub fn predicate_type(&self) -> Option<&str> {
        match self {
            Self::ImageSignature => Some(SIGN_PREDICATE_TYPE),
            Self::Attestation { predicate_type } => Some(predicate_type),
            Self::FileSignature => None,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::ImageSignature => "an image signature".to_owned(),
            Self::FileSignature => A_FILE_SIGNATURE.to_owned(),
            Self::Attestation { predicate_type } => {
                format!("an attestation of type {}", plain(predicate_type))
            }
        }
    }
}

impl Formats {
    /// Reads `any`, `bundle` or `legacy`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Any, Self::Bundle, Self::Legacy].into_iter().find(|formats| formats.name() == name)
    }

    /// `any`, `bundle` or `legacy`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Bundle => "bundle",
            Self::Legacy => "legacy",
        }
    }

    /// Whether a signature in `format` (one of the two) counts.
    pub(crate) fn check(self, format: Self) -> Result<(), Check> {
        if self == Self::Any || self == format {
            return Ok(());
        }
        Err(Check::Format { expected: self.describe(), found: format.describe() })
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Any => "any format",
            Self::Bundle => "a Sigstore bundle",
            Self::Legacy => "a signature in one of cosign's earlier formats",
        }
    }
}

pub(crate) const A_FILE_SIGNATURE: &str = "a file signature";
