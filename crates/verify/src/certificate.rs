use std::time::SystemTime;

use bundle::VerificationMaterial;
use keys::Digest;
use trust_root::{CertificateAuthority, Log, TrustedRoot};
use x509::{Anchors, Certificate, Usage};

use crate::accepted::Identity;
use crate::check::{Check, Error};
use crate::policy::Policy;
use crate::text::{digest_name, hex, rfc3339};
use crate::threshold::{TimeAuthority, enough};
use crate::verified::VerifiedTime;

/// A path from the leaf to an authority, leaf first, every signature in it verified.
pub(crate) struct Path<'a> {
    authority: &'a CertificateAuthority,
    pub(crate) certificates: Vec<Certificate>,
}

impl Path<'_> {
    /// Whether it is as good at `at`: time decides only about validity periods and windows.
    fn holds_at(&self, at: SystemTime) -> bool {
        self.authority.valid_for.contains(at)
            && self.certificates.iter().all(|certificate| certificate.is_valid_at(at))
    }
}

/// Paths from the leaf to trusted authorities, so that at each of `times` one is valid. There is
/// rarely more than one.
pub(crate) fn paths<'a>(
    leaf: &Certificate,
    untrusted: &[Certificate],
    root: &'a TrustedRoot,
    times: &[VerifiedTime],
) -> Result<Vec<Path<'a>>, Check> {
    let mut paths: Vec<Path<'a>> = Vec::new();
    for at in times.iter().map(|time| time.time) {
        if !paths.iter().any(|path| path.holds_at(at)) {
            paths.push(path(leaf, untrusted, root, at)?);
        }
    }
    Ok(paths)
}

/// The path from the leaf to an authority trusted at `at`.
fn path<'a>(
    leaf: &Certificate,
    untrusted: &[Certificate],
    root: &'a TrustedRoot,
    at: SystemTime,
) -> Result<Path<'a>, Check> {
    let mut wrong = None;
    // Every authority is tried: their names are not unique.
    for authority in root.certificate_authorities() {
        if !authority.valid_for.contains(at) {
            continue;
        }
        let anchors = Anchors::new(authority.chain.clone());
        match anchors.verify(leaf, untrusted, at, Usage::CodeSigning) {
            Ok(certificates) => return Ok(Path { authority, certificates }),
            Err(source) => wrong = Some(source),
        }
    }
    Err(match wrong {
        Some(source) => Check::Chain { at, source },
        None => Check::NoAuthority { at },
    })
}

/// A bundle may hold intermediates, but no root certificate. cosign's earlier formats hold one and
/// are not checked here. A root certificate in a signature is never trusted, in any format.
pub(crate) fn refuse_root(material: &VerificationMaterial) -> Result<(), Check> {
    let VerificationMaterial::Chain(chain) = material else { return Ok(()) };
    for der in chain.iter().skip(1) {
        let certificate = Certificate::from_der(der).map_err(Check::Certificate)?;
        if certificate.is_ca() && certificate.subject_der() == certificate.issuer_der() {
            return Err(Check::BundledRoot { found: digest_name(&Digest::sha256(der)) });
        }
    }
    Ok(())
}

/// The certificate has SCTs of as many trusted logs as are wanted, and each of those is valid.
pub(crate) fn sct(
    leaf: &Certificate,
    path: &Path<'_>,
    root: &TrustedRoot,
    threshold: usize,
) -> Result<(), Check> {
    let missing = |reason: String| Check::Sct { reason, source: None };
    // The certificate that signed the leaf in the verified path, not one of the same name.
    let issuer = path
        .certificates
        .get(1)
        .ok_or_else(|| missing("the path to the trusted authority has no issuer".to_owned()))?;
    let scts = leaf.scts().map_err(|source| Check::Sct {
        reason: "the list in the certificate cannot be read".to_owned(),
        source: Some(source),
    })?;
    if scts.is_empty() {
        return Err(missing("expected one in the certificate, found none".to_owned()));
    }
    let mut known = Vec::new();
    for sct in &scts {
        let logs: Vec<&Log> =
            root.ctlogs().iter().filter(|log| log.log_id() == sct.log_id).collect();
        let Some(log) = logs.first() else { continue };
        if !logs.iter().any(|log| log.valid_for().contains(sct.timestamp)) {
            return Err(missing(format!(
                "its time {} is outside the log's window, {}",
                rfc3339(sct.timestamp),
                log.valid_for()
            )));
        }
        sct.verify(leaf, issuer, log.key()).map_err(|source| Check::Sct {
            reason: format!("the one of {} is not valid", log.base_url()),
            source: Some(source),
        })?;
        known.push(TimeAuthority::new(log.operator(), log.log_id()));
    }
    if !known.is_empty() {
        return enough("certificate transparency logs", threshold, known);
    }
    let found = scts.iter().map(|sct| hex(&sct.log_id)).collect::<Vec<_>>();
    Err(missing(format!("expected one of a trusted log, found {}", found.join(", "))))
}

/// Checks what can be checked of `leaf` before anything is signed with it: that it leads to an
/// authority that `root` trusted when it was issued, that it was published, and that it is for a
/// signer that `policy` accepts. A log entry cannot be taken back, so a signer checks first.
///
/// # Errors
/// [`Error::Refused`] with the check that failed.
pub fn check_certificate(
    leaf: &Certificate,
    policy: &Policy,
    root: &TrustedRoot,
) -> Result<(), Error> {
    let path = path(leaf, &[], root, leaf.not_before())?;
    if !policy.ignore_sct {
        sct(leaf, &path, root, policy.scts)?;
    }
    policy.rule.accepts_identity(&Identity::of(leaf)?)?;
    Ok(())
}
