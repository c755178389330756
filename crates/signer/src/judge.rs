//! Verifies what was made before anyone else sees it.

use bundle::Bundle;
use rekor_client::Verifier;
use verify::{AcceptedSigner, Artifact, Policy, Purpose, StringMatch, check_certificate, danger};
use x509::Certificate;

use crate::error::Error;
use crate::services::Signer;

/// Refuses a certificate that no verifier would accept, before anything is signed with it.
pub(crate) fn certificate(leaf: &Certificate, signer: &Signer) -> Result<(), Error> {
    // The purpose is compared when there is a bundle.
    let policy = policy(Purpose::FileSignature, Verifier::Certificate(leaf), signer)?;
    check_certificate(leaf, &policy, &signer.root).map_err(untrusted)
}

/// Makes every check that needs no log entry: an entry cannot be taken back.
pub(crate) fn before_logging(
    bundle: &Bundle,
    artifact: Artifact<'_>,
    by: Verifier<'_>,
    signer: &Signer,
) -> Result<(), Error> {
    let policy = danger::ignore_tlog(policy(purpose(bundle)?, by, signer)?);
    // Without a timestamp, the log will tell the time. Until then any time serves at which the
    // certificate is valid.
    let (policy, now) = match (bundle.timestamps(), by) {
        ([], Verifier::Certificate(leaf)) => (policy, leaf.not_before()),
        ([], Verifier::PublicKey(_)) => (policy, signer.clock.now()),
        _ => (policy.timestamp_threshold(1), signer.clock.now()),
    };
    verify::verify(bundle, &artifact, &policy, &signer.root, now).map(drop).map_err(untrusted)
}

/// Verifies a finished bundle as someone would who expects exactly this identity or key.
pub(crate) fn bundle(
    bundle: &Bundle,
    artifact: Artifact<'_>,
    by: Verifier<'_>,
    signer: &Signer,
) -> Result<(), Error> {
    let policy = policy(purpose(bundle)?, by, signer)?;
    let now = signer.clock.now();
    verify::verify(bundle, &artifact, &policy, &signer.root, now).map(drop).map_err(untrusted)
}

/// The policy of someone who expects the identity in the certificate, or has the key.
fn policy(purpose: Purpose, by: Verifier<'_>, signer: &Signer) -> Result<Policy, Error> {
    let policy = policy_of(purpose, accepted(by)?, signer);
    Ok(match by {
        Verifier::Certificate(leaf) => policy.knowing(leaf.clone()),
        Verifier::PublicKey(_) => policy,
    })
}

/// The identity in the certificate, or the key.
pub(crate) fn accepted(by: Verifier<'_>) -> Result<AcceptedSigner, Error> {
    match by {
        Verifier::Certificate(leaf) => {
            let subject = leaf.subject_name().map_err(certificate_error)?;
            let issuer = leaf.oidc_issuer().map_err(certificate_error)?.unwrap_or_default();
            Ok(identity(subject.as_str(), &issuer))
        }
        Verifier::PublicKey(key) => Ok(AcceptedSigner::key(key.clone())),
    }
}

pub(crate) fn identity(subject: &str, issuer: &str) -> AcceptedSigner {
    AcceptedSigner::identity(StringMatch::exact(subject), StringMatch::exact(issuer))
}

/// The policy of someone who accepts `ours` alone.
pub(crate) fn policy_of(purpose: Purpose, ours: AcceptedSigner, signer: &Signer) -> Policy {
    let mut policy = Policy::new(purpose, ours);
    // An instance without a log of either kind is the user's choice: what it does not have cannot
    // be checked, and all it has is.
    if signer.services.logs.is_empty() {
        policy = danger::ignore_tlog(policy);
    }
    if signer.digest_only {
        policy = policy.accept_digest_entries();
    }
    if signer.root.ctlogs().is_empty() {
        policy = danger::ignore_sct(policy);
    }
    policy
}

/// The purpose that the bundle of this session was made for.
fn purpose(bundle: &Bundle) -> Result<Purpose, Error> {
    Purpose::claimed_by(bundle).map_err(untrusted)
}

fn untrusted(error: verify::Error) -> Error {
    Error::Untrusted(Box::new(error))
}

fn certificate_error(source: x509::Error) -> Error {
    Error::Untrusted(Box::new(source))
}
