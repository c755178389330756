use bundle::{Content, Envelope, INTOTO_PAYLOAD_TYPE, Statement, Subject};
use keys::Digest;

use crate::artifact::{ACCEPTED, Artifact, name};
use crate::check::{Check, plain};
use crate::policy::Policy;

/// The statement of an envelope, about this artifact and as the policy wants it; the artifact's
/// digest by which it is.
pub(crate) fn check(
    envelope: &Envelope,
    artifact: &Artifact<'_>,
    policy: &Policy,
) -> Result<(Statement, Digest), Check> {
    // Of any other payload nobody knows what it says about the artifact.
    if envelope.payload_type != INTOTO_PAYLOAD_TYPE {
        return Err(Check::PayloadType {
            expected: INTOTO_PAYLOAD_TYPE,
            found: envelope.payload_type.chars().take(200).collect(),
        });
    }
    let statement = Statement::parse(&envelope.payload).map_err(Check::Statement)?;
    let about: Vec<(&Subject, Digest)> = statement
        .subjects()
        .iter()
        .filter_map(|subject| Some((subject, matching(subject, artifact)?)))
        .collect();
    let Some((first, digest)) = about.first().cloned() else {
        return Err(Check::Subject {
            expected: digests(statement.subjects()),
            found: artifact.describe(),
        });
    };
    if let Some(expected) = &policy.predicate_type
        && statement.predicate_type() != expected
    {
        return Err(Check::PredicateType {
            expected: expected.clone(),
            found: statement.predicate_type().to_owned(),
        });
    }
    let lacks = |subject: &Subject| {
        policy.annotations.iter().find(|(key, value)| subject.annotations.get(key) != Some(value))
    };
    // One subject must carry them all. What is missing is told of the first.
    if !about.iter().any(|(subject, _)| lacks(subject).is_none())
        && let Some((key, expected)) = lacks(first)
    {
        return Err(Check::Annotation {
            key: key.clone(),
            expected: expected.clone(),
            found: first.annotations.get(key).cloned(),
        });
    }
    Ok((statement, digest))
}

/// A policy about a statement, for a bundle that has none.
pub(crate) fn check_absent(policy: &Policy) -> Result<(), Check> {
    if let Some(expected) = &policy.predicate_type {
        return Err(Check::PredicateType {
            expected: expected.clone(),
            found: "a signature without a statement".to_owned(),
        });
    }
    if let Some((key, expected)) = policy.annotations.first() {
        return Err(Check::Annotation {
            key: key.clone(),
            expected: expected.clone(),
            found: None,
        });
    }
    Ok(())
}

/// Hex may be in either case; what counts are the bytes.
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
    if shown.is_empty() { "nothing with a digest".to_owned() } else { shown.join(", ") }
}

/// The hint of the bundle: it proves nothing, and says early that this is another file.
pub(crate) fn check_hint(content: &Content, artifact: &Artifact<'_>) -> Result<(), Check> {
    let Content::Message { digest: Some(hint), .. } = content else { return Ok(()) };
    let Some(algorithm) = keys::HashAlgorithm::from_sigstore_name(&hint.algorithm) else {
        return Ok(());
    };
    let Ok(stated) = Digest::new(algorithm, hint.digest.clone()) else { return Ok(()) };
    match artifact.digest(algorithm) {
        Some(digest) if digest != stated => {
            Err(Check::ArtifactDigest { expected: name(&stated), found: name(&digest) })
        }
        _ => Ok(()),
    }
}
