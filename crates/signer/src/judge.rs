//! Judging our own work before anyone sees it.

use bundle::Bundle;
use keys::Digest;
use verify::{AcceptedSigner, Artifact, Policy, Purpose, StringMatch, check_certificate, danger};
use x509::Certificate;

use crate::{Error, Identity, Signer};

/// Refuses a certificate that no verifier would take, before anything is signed with it: what is
/// logged cannot be taken back.
pub(crate) fn certificate(
    leaf: &Certificate,
    identity: &Identity,
    signer: &Signer,
) -> Result<(), Error> {
    // The purpose is compared when there is a bundle.
    let policy = policy(Purpose::FileSignature, identity, signer);
    check_certificate(leaf, &policy, &signer.root).map_err(untrusted)
}

/// Refuses a signature that is not logged yet, unless a trusted authority says when it was made.
pub(crate) fn dated(
    bundle: &Bundle,
    artifact: &Digest,
    identity: &Identity,
    signer: &Signer,
) -> Result<(), Error> {
    let policy = policy(purpose(bundle)?, identity, signer);
    let policy = danger::ignore_tlog(policy).timestamp_threshold(1);
    judge(bundle, artifact, &policy, signer)
}

/// Verifies a finished bundle as a stranger would who expects exactly this identity.
pub(crate) fn bundle(
    bundle: &Bundle,
    artifact: &Digest,
    identity: &Identity,
    signer: &Signer,
) -> Result<(), Error> {
    judge(bundle, artifact, &policy(purpose(bundle)?, identity, signer), signer)
}

fn judge(
    bundle: &Bundle,
    artifact: &Digest,
    policy: &Policy,
    signer: &Signer,
) -> Result<(), Error> {
    let artifact = Artifact::Digest(artifact);
    match verify::verify(bundle, &artifact, policy, &signer.root, signer.clock.now()) {
        Ok(_) => Ok(()),
        Err(error) => Err(untrusted(error)),
    }
}

/// What a stranger would ask for.
fn policy(purpose: Purpose, identity: &Identity, signer: &Signer) -> Policy {
    let exact = |text: &str| StringMatch::exact(text);
    let ours = AcceptedSigner::identity(exact(&identity.name), exact(&identity.issuer));
    let mut policy = Policy::new(purpose, ours);
    // An instance without a log of either kind is the user's choice: what it does not have cannot
    // be checked, and all it has is.
    if signer.services.logs.is_empty() {
        policy = danger::ignore_tlog(policy);
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
