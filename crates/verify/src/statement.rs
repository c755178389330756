use bundle::{Bundle, Content, Envelope, INTOTO_PAYLOAD_TYPE, Statement, Subject};
use keys::Digest;

use crate::artifact::Artifact;
use crate::check::Check;
use crate::policy::Policy;
use crate::scheme::ACCEPTED;
use crate::text::{digest_name, plain};

/// A statement about the artifact, as the policy wants it.
pub(crate) struct About {
    pub(crate) statement: Statement,
    /// Which of its subjects is the artifact.
    pub(crate) subject: usize,
    /// The digest of the artifact that the subject names.
    pub(crate) digest: Digest,
}

/// Checks the statement of an envelope against the artifact and the policy.
pub(crate) fn check(
    envelope: &Envelope,
    artifact: &Artifact<'_>,
    policy: &Policy,
) -> Result<About, Check> {
    // Any other payload type has no defined way to name the artifact.
    if envelope.payload_type != INTOTO_PAYLOAD_TYPE {
        return Err(Check::PayloadType {
            expected: INTOTO_PAYLOAD_TYPE,
            found: envelope.payload_type.chars().take(200).collect(),
        });
    }
    let statement = envelope.statement().map_err(Check::Statement)?;
    if let Some(expected) = policy.purpose.predicate_type()
        && statement.predicate_type() != expected
    {
        return Err(Check::PredicateType {
            expected: expected.to_owned(),
            found: statement.predicate_type().to_owned(),
        });
    }
    let subjects = statement.subjects().iter().enumerate();
    let about: Vec<(usize, &Subject, Digest)> = subjects
        .filter_map(|(index, subject)| Some((index, subject, matching(subject, artifact)?)))
        .collect();
    let lacks = |subject: &Subject| {
        policy.annotations.iter().find(|(key, value)| subject.annotations.get(key) != Some(value))
    };
    // One subject must have all the annotations. What is missing is reported of the first.
    let chosen = about.iter().find(|(_, subject, _)| lacks(subject).is_none());
    let Some((index, subject, digest)) = chosen.or_else(|| about.first()) else {
        return Err(Check::Subject {
            expected: digests(statement.subjects()),
            found: artifact.describe(),
        });
    };
    if let Some((key, expected)) = lacks(subject) {
        return Err(Check::Annotation {
            key: key.clone(),
            expected: expected.clone(),
            found: subject.annotations.get(key).cloned(),
        });
    }
    let (subject, digest) = (*index, digest.clone());
    Ok(About { statement, subject, digest })
}

/// The digest of the artifact that the subject names. The hex may be in upper or lower case.
fn matching(subject: &Subject, artifact: &Artifact<'_>) -> Option<Digest> {
    ACCEPTED.into_iter().find_map(|algorithm| {
        let stated = subject.digests.get(algorithm.name())?;
        let stated = Digest::from_hex(algorithm, &stated.to_ascii_lowercase()).ok()?;
        artifact.digest(algorithm).filter(|digest| *digest == stated)
    })
}

fn digests(subjects: &[Subject]) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<String> = subjects
        .iter()
        .flat_map(|subject| &subject.digests)
        .take(SHOWN)
        .map(|(algorithm, value)| format!("{}:{}", plain(algorithm), plain(value)))
        .collect();
    let all: usize = subjects.iter().map(|subject| subject.digests.len()).sum();
    if all > SHOWN {
        shown.push(format!("{} more", all - SHOWN));
    }
    if shown.is_empty() { "subjects without a digest".to_owned() } else { shown.join(", ") }
}

/// Whether `bundle` may be about the artifact, by the digests that it names; they are not verified.
/// For passing over the bundles of other files, which is much faster than verifying them.
pub fn may_be_about(bundle: &Bundle, artifact: &Artifact<'_>) -> bool {
    match bundle.content() {
        Content::Message { .. } => check_hint(bundle.content(), artifact).is_ok(),
        Content::Envelope(envelope) => match envelope.statement() {
            Ok(statement) => {
                let mut subjects = statement.subjects().iter();
                subjects.any(|subject| matching(subject, artifact).is_some())
            }
            Err(_) => true,
        },
    }
}

/// Compares the digest in the bundle, which proves nothing but tells early that this is another
/// file.
pub(crate) fn check_hint(content: &Content, artifact: &Artifact<'_>) -> Result<(), Check> {
    let Content::Message { digest: Some(hint), .. } = content else { return Ok(()) };
    let Some(algorithm) = keys::HashAlgorithm::from_sigstore_name(&hint.algorithm) else {
        return Ok(());
    };
    let Ok(stated) = Digest::new(algorithm, hint.digest.clone()) else { return Ok(()) };
    match artifact.digest(algorithm) {
        Some(digest) if digest != stated => Err(Check::ArtifactDigest {
            expected: digest_name(&stated),
            found: digest_name(&digest),
        }),
        _ => Ok(()),
    }
}
