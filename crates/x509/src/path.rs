//! From a leaf to a trust anchor.

use std::time::{Duration, SystemTime};

use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{
    EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, KeyUsage,
    RequiredEkuNotFoundContext,
};

use crate::certificate::Certificate;
use crate::error::Error;
use crate::oid;
use crate::p521::EcdsaP521Sha512;
use crate::remembering::Remembering;

/// What a leaf is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Usage {
    /// It certifies a key that signs artifacts.
    CodeSigning,
    /// It certifies a key that signs timestamps (RFC 3161 2.3).
    TimeStamping,
    /// It names a SPIFFE workload at both ends of TLS (X509-SVID 4.3 and 4.4).
    Workload,
}

impl Usage {
    /// Its extended key usage, in dotted form.
    pub fn oid(self) -> &'static str {
        match self {
            Self::CodeSigning => oid::CODE_SIGNING,
            Self::TimeStamping => oid::TIME_STAMPING,
            Self::Workload => SERVER_AUTH,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::CodeSigning => "code signing",
            Self::TimeStamping => "timestamping",
            Self::Workload => "TLS server",
        }
    }

    /// Whether a certificate restricted to `oids` may be above a leaf of this usage.
    fn allowed_by<'a>(self, mut oids: impl Iterator<Item = &'a str>) -> bool {
        oids.any(|oid| oid == self.oid() || oid == ANY_EXTENDED_KEY_USAGE)
    }
}

/// A certificate authority may leave the usage open. So may the leaf here: it was checked before.
impl ExtendedKeyUsageValidator for Usage {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut present = Vec::new();
        for purpose in purposes {
            present.push(purpose?.to_decoded_oid());
        }
        let dotted: Vec<String> = present
            .iter()
            .map(|arcs| arcs.iter().map(ToString::to_string).collect::<Vec<_>>().join("."))
            .collect();
        if present.is_empty() || self.allowed_by(dotted.iter().map(String::as_str)) {
            return Ok(());
        }
        // webpki puts this into an error; the caller of this crate names the usage itself.
        let required = KeyUsage::required_if_present(&[]);
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required,
            present,
        }))
    }
}

/// One authority of a trusted root: a trust anchor, and the intermediates below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchors {
    chain: Vec<Certificate>,
}

impl Anchors {
    /// The authority of `chain`, in the order of trusted roots: its last certificate is the
    /// anchor, those before it are intermediates. Without any certificate nothing verifies.
    pub fn new(chain: Vec<Certificate>) -> Self {
        Self { chain }
    }

    /// The certificates it was made of, the anchor last.
    pub fn certificates(&self) -> &[Certificate] {
        &self.chain
    }

