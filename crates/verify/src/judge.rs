use std::collections::BTreeSet;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::{Bundle, Content, LogEntry, VerificationMaterial};
use keys::{Digest, HashAlgorithm, PublicKey, Scheme};
use trust_root::TrustedRoot;
use x509::Certificate;

use crate::artifact::Artifact;
use crate::certificate;
use crate::check::{Check, Error};
use crate::entry;
use crate::policy::{self, Policy};
use crate::signature::Signed;
use crate::simple_signing;
use crate::statement;
use crate::time;
use crate::verified::{Signer, TimeSource, Verified, VerifiedEntry, VerifiedTime, Warning};

/// Judges whether `bundle` is a signature over `artifact` by whom `policy` asks for, believing
/// whom `root` trusts.
///
/// `now` is looked at in one case only: when logs are ignored and there is no timestamp. Otherwise
/// the moments that logs and timestamp authorities vouch for decide, and the certificate must have
/// been valid, up to its root, at every one of them.
///
/// # Errors
///
/// [`Error::Refused`] with the check that failed; [`Error::Artifact`] when the artifact was given
/// as a digest of another algorithm than the signer's key takes (see
/// [`hash_algorithm`](crate::hash_algorithm)).
pub fn verify(
    bundle: &Bundle,
    artifact: &Artifact<'_>,
    policy: &Policy,
    root: &TrustedRoot,
    now: SystemTime,
) -> Result<Verified, Error> {
    certificate::refuse_root(bundle.material())?;
    Matter::of(bundle).judge(artifact, Claim::Content, policy, root, now)
}

/// A signature with all that came with it, whatever format it came in.
pub(crate) struct Matter<'a> {
    pub(crate) material: &'a VerificationMaterial,
    pub(crate) content: &'a Content,
    pub(crate) entries: &'a [LogEntry],
    pub(crate) timestamps: &'a [Vec<u8>],
    pub(crate) signature: &'a [u8],
    /// The bytes that the timestamps are over.
    pub(crate) stamped: &'a [u8],
}

/// What ties the signed content to what is asked about.
#[derive(Clone, Copy)]
pub(crate) enum Claim<'a> {
    /// The content itself: a statement, or a signature over the artifact.
    Content,
    /// The signature is over `payload`, which must be about `image`.
    SimpleSigning { payload: &'a [u8], image: &'a Digest },
}

impl<'a> Matter<'a> {
    pub(crate) fn of(bundle: &'a Bundle) -> Self {
        Self {
            material: bundle.material(),
            content: bundle.content(),
            entries: bundle.log_entries(),
            timestamps: bundle.timestamps(),
            signature: bundle.signature(),
            stamped: bundle.signature(),
        }
    }

    pub(crate) fn judge(
        &self,
        artifact: &Artifact<'_>,
        claim: Claim<'_>,
        policy: &Policy,
        root: &TrustedRoot,
        now: SystemTime,
    ) -> Result<Verified, Error> {
        // Said first, because it is the likeliest mistake and the clearest answer.
        statement::check_hint(self.content, artifact)?;
        let judge = Judge { matter: self, artifact, claim, policy, root, now };
        match (&policy.signer, self.material) {
            (policy::Signer::Key(key), VerificationMaterial::PublicKey { hint }) => {
                judge.by_key(key, hint.as_deref())
            }
            (policy::Signer::Key(_), _) => {
                Err(Check::Material { expected: A_KEY, found: A_CERTIFICATE }.into())
            }
            (_, VerificationMaterial::PublicKey { .. }) => {
                Err(Check::Material { expected: A_CERTIFICATE, found: A_KEY }.into())
            }
            (_, VerificationMaterial::Certificate(leaf)) => judge.by_certificate(leaf, &[]),
            (_, VerificationMaterial::Chain(chain)) => match chain.split_first() {
                Some((leaf, others)) => judge.by_certificate(leaf, others),
                None => Err(Check::Material { expected: A_CERTIFICATE, found: "none" }.into()),
            },
        }
    }
}

struct Judge<'a> {
    matter: &'a Matter<'a>,
    artifact: &'a Artifact<'a>,
    claim: Claim<'a>,
    policy: &'a Policy,
    root: &'a TrustedRoot,
    now: SystemTime,
}

/// What log entries and timestamps prove.
struct Evidence {
    entries: Vec<VerifiedEntry>,
    times: Vec<VerifiedTime>,
    warnings: Vec<Warning>,
}

