use std::collections::BTreeSet;
use std::time::SystemTime;

use bundle::VerificationMaterial;
use keys::Digest;
use trust_root::{CertificateAuthority, Log, TrustedRoot};
use x509::{Anchors, Certificate, FulcioExtension, SubjectName, Usage};

use crate::artifact::name;
use crate::check::{Check, Error};
use crate::entry::hex;
use crate::judge::enough;
use crate::policy::{Policy, Signer};
use crate::verified::VerifiedTime;

/// A path from the leaf to an authority, leaf first, every signature in it verified.
pub(crate) struct Path<'a> {
    authority: &'a CertificateAuthority,
    pub(crate) certificates: Vec<Certificate>,
}

impl Path<'_> {
    /// Whether it is as good at `at`: all that time decides is who was valid and trusted then.
    fn holds_at(&self, at: SystemTime) -> bool {
        self.authority.valid_for.contains(at)
            && self.certificates.iter().all(|certificate| certificate.is_valid_at(at))
    }
}

/// Paths from the leaf to authorities that are trusted, so that at each of `times` one was good:
/// hardly ever more than one.
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

/// A bundle may bring intermediates and no root. cosign's earlier formats did bring it, and are not
/// asked here; nobody trusts it for being there, in either.
pub(crate) fn refuse_root(material: &VerificationMaterial) -> Result<(), Check> {
    let VerificationMaterial::Chain(chain) = material else { return Ok(()) };
    for der in chain.iter().skip(1) {
        let certificate = Certificate::from_der(der).map_err(Check::Certificate)?;
        if certificate.is_ca() && certificate.subject_der() == certificate.issuer_der() {
            return Err(Check::BundledRoot { found: name(&Digest::sha256(der)) });
        }
    }
    Ok(())
}

/// The certificate's SCTs are of as many trusted logs as are wanted, and all of those hold.
pub(crate) fn sct(
    leaf: &Certificate,
    path: &Path<'_>,
    root: &TrustedRoot,
    threshold: usize,
) -> Result<(), Check> {
    let missing = |reason: String| Check::Sct { reason, source: None };
    // The one that signed the leaf in the path that verified, not one of the same name.
    let issuer = path
        .certificates
        .get(1)
        .ok_or_else(|| missing("the path to the trusted authority has no issuer".to_owned()))?;
    let scts = leaf.scts().map_err(|source| Check::Sct {
        reason: "the certificate's cannot be read".to_owned(),
        source: Some(source),
    })?;
    if scts.is_empty() {
        return Err(missing("expected one in the certificate, found none".to_owned()));
    }
    let mut known = BTreeSet::new();
    for sct in &scts {
        let logs: Vec<&Log> =
            root.ctlogs().iter().filter(|log| log.log_id() == sct.log_id).collect();
        let Some(log) = logs.first() else { continue };
        if !logs.iter().any(|log| log.valid_for().contains(sct.timestamp)) {
            return Err(missing(format!(
                "its time {} is outside the log's window, {}",
                crate::check::rfc3339(sct.timestamp),
                log.valid_for()
            )));
        }
        sct.verify(leaf, issuer, log.key()).map_err(|source| Check::Sct {
            reason: format!("that of {} does not hold", log.base_url()),
            source: Some(source),
        })?;
        known.insert(sct.log_id);
    }
    if !known.is_empty() {
        return enough("certificate transparency logs", threshold, known.len());
    }
    let found = scts.iter().map(|sct| hex(&sct.log_id)).collect::<Vec<_>>();
    Err(missing(format!("expected one of a trusted log, found {}", found.join(", "))))
}

/// Judges what can be judged of `leaf` before anything was signed with it: that it leads to an
/// authority that `root` trusted when it was issued, that it was published, and that it is of whom
/// `policy` asks for. What is logged cannot be taken back, so that a signer looks first.
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
    identity(leaf, policy)?;
    Ok(())
}

pub(crate) struct Identity {
    pub(crate) subject: SubjectName,
    pub(crate) issuer: Option<String>,
    pub(crate) extensions: Vec<FulcioExtension>,
}

/// Whom the certificate is of, and that the policy asks for just them.
pub(crate) fn identity(leaf: &Certificate, policy: &Policy) -> Result<Identity, Check> {
    let subject = leaf.subject_name().map_err(Check::IdentityMalformed)?;
    let issuer = leaf.oidc_issuer().map_err(Check::IdentityMalformed)?;
    let extensions = leaf.fulcio_extensions().map_err(Check::IdentityMalformed)?;
    if let Signer::Identity { subject: expected_subject, issuer: expected_issuer } = &policy.signer
    {
        if !expected_subject.matches_subject(&subject) {
            return Err(Check::Identity {
                expected: expected_subject.clone(),
                found: subject.as_str().to_owned(),
            });
        }
        if !issuer.as_deref().is_some_and(|issuer| expected_issuer.matches(issuer)) {
            return Err(Check::Issuer { expected: expected_issuer.clone(), found: issuer });
        }
    }
    for (oid, expected) in &policy.extensions {
        let found = extensions.iter().find(|extension| extension.oid == *oid);
        if !found.is_some_and(|extension| expected.matches(&extension.value)) {
            return Err(Check::Extension {
                oid: oid.clone(),
                expected: expected.clone(),
                found: found.map(|extension| extension.value.clone()),
            });
        }
    }
    Ok(Identity { subject, issuer, extensions })
}
