use std::time::SystemTime;

use bundle::{Bundle, Content, VerificationMaterial};
use keys::{Digest, HashAlgorithm, PublicKey, Scheme};
use trust_root::TrustedRoot;
use x509::Certificate;

use crate::accepted::Identity;
use crate::artifact::Artifact;
use crate::candidate::{Binding, Candidate};
use crate::certificate;
use crate::check::{Check, Error};
use crate::entry;
use crate::legacy::LegacySignature;
use crate::policy::Policy;
use crate::purpose::{A_FILE_SIGNATURE, Formats, Purpose};
use crate::signature::Signed;
use crate::simple_signing;
use crate::statement;
use crate::text::plain;
use crate::threshold::{TimeAuthority, enough};
use crate::time;
use crate::verified::{
    SignedContent, Signer, TimeSource, Verified, VerifiedEntry, VerifiedTime, Warning,
};

/// Judges whether `bundle` is a signature of `artifact` for the purpose and by one of the signers
/// that `policy` states, with the authorities and logs of `root`.
///
/// The cost does not depend on the number of acceptable signers beyond comparing names: the
/// evidence is judged once. Whether enough signers signed is decided over several signatures, by
/// [`Rule::decide`](crate::Rule::decide). A program that judges many signatures on an asynchronous
/// runtime can yield between them.
///
/// `now` is used only when logs are ignored and there is no timestamp. Otherwise the times of logs
/// and timestamp authorities decide, and the certificate must have been valid, up to its root, at
/// every one of them.
///
/// # Errors
///
/// [`Error::Refused`] with the check that failed; [`Error::Artifact`] when the artifact was given
/// as a digest of another algorithm than the signer's key signs (see
/// [`hash_algorithm`](crate::hash_algorithm)).
pub fn verify(
    bundle: &Bundle,
    artifact: &Artifact<'_>,
    policy: &Policy,
    root: &TrustedRoot,
    now: SystemTime,
) -> Result<Verified, Error> {
    let candidate = Candidate::of(bundle);
    check_formats(Formats::Bundle, policy)?;
    certificate::refuse_root(bundle.material())?;
    judge(Judge { candidate, artifact, binding: Binding::Content, policy, root, now })
}

/// As [`verify()`](crate::verify()), for a signature in one of cosign's earlier formats. An image
/// is given by its digest.
///
/// # Errors
///
/// As [`verify()`](crate::verify()).
pub fn verify_legacy(
    legacy: &LegacySignature,
    artifact: &Artifact<'_>,
    policy: &Policy,
    root: &TrustedRoot,
    now: SystemTime,
) -> Result<Verified, Error> {
    let candidate = legacy.candidate();
    check_formats(Formats::Legacy, policy)?;
    let Some(payload) = legacy.payload() else {
        return judge(Judge { candidate, artifact, binding: Binding::Content, policy, root, now });
    };
    let image = artifact.image()?;
    let binding = Binding::SimpleSigning { payload, image: &image };
    let artifact = &Artifact::Message(payload);
    judge(Judge { candidate, artifact, binding, policy, root, now })
}

fn check_formats(format: Formats, policy: &Policy) -> Result<(), Check> {
    policy.rule.accepted_formats().check(format)?;
    policy.formats.check(format)
}

#[derive(Clone, Copy)]
struct Judge<'a> {
    candidate: Candidate<'a>,
    artifact: &'a Artifact<'a>,
    binding: Binding<'a>,
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

fn judge(judge: Judge<'_>) -> Result<Verified, Error> {
    // Checked first: they are the most common mistakes and the easiest to explain.
    statement::check_hint(judge.candidate.content, judge.artifact)?;
    judge.check_purpose()?;
    let rule = &judge.policy.rule;
    match (judge.candidate.certificates(), judge.candidate.material) {
        (Some((leaf, others)), _) if rule.has_identities() => judge.by_certificate(leaf, others),
        (Some(_), _) => Err(Check::Material { expected: A_KEY, found: A_CERTIFICATE }.into()),
        (None, VerificationMaterial::PublicKey { hint }) => judge.by_keys(hint.as_deref()),
        (None, _) => Err(Check::Material { expected: A_CERTIFICATE, found: "none" }.into()),
    }
}

