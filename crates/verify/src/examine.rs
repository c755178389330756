//! What holds of a signature and what does not, part by part, whoever signed.

use std::time::SystemTime;

use bundle::{Bundle, VerificationMaterial};
use keys::PublicKey;
use trust_root::TrustedRoot;
use x509::Certificate;

use crate::artifact::Artifact;
use crate::certificate;
use crate::check::{Check, Error};
use crate::judge::Matter;
use crate::legacy::Legacy;
use crate::signature::Signed;
use crate::verified::{TimeSource, VerifiedEntry, VerifiedTime, Warning};
use crate::{entry, statement, time};

/// What [`examine`] found. It is no verdict: nobody asked whose signature it is.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examination {
    /// Over the artifact, by the key of the certificate.
    pub signature: Finding<()>,
    /// The entries of trusted logs, every part of them.
    pub log: Finding<Vec<VerifiedEntry>>,
    /// The moments that logs and authorities vouch for.
    pub times: Finding<Vec<VerifiedTime>>,
    /// The certificate, up to a trusted authority, at all of these moments; its path.
    pub chain: Finding<Vec<Certificate>>,
    /// That the certificate was published.
    pub sct: Finding<()>,
    /// What was passed over.
    pub warnings: Vec<Warning>,
}

/// What became of one check.
#[derive(Debug)]
pub enum Finding<T> {
    /// It holds.
    Holds(T),
    /// It does not, and why.
    Fails(Error),
    /// It could not be looked at, and why.
    NotLookedAt(&'static str),
}

impl<T> Finding<T> {
    /// Whether it holds.
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

/// Looks at each part of `bundle` on its own, for telling people: every check is the one of
/// [`verify()`](crate::verify()), and one that fails does not keep the others from being made.
///
/// A statement's subjects are not compared with anything; nor is the identity. `key` is the key of
/// a bundle without a certificate.
pub fn examine(
    bundle: &Bundle,
    artifact: &Artifact<'_>,
    key: Option<&PublicKey>,
    root: &TrustedRoot,
) -> Examination {
    let mut found = Matter::of(bundle).examine(artifact, key, root);
    if let Err(check) = certificate::refuse_root(bundle.material()) {
        found.chain = Finding::Fails(check.into());
    }
    found
}

/// As [`examine`], for a signature in one of cosign's earlier formats. The artifact of an image's
/// signature is the payload that was signed, which the signature brings along.
pub fn examine_legacy(
    legacy: &Legacy,
    artifact: &Artifact<'_>,
    key: Option<&PublicKey>,
    root: &TrustedRoot,
) -> Examination {
    match legacy.payload() {
        Some(payload) => legacy.matter().examine(&Artifact::Message(payload), key, root),
        None => legacy.matter().examine(artifact, key, root),
    }
}

impl Matter<'_> {
    fn examine(
        &self,
        artifact: &Artifact<'_>,
        key: Option<&PublicKey>,
        root: &TrustedRoot,
    ) -> Examination {
        let (leaf, others) = match self.material {
            VerificationMaterial::Certificate(leaf) => (Some(leaf), [].as_slice()),
            VerificationMaterial::Chain(chain) => match chain.split_first() {
                Some((leaf, others)) => (Some(leaf), others),
                None => (None, [].as_slice()),
            },
            VerificationMaterial::PublicKey { .. } => (None, [].as_slice()),
        };
        let leaf = leaf.map(|der| Certificate::from_der(der));
        let certificate = leaf.as_ref().and_then(|leaf| leaf.as_ref().ok());
        let known = certificate.map(Certificate::public_key).or(match &leaf {
            None => key,
            Some(_) => None,
        });
        let mut warnings = Vec::new();
        // Of timestamps the signer's key is no part.
        let stamped = time::check_all(self.timestamps, self.stamped, root);
        let Some(known) = known else {
            let unread = match leaf {
                Some(Err(source)) => Finding::Fails(Check::Certificate(source).into()),
                _ => Finding::NotLookedAt("the signer's key is not in the bundle"),
            };
            return Examination {
                signature: unread,
                log: Finding::NotLookedAt("the signer's key is not known"),
                times: stamped.map(|times| times.into_iter().map(stamp).collect()).into(),
                chain: Finding::NotLookedAt("there is no certificate that can be read"),
                sct: Finding::NotLookedAt("there is no certificate that can be read"),
                warnings,
            };
        };
        let signed = Signed::new(self, artifact, known, certificate);
        let scheme = signed.verify();
        // What the entry says must fit the usual scheme when the signature itself tells none.
        let usual = scheme.as_ref().map_or_else(|_| known.default_scheme(), |scheme| *scheme);
        let entries = entry::check_all(self.entries, &signed, usual, root, &mut warnings);
        let times = stamped.map(|times| {
            let logged = entries.iter().flatten().filter_map(|entry| entry.integrated_time);
            let logged = logged.map(|time| VerifiedTime { time, source: TimeSource::Log });
            times.into_iter().map(stamp).chain(logged).collect::<Vec<_>>()
        });
        let times: Finding<Vec<VerifiedTime>> = times.into();
        let (chain, sct) = match certificate {
            None => {
                let why = "the signer is a key, not a certificate";
                (Finding::NotLookedAt(why), Finding::NotLookedAt(why))
            }
            Some(leaf) => path(leaf, others, times.value().map_or(&[], Vec::as_slice), root),
        };
        let hint = match self.material {
            VerificationMaterial::PublicKey { hint } => hint.as_deref(),
            _ => None,
        };
        let signature = scheme.and_then(|scheme| {
            statement::check_hint(self.content, artifact)?;
            Ok(signed.check_hints(scheme, hint)?)
        });
        Examination {
            signature: signature.into(),
            log: entries.into(),
            times,
            chain,
            sct,
            warnings,
        }
    }
}

fn path(
    leaf: &Certificate,
    others: &[Vec<u8>],
    times: &[VerifiedTime],
    root: &TrustedRoot,
) -> (Finding<Vec<Certificate>>, Finding<()>) {
    if times.is_empty() {
        const WHY: &str = "nothing vouches for the time at which it was used";
        return (Finding::NotLookedAt(WHY), Finding::NotLookedAt(WHY));
    }
    let others: Vec<Certificate> =
        others.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    match certificate::paths(leaf, &others, root, times) {
        Err(check) => {
            (Finding::Fails(check.into()), Finding::NotLookedAt("its issuer is not known"))
        }
        Ok(mut paths) => {
            let sct = paths.iter().try_for_each(|path| certificate::sct(leaf, path, root, 1));
            let path = paths.pop().map(|path| path.certificates);
            (Finding::Holds(path.unwrap_or_default()), sct.into())
        }
    }
}

fn stamp((_, time): (usize, SystemTime)) -> VerifiedTime {
    VerifiedTime { time, source: TimeSource::Timestamp }
}
