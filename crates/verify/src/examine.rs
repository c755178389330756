//! Which parts of a signature verify and which do not, whoever signed.

use bundle::{Bundle, VerificationMaterial};
use keys::PublicKey;
use trust_root::TrustedRoot;
use x509::Certificate;

use crate::artifact::Artifact;
use crate::candidate::Candidate;
use crate::certificate;
use crate::check::{Check, Error};
use crate::entry;
use crate::legacy::LegacySignature;
use crate::signature::Signed;
use crate::statement;
use crate::time::{self, Stamped};
use crate::verified::{TimeSource, VerifiedEntry, VerifiedTime, Warning};

/// What [`examine`] found. This is not a verdict: no policy was asked whether the signer and the
/// purpose are acceptable.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examination {
    /// Whether the key of the certificate made the signature over the artifact.
    pub signature: Finding<()>,
    /// The entries of trusted logs, every part of them.
    pub log: Finding<Vec<VerifiedEntry>>,
    /// The times that logs and authorities signed.
    pub times: Finding<Vec<VerifiedTime>>,
    /// The path from the certificate to a trusted authority, valid at all of these times.
    pub chain: Finding<Vec<Certificate>>,
    /// Whether the certificate was published in a certificate transparency log.
    pub sct: Finding<()>,
    /// What was ignored.
    pub warnings: Vec<Warning>,
}

/// The result of one check.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finding<T> {
    /// The check passes.
    Holds(T),
    /// The check fails, and why.
    Fails(Error),
    /// The check could not be made, and why.
    NotChecked(&'static str),
}

impl<T> Finding<T> {
    /// Whether the check passes.
    pub fn holds(&self) -> bool {
        matches!(self, Self::Holds(_))
    }

    fn value(&self) -> Option<&T> {
        match self {
            Self::Holds(value) => Some(value),
            _ => None,
        }
    }
}

impl<T, E: Into<Error>> From<Result<T, E>> for Finding<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Holds(value),
            Err(error) => Self::Fails(error.into()),
        }
    }
}

/// Checks each part of `bundle` on its own, to show to a person. The checks are those of
/// [`verify()`](crate::verify()), and one that fails does not stop the others.
///
/// The subjects of a statement and the identity are not compared with anything. `key` is the key of
/// a bundle without a certificate.
pub fn examine(
    bundle: &Bundle,
    artifact: &Artifact<'_>,
    key: Option<&PublicKey>,
    root: &TrustedRoot,
) -> Examination {
    let mut found = examine_candidate(&Candidate::of(bundle), artifact, key, root);
    if let Err(check) = certificate::refuse_root(bundle.material()) {
        found.chain = Finding::Fails(check.into());
    }
    found
}

/// As [`examine`], for a signature in one of cosign's earlier formats. The artifact of an image's
/// signature is the simple-signing document, which is part of the signature.
pub fn examine_legacy(
    legacy: &LegacySignature,
    artifact: &Artifact<'_>,
    key: Option<&PublicKey>,
    root: &TrustedRoot,
) -> Examination {
    match legacy.payload() {
        Some(payload) => {
            examine_candidate(&legacy.candidate(), &Artifact::Message(payload), key, root)
        }
        None => examine_candidate(&legacy.candidate(), artifact, key, root),
    }
}

fn examine_candidate(
    candidate: &Candidate<'_>,
    artifact: &Artifact<'_>,
    key: Option<&PublicKey>,
    root: &TrustedRoot,
) -> Examination {
    let (leaf, others) = match candidate.certificates() {
        Some((leaf, others)) => (Some(leaf), others),
        None => (None, [].as_slice()),
    };
    let leaf = leaf.map(Certificate::from_der);
    let certificate = leaf.as_ref().and_then(|leaf| leaf.as_ref().ok());
    let known = certificate.map(Certificate::public_key).or(match &leaf {
        None => key,
        Some(_) => None,
    });
    let mut warnings = Vec::new();
    // Timestamps do not depend on the signer's key.
    let stamped = time::check_all(candidate.timestamps, candidate.stamped, root);
    let Some(known) = known else {
        let unread = match leaf {
            Some(Err(source)) => Finding::Fails(Check::Certificate(source).into()),
            _ => Finding::NotChecked("the signer's key is not in the bundle"),
        };
        return Examination {
            signature: unread,
            log: Finding::NotChecked("the signer's key is not known"),
            times: stamped.map(|times| times.into_iter().map(stamp).collect()).into(),
            chain: Finding::NotChecked("there is no certificate that can be read"),
            sct: Finding::NotChecked("there is no certificate that can be read"),
            warnings,
        };
    };
    let signed = Signed::new(candidate, artifact, known, certificate);
    let scheme = signed.verify();
    // An entry is compared with the usual scheme when the signature does not verify by any.
    let usual = scheme.as_ref().map_or_else(|_| known.default_scheme(), |scheme| *scheme);
    let entries = entry::check_all(candidate.entries, &signed, usual, false, root, &mut warnings);
    let times = stamped.map(|times| {
        let entries = entries.iter().flatten();
        let logged = entries.filter_map(|checked| checked.entry.integrated_time);
        let logged = logged.map(|time| VerifiedTime { time, source: TimeSource::Log });
        times.into_iter().map(stamp).chain(logged).collect::<Vec<_>>()
    });
    let times: Finding<Vec<VerifiedTime>> = times.into();
    let (chain, sct) = match certificate {
        None => {
            let why = "the signer is a key, not a certificate";
            (Finding::NotChecked(why), Finding::NotChecked(why))
        }
        Some(leaf) => path(leaf, others, times.value().map_or(&[], Vec::as_slice), root),
    };
    let entries = entries.and_then(|entries| {
        entry::check_windows(&entries, times.value().map_or(&[], Vec::as_slice))?;
        Ok(entries.into_iter().map(|checked| checked.entry).collect())
    });
    let hint = match candidate.material {
        VerificationMaterial::PublicKey { hint } => hint.as_deref(),
        _ => None,
    };
    let signature = scheme.and_then(|scheme| {
        statement::check_hint(candidate.content, artifact)?;
        Ok(signed.check_digest_algorithm(scheme)?)
    });
    warnings.extend(signed.key_id_warning(hint));
    Examination { signature: signature.into(), log: entries.into(), times, chain, sct, warnings }
}

fn path(
    leaf: &Certificate,
    others: &[Vec<u8>],
    times: &[VerifiedTime],
    root: &TrustedRoot,
) -> (Finding<Vec<Certificate>>, Finding<()>) {
    if times.is_empty() {
        const WHY: &str = "there is no verified time at which it was used";
        return (Finding::NotChecked(WHY), Finding::NotChecked(WHY));
    }
    let others: Vec<Certificate> =
        others.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    match certificate::paths(leaf, &others, root, times) {
        Err(check) => {
            (Finding::Fails(check.into()), Finding::NotChecked("its issuer is not known"))
        }
        Ok(mut paths) => {
            let sct = paths.iter().try_for_each(|path| certificate::sct(leaf, path, root, 1));
            let path = paths.pop().map(|path| path.certificates);
            (Finding::Holds(path.unwrap_or_default()), sct.into())
        }
    }
}

fn stamp(stamped: Stamped<'_>) -> VerifiedTime {
    VerifiedTime { time: stamped.time, source: TimeSource::Timestamp }
}