impl Judge<'_> {
    fn by_certificate(&self, leaf: &[u8], others: &[Vec<u8>]) -> Result<Verified, Error> {
        let known = self.policy.known.as_ref().filter(|known| known.der() == leaf);
        let leaf = known.map_or_else(|| Certificate::from_der(leaf), |known| Ok(known.clone()));
        let leaf = leaf.map_err(Check::Certificate)?;
        // Before the expensive checks: with it, a signature of another identity costs little.
        let identity = Identity::of(&leaf)?;
        self.policy.rule.accepts_identity(&identity)?;
        let others = others
            .iter()
            .map(|der| Certificate::from_der(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(Check::Certificate)?;
        let signed = Signed::new(&self.candidate, self.artifact, leaf.public_key(), Some(&leaf));
        let scheme = signed.verify()?;
        signed.check_digest_algorithm(scheme)?;
        let mut evidence = self.evidence(&signed, scheme)?;
        evidence.warnings.extend(signed.key_id_warning(None));
        if evidence.times.is_empty() {
            evidence.times.push(self.clock()?);
        }
        // At every verified time, and the whole path: a certificate that was valid at one time and
        // used at another was not valid when it was used.
        for path in certificate::paths(&leaf, &others, self.root, &evidence.times)? {
            if !self.policy.ignore_sct {
                certificate::sct(&leaf, &path, self.root, self.policy.scts)?;
            }
        }
        let signer = Signer::Certificate { certificate: Box::new(leaf.clone()), identity };
        self.verified(signer, evidence, scheme)
    }

    /// Finds the one of the acceptable keys that made the signature, and judges by it.
    fn by_keys(&self, hint: Option<&str>) -> Result<Verified, Error> {
        let mut refused = None;
        for key in self.policy.rule.keys() {
            let signed = Signed::new(&self.candidate, self.artifact, key, None);
            match signed.verify() {
                Ok(scheme) => return self.by_key(key, &signed, scheme, hint),
                Err(error) => _ = refused.get_or_insert(error),
            }
        }
        Err(refused.unwrap_or_else(|| self.no_key()))
    }

    fn by_key(
        &self,
        key: &PublicKey,
        signed: &Signed<'_>,
        scheme: Scheme,
        hint: Option<&str>,
    ) -> Result<Verified, Error> {
        signed.check_digest_algorithm(scheme)?;
        let mut evidence = self.evidence(signed, scheme)?;
        evidence.warnings.extend(signed.key_id_warning(hint));
        let expected = key.hint();
        if let Some(found) = hint.filter(|found| *found != expected) {
            let found = found.chars().take(100).collect();
            evidence.warnings.push(Warning::KeyHint { expected, found });
        }
        self.verified(Signer::Key(Box::new(key.clone())), evidence, scheme)
    }

    /// Why no key is acceptable, of a rule without one, or with keys that must have extensions.
    fn no_key(&self) -> Error {
        let keys = self.policy.rule.signers().iter().filter(|s| s.public_key().is_some());
        match keys.flat_map(|signer| &signer.extensions).next() {
            Some((oid, expected)) => {
                let (oid, expected) = (oid.clone(), expected.clone());
                Check::Extension { oid, expected, found: None }.into()
            }
            None => Check::Material { expected: A_CERTIFICATE, found: A_KEY }.into(),
        }
    }

    /// A signature for another purpose does not count, whoever made it. The predicate type is
    /// compared when the statement is read.
    fn check_purpose(&self) -> Result<(), Check> {
        let found = match (&self.policy.purpose, self.binding, self.candidate.content) {
            (Purpose::ImageSignature, Binding::SimpleSigning { .. }, _)
            | (Purpose::FileSignature, Binding::Content, Content::Message { .. })
            | (
                Purpose::ImageSignature | Purpose::Attestation { .. },
                Binding::Content,
                Content::Envelope(_),
            ) => return Ok(()),
            (_, Binding::SimpleSigning { .. }, _) => "an image signature".to_owned(),
            (_, Binding::Content, Content::Message { .. }) => A_FILE_SIGNATURE.to_owned(),
            (_, Binding::Content, Content::Envelope(envelope)) => match envelope.statement() {
                Ok(statement) => {
                    format!("a statement of type {}", plain(statement.predicate_type()))
                }
                Err(_) => format!("an envelope of {}", plain(&envelope.payload_type)),
            },
        };
        Err(Check::Purpose { expected: self.policy.purpose.describe(), found })
    }

    fn evidence(&self, signed: &Signed<'_>, scheme: Scheme) -> Result<Evidence, Error> {
        let mut warnings = Vec::new();
        let entries = if self.policy.ignore_tlog {
            Vec::new()
        } else {
            let entries = self.candidate.entries;
            let policy = self.policy;
            let by_digest = policy.digest_entries && policy.purpose != Purpose::ImageSignature;
            entry::check_all(entries, signed, scheme, by_digest, self.root, &mut warnings)?
        };
        let stamped =
            time::check_all(self.candidate.timestamps, self.candidate.stamped, self.root)?;
        if stamped.is_empty() && self.policy.timestamps > 0 {
            return Err(Check::NoTime {
                expected: "a timestamp by a trusted authority",
                found: "no timestamp".to_owned(),
            }
            .into());
        }
        // One authority can issue many timestamps: authorities are counted.
        let authorities = stamped.iter().map(|stamped| {
            let certificate = stamped.authority.chain.first().map_or(&[][..], Certificate::der);
            TimeAuthority::new(stamped.authority.operator.as_deref(), certificate)
        });
        enough("timestamp authorities", self.policy.timestamps, authorities)?;
        if !self.policy.ignore_tlog {
            let logs = entries.iter().filter_map(|checked| checked.logs.first());
            let logs = logs.map(|log| TimeAuthority::new(log.operator(), log.log_id()));
            enough("transparency logs", self.policy.logs, logs)?;
        }
        let by = |source| move |time| VerifiedTime { time, source };
        let logged = entries.iter().filter_map(|checked| checked.entry.integrated_time);
        let times: Vec<_> = stamped
            .iter()
            .map(|stamped| stamped.time)
            .map(by(TimeSource::Timestamp))
            .chain(logged.map(by(TimeSource::Log)))
            .collect();
        entry::check_windows(&entries, &times)?;
        let entries = entries.into_iter().map(|checked| checked.entry).collect();
        Ok(Evidence { entries, times, warnings })
    }

    /// There is no verified time: the clock's counts only when logs are ignored.
    fn clock(&self) -> Result<VerifiedTime, Error> {
        if self.policy.ignore_tlog {
            return Ok(VerifiedTime { time: self.now, source: TimeSource::Clock });
        }
        Err(Check::NoTime {
            expected: "a timestamp by a trusted authority, or a log entry with a signed time",
            found: "no timestamp, and no log entry with a signed time".to_owned(),
        }
        .into())
    }

    fn verified(
        &self,
        signer: Signer,
        evidence: Evidence,
        scheme: Scheme,
    ) -> Result<Verified, Error> {
        let (content, digest) = match (self.binding, self.candidate.content) {
            (Binding::SimpleSigning { payload, image }, _) => {
                let document = simple_signing::check(payload, image, self.policy)?;
                (SignedContent::SimpleSigning(document), image.clone())
            }
            (Binding::Content, Content::Envelope(envelope)) => {
                let about = statement::check(envelope, self.artifact, self.policy)?;
                let (statement, subject) = (about.statement, about.subject);
                (SignedContent::Statement { statement, subject }, about.digest)
            }
            (Binding::Content, Content::Message { .. }) => {
                self.no_annotations()?;
                (SignedContent::Artifact, self.message_digest(scheme)?)
            }
        };
        let Evidence { entries, times, warnings } = evidence;
        Ok(Verified { signer, times, entries, content, digest, warnings })
    }

    /// The signature of a file has no place for annotations.
    fn no_annotations(&self) -> Result<(), Check> {
        match self.policy.annotations.first() {
            Some((key, expected)) => {
                Err(Check::Annotation { key: key.clone(), expected: expected.clone(), found: None })
            }
            None => Ok(()),
        }
    }

    fn message_digest(&self, scheme: Scheme) -> Result<Digest, Error> {
        let algorithm = scheme.hash().unwrap_or(HashAlgorithm::Sha256);
        self.artifact.digest(algorithm).ok_or_else(|| Error::Artifact {
            expected: algorithm.name().to_owned(),
            found: self.artifact.describe(),
        })
    }
}

const A_CERTIFICATE: &str = "a certificate";
const A_KEY: &str = "a public key";
