//! Judging our own work before anyone sees it.

use bundle::Bundle;
use keys::Digest;
use trust_root::TrustedRoot;
use verify::{Artifact, Policy, StringMatch, danger};
use x509::{Anchors, Certificate, Usage};

use crate::{Error, Identity, Signer};

/// Refuses a certificate that does not lead to `root`, before anything is signed with it: what is
/// logged cannot be taken back.
pub(crate) fn certificate(leaf: &Certificate, root: &TrustedRoot) -> Result<(), Error> {
    let at = leaf.not_before();
    let mut reason: Box<dyn std::error::Error + Send + Sync> =
        "no certificate authority of the trusted root was in service when it was issued".into();
    for authority in root.certificate_authorities() {
        if !authority.valid_for.contains(at) {
            continue;
        }
        match Anchors::new(authority.chain.clone()).verify(leaf, &[], at, Usage::CodeSigning) {
            Ok(_) => return Ok(()),
            Err(error) => reason = Box::new(error),
        }
    }
    Err(Error::Untrusted(reason))
}

/// Verifies a finished bundle as a stranger would who expects exactly this identity.
pub(crate) fn bundle(
    bundle: &Bundle,
    artifact: &Digest,
    identity: &Identity,
    signer: &Signer,
) -> Result<(), Error> {
    let exact = |text: &str| StringMatch::exact(text);
    let mut policy = Policy::new(exact(&identity.name), exact(&identity.issuer));
    // An instance without a log of either kind is the user's choice: what it does not have cannot
    // be checked, and all it has is.
    if signer.services.logs.is_empty() {
        policy = danger::ignore_tlog(policy);
    }
    if signer.root.ctlogs().is_empty() {
        policy = danger::ignore_sct(policy);
    }
    let artifact = Artifact::Digest(artifact);
    match verify::verify(bundle, &artifact, &policy, &signer.root, signer.clock.now()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::Untrusted(Box::new(error))),
    }
}
