//! Why an image is not verified although the registry answered.

use std::fmt;

use verify::{Check, Purpose};

use crate::accepted::VerifiedSignature;
use crate::refusal::{Reason, Refusal, RefusalGroup};

/// Nothing of the kind that is looked for is attached to the image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NoSignature {
    /// The image as it was named.
    pub image: String,
    /// Its digest.
    pub digest: String,
    /// The repository in which signatures were looked for.
    pub repository: String,
    /// What was looked for.
    pub purpose: Purpose,
    /// The predicate types of what is attached instead, each once. They come from the registry and
    /// are not verified.
    pub others: Vec<String>,
}

/// Something is attached to the image, and it is not enough.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotAcceptable {
    /// The image as it was named.
    pub image: String,
    /// What was looked for.
    pub purpose: Purpose,
    /// How many of the acceptable signers have signed.
    pub found: usize,
    /// How many must have signed.
    pub required: usize,
    /// The signatures that count.
    pub accepted: Vec<VerifiedSignature>,
    /// The others, and why they do not count.
    pub refused: Vec<Refusal>,
}

impl NoSignature {
    /// Which repository has no signature of which digest, by which ways of attaching one.
    pub fn where_looked(&self) -> String {
        let Self { repository, digest, .. } = self;
        format!(
            "{repository} has none for {digest}: no referrer, no `sha256-...` tag, no `.sig` or `.att` tag"
        )
    }
}

impl NoSignature {
    /// How to verify what is attached instead: a sentence for each, with a command to paste.
    pub fn others_to_verify(&self) -> Vec<String> {
        let Some(image) = host::shell_quote(&self.image) else { return Vec::new() };
        let hint = |other: &String| match other == bundle::SIGN_PREDICATE_TYPE {
            true => Some(format!("verify its signature: `ambisign verify {image}`")),
            false => host::shell_quote(other).map(|predicate_type| {
                format!(
                    "verify its attestation, which is not an approval: \
                     `ambisign verify-attestation --type {predicate_type} {image}`"
                )
            }),
        };
        self.others.iter().filter_map(hint).collect()
    }
}

impl NotAcceptable {
    /// Whether signatures that could not be fetched might have been enough.
    pub fn is_undecided(&self) -> bool {
        self.unreachable() > 0
    }

    /// Whether a signature was made with a key where a certificate is required, and none of the
    /// others was refused for another reason.
    pub fn certificate_missing(&self) -> bool {
        let keyed = |refusal: &Refusal| match &refusal.reason {
            Reason::Refused(verify::Error::Refused(check)) => {
                matches!(**check, Check::Material { expected: "a certificate", .. })
            }
            _ => false,
        };
        self.found == 0 && !self.refused.is_empty() && self.refused.iter().all(keyed)
    }

    /// The refused signatures, those with the same reason together.
    pub fn groups(&self) -> Vec<RefusalGroup<'_>> {
        RefusalGroup::of(&self.refused)
    }

    fn unreachable(&self) -> usize {
        let unreachable = |refusal: &&Refusal| matches!(refusal.reason, Reason::Unreachable(_));
        self.refused.iter().filter(unreachable).count()
    }
}

impl fmt::Display for NoSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let image = &self.image;
        match &self.purpose {
            Purpose::Attestation { predicate_type } => {
                let predicate_type = host::escape_remote(predicate_type);
                write!(f, "no attestation of type {predicate_type} found for {image}")
            }
            _ => write!(f, "no signatures found for {image}"),
        }
    }
}

impl fmt::Display for NotAcceptable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, found, required, .. } = self;
        let (what, verb) = match &self.purpose {
            Purpose::Attestation { .. } => ("attestation", "attested"),
            _ => ("signature", "signed"),
        };
        match (self.unreachable(), found) {
            (0, 0) => write!(f, "{image} is {verb}, but no {what} is acceptable"),
            (0, _) => write!(
                f,
                "{image} is {verb} by {found} of the acceptable signers, and {required} are \
                 required"
            ),
            (1, _) => write!(f, "{image} could not be verified: 1 {what} could not be fetched"),
            (many, _) => {
                write!(f, "{image} could not be verified: {many} {what}s could not be fetched")
            }
        }
    }
}