    /// Finds a path from `leaf` to the anchor that was valid at `at`, and returns it, the leaf
    /// first and the anchor last.
    ///
    /// Intermediates come from the authority and from `untrusted`. Beyond signatures, names,
    /// basic and name constraints and unknown critical extensions (RFC 5280 6.1) it is checked
    /// that
    /// - every certificate was valid at `at`, the anchor included, to the fraction of a second;
    /// - the leaf is not a CA, may sign data, and is for `usage`; one for timestamps is so alone and
    ///   critically (RFC 3161 2.3), one of a workload may leave its usage open;
    /// - every CA, the anchor included, may sign certificates and is not restricted to purposes
    ///   other than `usage`.
    ///
    /// Name constraints on e-mail addresses, URIs, user names and subjects are not evaluated: a
    /// certificate with such a name below such a constraint is refused, whatever it permits.
    ///
    /// # Errors
    /// A certificate does not fit, or there is no path.
    pub fn verify(
        &self,
        leaf: &Certificate,
        untrusted: &[Certificate],
        at: SystemTime,
        usage: Usage,
    ) -> Result<Vec<Certificate>, Error> {
        let Some((anchor, trusted)) = self.chain.split_last() else {
            return Err(Error::NoPath {
                leaf: leaf.described("leaf"),
                anchor: "trust anchor".into(),
                reason: "the authority has no certificate".into(),
            });
        };
        valid(leaf, LEAF, at)?;
        fit_leaf(leaf, usage)?;
        valid(anchor, ANCHOR, at)?;
        fit_ca(anchor, ANCHOR, usage)?;

        let intermediates: Vec<&Certificate> = trusted.iter().chain(untrusted).collect();
        let between = build(leaf, &intermediates, anchor, at, usage)?;
        for certificate in &between {
            valid(certificate, INTERMEDIATE, at)?;
            fit_ca(certificate, INTERMEDIATE, usage)?;
        }
        // RFC 5280's algorithm ignores an anchor's own limit; it is applied here.
        let counted = between.iter().filter(|c| c.subject_der() != c.issuer_der()).count();
        if let Some(limit) = anchor.path_len().filter(|limit| counted > usize::from(*limit)) {
            return Err(Error::WrongUse {
                certificate: anchor.described(ANCHOR),
                expected: format!("at most {limit} intermediates below it"),
                found: counted.to_string(),
            });
        }
        let mut path = vec![leaf.clone()];
        path.extend(between);
        path.push(anchor.clone());
        Ok(path)
    }
}

const LEAF: &str = "leaf";
const INTERMEDIATE: &str = "intermediate";
const ANCHOR: &str = "trust anchor's";

fn valid(certificate: &Certificate, role: &str, at: SystemTime) -> Result<(), Error> {
    if certificate.is_valid_at(at) {
        return Ok(());
    }
    Err(Error::NotValid {
        certificate: certificate.described(role),
        at,
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
    })
}