impl Judge<'_> {
    fn by_certificate(&self, leaf: &[u8], others: &[Vec<u8>]) -> Result<Verified, Error> {
        let leaf = Certificate::from_der(leaf).map_err(Check::Certificate)?;
        let others = others
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Check::Certificate)?;
        let signed = Signed::new(self.matter, self.artifact, leaf.public_key(), Some(&leaf));
        let scheme = signed.verify()?;
        signed.check_hints(scheme, None)?;
        let mut evidence = self.evidence(&signed, scheme)?;
        if evidence.times.is_empty() {
            evidence.times.push(self.clock()?);
        }
        // At every one of them, and the whole path: a certificate that was good at one moment and
        // used at another was not good.
        for path in certificate::paths(&leaf, &others, self.root, &evidence.times)? {
            if !self.policy.ignore_sct {
                certificate::sct(&leaf, &path, self.root, self.policy.scts)?;
            }
        }
        let identity = certificate::identity(&leaf, self.policy)?;
        let signer = Signer::Certificate {
            subject: identity.subject,
            issuer: identity.issuer,
            extensions: identity.extensions,
            certificate: Box::new(leaf.clone()),
        };
        self.verified(signer, evidence, scheme)
    }

    fn by_key(&self, key: &PublicKey, hint: Option<&str>) -> Result<Verified, Error> {
        if let Some((oid, expected)) = self.policy.extensions.first() {
            let (oid, expected) = (oid.clone(), expected.clone());
            return Err(Check::Extension { oid, expected, found: None }.into());
        }
        let signed = Signed::new(self.matter, self.artifact, key, None);
        let scheme = signed.verify()?;
        signed.check_hints(scheme, hint)?;
        let mut evidence = self.evidence(&signed, scheme)?;
        let expected = STANDARD.encode(key.id());
        if let Some(found) = hint.filter(|found| *found != expected) {
            let found = found.chars().take(100).collect();
            evidence.warnings.push(Warning::KeyHint { expected, found });
        }
        self.verified(Signer::Key(Box::new(key.clone())), evidence, scheme)
    }

    fn evidence(&self, signed: &Signed<'_>, scheme: Scheme) -> Result<Evidence, Error> {
        let mut warnings = Vec::new();
        let entries = if self.policy.ignore_tlog {
            Vec::new()
        } else {
            let entries = self.matter.entries;
            entry::check_all(entries, signed, scheme, self.root, &mut warnings)?
        };
        let stamped = time::check_all(self.matter.timestamps, self.matter.stamped, self.root)?;
        if stamped.is_empty() && self.policy.timestamps > 0 {
            return Err(Check::NoTime {
                expected: "a timestamp by a trusted authority",
                found: "no timestamp".to_owned(),
            }
            .into());
        }
        // Whoever issues one can issue many: what counts is how many vouch.
        let authorities: BTreeSet<_> = stamped.iter().map(|(authority, _)| *authority).collect();
        enough("timestamp authorities", self.policy.timestamps, authorities.len())?;
        if !self.policy.ignore_tlog {
            let logs: BTreeSet<_> = entries.iter().map(|entry| &entry.log_id).collect();
            enough("transparency logs", self.policy.logs, logs.len())?;
        }
        let by = |source| move |time| VerifiedTime { time, source };
        let logged = entries.iter().filter_map(|entry| entry.integrated_time);
        let times = stamped
            .into_iter()
            .map(|(_, time)| time)
            .map(by(TimeSource::Timestamp))
            .chain(logged.map(by(TimeSource::Log)))
            .collect();
        Ok(Evidence { entries, times, warnings })
    }

    /// Nothing vouches for a time: only who ignores logs may take the clock's.
    fn clock(&self) -> Result<VerifiedTime, Error> {
        if self.policy.ignore_tlog {
            return Ok(VerifiedTime { time: self.now, source: TimeSource::Clock });
        }
        Err(Check::NoTime {
            expected: "a timestamp by a trusted authority, or a log entry with a signed time",
            found: "no timestamp, and no log entry that vouches for a time".to_owned(),
        }
        .into())
    }

    fn verified(
        &self,
        signer: Signer,
        evidence: Evidence,
        scheme: Scheme,
    ) -> Result<Verified, Error> {
        let (mut statement, mut simple_signing) = (None, None);
        let digest = match (self.claim, self.matter.content) {
            (Claim::SimpleSigning { payload, image }, _) => {
                simple_signing = Some(simple_signing::check(payload, image, self.policy)?);
                image.clone()
            }
            (Claim::Content, Content::Envelope(envelope)) => {
                let (stated, digest) = statement::check(envelope, self.artifact, self.policy)?;
                statement = Some(stated);
                digest
            }
            (Claim::Content, Content::Message { .. }) => {
                statement::check_absent(self.policy)?;
                self.message_digest(scheme)?
            }
        };
        let Evidence { entries, times, warnings } = evidence;
        Ok(Verified { signer, times, entries, statement, simple_signing, digest, warnings })
    }

    fn message_digest(&self, scheme: Scheme) -> Result<Digest, Error> {
        let algorithm = scheme.hash().unwrap_or(HashAlgorithm::Sha256);
        self.artifact.digest(algorithm).ok_or_else(|| Error::Artifact {
            expected: algorithm.name().to_owned(),
            found: self.artifact.describe(),
        })
    }
}

pub(crate) fn enough(what: &'static str, expected: usize, found: usize) -> Result<(), Check> {
    if found >= expected { Ok(()) } else { Err(Check::Threshold { what, expected, found }) }
}

const A_CERTIFICATE: &str = "a certificate";
const A_KEY: &str = "a public key";