fn fit_leaf(leaf: &Certificate, usage: Usage) -> Result<(), Error> {
    let wrong = |expected: &str, found: &str| Error::WrongUse {
        certificate: leaf.described(LEAF),
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    if leaf.is_ca() {
        return Err(wrong("an end entity", "a certificate authority"));
    }
    match (leaf.allows_digital_signature(), usage) {
        (Some(true), _) | (None, Usage::TimeStamping) => {}
        (Some(false), _) => {
            return Err(wrong("the key usage digital signature", "others only"));
        }
        (None, Usage::CodeSigning | Usage::Workload) => {
            return Err(wrong("the key usage digital signature", "no key usage"));
        }
    }
    let usages = leaf.extended_key_usages();
    if usage == Usage::Workload {
        if leaf.allows_certificate_signing() == Some(true) {
            return Err(wrong("no key usage certificate signing", "it"));
        }
        // The extension may be missing; where it is, it names both ends of TLS.
        let both =
            [SERVER_AUTH, CLIENT_AUTH].iter().all(|it| usages.iter().any(|found| found == it));
        return match both || usages.is_empty() {
            true => Ok(()),
            false => Err(wrong(
                "the extended key usages TLS server and TLS client, or none",
                &usages.join(", "),
            )),
        };
    }
    let expected = format!("the extended key usage {} ({})", usage.name(), usage.oid());
    let found = || if usages.is_empty() { "none".to_owned() } else { usages.join(", ") };
    if !usages.iter().any(|found| found == usage.oid()) {
        return Err(wrong(&expected, &found()));
    }
    if usage == Usage::TimeStamping {
        if usages.len() != 1 {
            return Err(wrong(&format!("{expected} alone"), &found()));
        }
        if !leaf.extension(oid::EXTENDED_KEY_USAGE).is_some_and(|extension| extension.critical) {
            return Err(wrong(&format!("{expected}, critical"), "it not critical"));
        }
    }
    Ok(())
}

fn fit_ca(certificate: &Certificate, role: &str, usage: Usage) -> Result<(), Error> {
    let wrong = |expected: &str, found: &str| Error::WrongUse {
        certificate: certificate.described(role),
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    if !certificate.is_ca() {
        return Err(wrong("a certificate authority", "an end entity"));
    }
    if certificate.allows_certificate_signing() == Some(false) {
        return Err(wrong("the key usage certificate signing", "others only"));
    }
    let usages = certificate.extended_key_usages();
    if !usages.is_empty() && !usage.allowed_by(usages.iter().map(String::as_str)) {
        let expected = format!("the extended key usage {} ({})", usage.name(), usage.oid());
        return Err(wrong(&expected, &usages.join(", ")));
    }
    Ok(())
}

const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";
const ANY_EXTENDED_KEY_USAGE: &str = "2.5.29.37.0";

/// The intermediates of a path, the leaf's issuer first.
fn build(
    leaf: &Certificate,
    intermediates: &[&Certificate],
    anchor: &Certificate,
    at: SystemTime,
    usage: Usage,
) -> Result<Vec<Certificate>, Error> {
    let no_path = |reason: String| Error::NoPath {
        leaf: leaf.described(LEAF),
        anchor: anchor.described(ANCHOR),
        reason,
    };
    let since_epoch: Duration = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_err(|_| no_path("the time is before 1970".into()))?;
    let certificates: Vec<&Certificate> =
        [leaf].into_iter().chain(intermediates.iter().copied()).collect();
    let remembering: Vec<Remembering<'_>> = webpki::ALL_VERIFICATION_ALGS
        .iter()
        .copied()
        .chain([&EcdsaP521Sha512 as &dyn SignatureVerificationAlgorithm])
        .map(|algorithm| Remembering { algorithm, certificates: &certificates })
        .collect();
    let algorithms: Vec<&dyn SignatureVerificationAlgorithm> =
        remembering.iter().map(|one| one as &dyn SignatureVerificationAlgorithm).collect();
    let leaf_der = CertificateDer::from(leaf.der());
    let anchor_der = CertificateDer::from(anchor.der());
    let others: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|certificate| CertificateDer::from(certificate.der())).collect();

    let found = EndEntityCert::try_from(&leaf_der).and_then(|end_entity| {
        let anchors = [webpki::anchor_from_trusted_cert(&anchor_der)?];
        let path = end_entity.verify_for_usage(
            &algorithms,
            &anchors,
            &others,
            UnixTime::since_unix_epoch(since_epoch),
            usage,
            None,
            None,
        )?;
        Ok(path.intermediate_certificates().map(|cert| cert.der().to_vec()).collect::<Vec<_>>())
    });
    let ders = found.map_err(|error| match error {
        // The leaf and the anchor have been looked at: it is one between them.
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => intermediates
            .iter()
            .find_map(|certificate| valid(certificate, INTERMEDIATE, at).err())
            .unwrap_or_else(|| no_path(reason(&error))),
        error => no_path(reason(&error)),
    })?;
    ders.iter()
        .map(|der| {
            intermediates
                .iter()
                .find(|certificate| certificate.der() == der.as_slice())
                .map(|certificate| (*certificate).clone())
                .ok_or_else(|| no_path("an unknown intermediate".into()))
        })
        .collect()
}

fn reason(error: &webpki::Error) -> String {
    use webpki::Error;
    let known = match error {
        Error::UnknownIssuer => "no known certificate is the issuer",
        Error::InvalidSignatureForPublicKey => "a certificate is not signed by its issuer",
        Error::EndEntityUsedAsCa => "an issuer is not a certificate authority",
        Error::CaUsedAsEndEntity => "the leaf is a certificate authority",
        Error::NameConstraintViolation => {
            "an issuer is constrained in names of this kind, and this one is not known to be allowed"
        }
        Error::PathLenConstraintViolated => "there are more intermediates than an issuer allows",
        Error::RequiredEkuNotFoundContext(_) => "an intermediate is restricted to other usages",
        Error::UnsupportedCriticalExtension => "an unknown extension is critical",
        other => return format!("{other:?}"),
    };
    known.to_owned()
}
