//! Inspecting signatures: what they say, and what of it holds, whoever signed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bundle::{Bundle, Content, Envelope, Limits, LogEntry};
use keys::{Digest, HashAlgorithm, PublicKey};
use oci_push::{FoundSignature, LegacyKind, Registry};
use serde_json::Value;
use trust_root::TrustedRoot;
use verify::{Artifact, Examination, Finding, LegacySignature};
use x509::Certificate;

use crate::error::{Action, Error};
use crate::file::offered::Offered;
use crate::file::signature::Content as FileContent;
use crate::file::{self, FileArgument, FileSignature};
use crate::image::{self, Image};
use crate::inspection::{
    CertificateInspection, CheckInspection, CheckResult, Checks, ContentInspection,
    EntryInspection, Inspected, Inspection, SignatureInspection, StatementInspection,
    SubjectInspection, TimeInspection,
};
use crate::report::time_source;
use crate::time::rfc3339;

/// Reports what signatures say, and what of it holds. It decides nothing.
#[derive(Clone)]
pub struct Inspector {
    root: Arc<TrustedRoot>,
    key: Option<PublicKey>,
}

impl Inspector {
    /// Checks against the authorities of `root`.
    pub fn new(root: Arc<TrustedRoot>) -> Self {
        Self { root, key: None }
    }

    /// Checks signatures without a certificate against this key.
    #[must_use]
    pub fn with_key(self, key: PublicKey) -> Self {
        Self { key: Some(key), ..self }
    }

    /// Inspects a file. Without the digest of the artifact, the signature is checked against the
    /// digest that the file claims, and the report says so.
    pub fn file(&self, file: &FileSignature, artifact: Option<&Digest>) -> Inspection {
        match &file.content {
            FileContent::Bundle(bundle, digest) => {
                self.bundle(&file.name, bundle, digest, artifact)
            }
            FileContent::Legacy(legacy) => self.legacy(&file.name, legacy, artifact),
        }
    }

    /// Inspects the bundles in the file at `path`: one, or many as JSON Lines. The signatures are
    /// checked against `artifact` as in [`file`](Self::file); of many bundles, those that name the
    /// digest of another file are left out.
    ///
    /// # Errors
    /// [`Read`](crate::file::Error::Read), [`Malformed`](crate::file::Error::Malformed), and
    /// [`NoSignature`](crate::file::Error::NoSignature) when all are left out.
    pub async fn bundle_file(
        &self,
        path: &FileArgument,
        artifact: Option<&FileArgument>,
    ) -> Result<Vec<Inspection>, file::Error> {
        let found = file::Signatures::read(path).await?;
        let algorithm =
            |file: &FileSignature| file.hash_algorithm().unwrap_or(HashAlgorithm::Sha256);
        let algorithms: BTreeSet<_> = found.readable().map(algorithm).collect();
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        let digests = match artifact {
            Some(artifact) => artifact.digests(&algorithms).await?,
            None => Vec::new(),
        };
        let about = Artifact::Digests(&digests);
        let many = found.all().len() > 1 && artifact.is_some();
        let mut reports = Vec::new();
        for offered in found.all() {
            reports.push(match offered {
                Offered::Signature(file) if many && !file.may_be_about(&about) => continue,
                Offered::Signature(file) => {
                    let algorithm = algorithm(file);
                    self.file(file, digests.iter().find(|it| it.algorithm() == algorithm))
                }
                Offered::Unreadable(name, reason) => unusable(name, reason.clone()),
            });
        }
        match (reports.is_empty(), artifact) {
            (true, Some(artifact)) => Err(file::Error::NoSignature {
                file: artifact.as_path().to_owned(),
                source: file::Missing::Among {
                    bundles: found.all().len(),
                    digest: digests.first().map(ToString::to_string).unwrap_or_default(),
                    others: Vec::new(),
                },
            }),
            _ => Ok(reports),
        }
    }

    /// Inspects everything that is attached to `image`; nothing attached is an empty list.
    ///
    /// # Errors
    /// [`Error::ImageNotFound`], [`Error::Registry`] and [`Error::Digest`].
    pub async fn image(
        &self,
        registry: &Registry,
        image: &Image,
    ) -> Result<Vec<Inspection>, Error> {
        let failed = |source| Error::registry(image.as_str(), Action::Inspect, source);
        let resolved = registry.look_up(image.reference()).await.map_err(failed)?;
        let Some(digest) = image::digest(&resolved) else {
            let digest = resolved.digest().to_string();
            return Err(Error::Digest { image: image.as_str().to_owned(), digest });
        };
        let mut found = registry.find(&resolved).await.map_err(failed)?;
        let more = registry.find_more(&resolved, &found).await;
        found.bundles.extend(more.bundles);
        found.legacy.extend(more.legacy);
        found.unusable.extend(more.unusable);
        found.unreachable.extend(more.unreachable);
        if !found.bundles.is_empty() {
            found.legacy = registry.find_legacy(&resolved).await.map_err(failed)?.legacy;
        }
        // Beside the async runtime, as verifying does it.
        let mut reports = Vec::new();
        for signature in found.bundles {
            let (inspector, digest) = (self.clone(), digest.clone());
            let name = signature.digest.to_string();
            reports
                .push(beside(name, move |name| inspector.found(name, &signature, &digest)).await);
        }
        for signature in found.legacy {
            let (inspector, digest) = (self.clone(), digest.clone());
            let name = signature.digest.to_string();
            let work = move |name: &str| inspector.found_legacy(name, &signature, &digest);
            reports.push(beside(name, work).await);
        }
        for other in found.unusable {
            reports.push(unusable(&other.what, other.reason));
        }
        for other in found.unreachable {
            let reason = format!("it could not be fetched: {}", host::with_causes(&other.error));
            reports.push(unusable(&other.what, reason));
        }
        Ok(reports)
    }

    fn found(&self, name: &str, signature: &FoundSignature, image: &Digest) -> Inspection {
        match Bundle::from_json_within(&signature.bytes, &Limits::large()) {
            Ok(bundle) => {
                self.bundle(name, &bundle, &Digest::sha256(&signature.bytes), Some(image))
            }
            Err(error) => unusable(name, host::with_causes(&error)),
        }
    }

    fn found_legacy(
        &self,
        name: &str,
        signature: &oci_push::LegacySignature,
        image: &Digest,
    ) -> Inspection {
        let (payload, annotations) = (&signature.bytes, &signature.annotations);
        let read = match signature.kind {
            LegacyKind::Attestation => LegacySignature::attestation(payload, annotations),
            LegacyKind::Signature => LegacySignature::image_signature(payload, annotations),
        };
        match read {
            Ok(legacy) => self.legacy(name, &legacy, Some(image)),
            Err(error) => unusable(name, host::with_causes(&error)),
        }
    }

    fn bundle(
        &self,
        name: &str,
        bundle: &Bundle,
        bytes_digest: &Digest,
        artifact: Option<&Digest>,
    ) -> Inspection {
        let claimed = match bundle.content() {
            Content::Message { digest: Some(claimed), .. } => {
                HashAlgorithm::from_sigstore_name(&claimed.algorithm)
                    .and_then(|algorithm| Digest::new(algorithm, claimed.digest.clone()).ok())
            }
            _ => None,
        };
        let against = artifact_of(artifact.or(claimed.as_ref()));
        let found = verify::examine(bundle, &against, self.key.as_ref(), &self.root);
        let envelope = match bundle.content() {
            Content::Envelope(envelope) => Some(envelope),
            Content::Message { .. } => None,
        };
        let signed = Signed { envelope, claimed: claimed.as_ref(), payload: None, artifact };
        let format = bundle.version().media_type().to_owned();
        let certificate = verify::certificate(bundle);
        let mut report = report(format, signed, certificate.as_ref(), bundle.log_entries(), &found);
        report.bundle_digest = Some(format!("sha256:{}", bytes_digest.to_hex()));
        signature(name, report)
    }

    fn legacy(
        &self,
        name: &str,
        legacy: &LegacySignature,
        artifact: Option<&Digest>,
    ) -> Inspection {
        let against = artifact_of(artifact);
        let found = verify::examine_legacy(legacy, &against, self.key.as_ref(), &self.root);
        let (envelope, payload) = (legacy.envelope(), legacy.payload());
        let signed = Signed { envelope, claimed: None, payload, artifact };
        let format = "a format of cosign from before bundles".to_owned();
        let certificate = legacy.certificate();
        signature(name, report(format, signed, certificate.as_ref(), legacy.log_entries(), &found))
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What `work`, done on a thread of its own, reports of the signature `name`.
async fn beside(
    name: String,
    work: impl FnOnce(&str) -> Inspection + Send + 'static,
) -> Inspection {
    let of = name.clone();
    let report = host::off_thread(move || work(&of)).await;
    report.unwrap_or_else(|error| unusable(&name, error.to_string()))
}

fn artifact_of(digest: Option<&Digest>) -> Artifact<'_> {
    digest.map_or(Artifact::Digests(&[]), Artifact::Digest)
}

fn unusable(name: &str, reason: String) -> Inspection {
    let found = Inspected::Unusable { unusable: reason };
    Inspection { signature: name.to_owned(), identity_checked: false, found }
}

fn signature(name: &str, report: SignatureInspection) -> Inspection {
    let found = Inspected::Signature(Box::new(report));
    Inspection { signature: name.to_owned(), identity_checked: false, found }
}

/// What a signature is over.
#[derive(Clone, Copy)]
struct Signed<'a> {
    envelope: Option<&'a Envelope>,
    /// The digest in a bundle of a file.
    claimed: Option<&'a Digest>,
    payload: Option<&'a [u8]>,
    /// The digest of the artifact that was given.
    artifact: Option<&'a Digest>,
}

fn report(
    format: String,
    signed: Signed<'_>,
    certificate: Option<&Certificate>,
    entries: &[LogEntry],
    found: &Examination,
) -> SignatureInspection {
    let (content, about) = content(signed);
    let times = match &found.times {
        Finding::Holds(times) => times.as_slice(),
        _ => &[],
    };
    SignatureInspection {
        format,
        bundle_digest: None,
        artifact_checked: about && found.signature.holds(),
        content,
        certificate: certificate.map(describe),
        verified_times: times
            .iter()
            .map(|time| TimeInspection {
                time: rfc3339(time.time),
                source: time_source(time.source),
            })
            .collect(),
        log_entries: entries.iter().map(|entry| log_entry(entry, found)).collect(),
        warnings: found.warnings.iter().map(ToString::to_string).collect(),
        checks: Checks {
            signature: match (&found.signature, signed.artifact, signed.claimed) {
                // The file itself was not looked at.
                (Finding::Holds(()), None, Some(_)) => CheckInspection {
                    result: CheckResult::Holds,
                    reason: Some("over the digest that the bundle claims".to_owned()),
                },
                (signature, _, _) => check(signature),
            },
            transparency_log: check(&found.log),
            times: match &found.times {
                Finding::Holds(times) if times.is_empty() => CheckInspection {
                    result: CheckResult::Fails,
                    reason: Some("no log and no timestamp authority attests a time".to_owned()),
                },
                times => check(times),
            },
            certificate_chain: check(&found.chain),
            certificate_published: check(&found.sct),
        },
    }
}

fn log_entry(entry: &LogEntry, found: &Examination) -> EntryInspection {
    let held = match &found.log {
        Finding::Holds(held) => held.as_slice(),
        _ => &[],
    };
    let held = held
        .iter()
        .find(|held| held.log_id == entry.log_id && held.claimed_log_index == entry.log_index);
    EntryInspection {
        log_index: entry.log_index,
        log_id: entry.log_id.iter().take(64).map(|byte| format!("{byte:02x}")).collect(),
        kind: format!("{} {}", entry.kind, entry.version),
        claimed_time: entry.integrated_time.and_then(|seconds| {
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).map(rfc3339)
        }),
        has_promise: entry.signed_entry_timestamp.is_some(),
        has_proof: entry.inclusion_proof.is_some(),
        verified_in: held.map(|held| held.log_url.clone()),
    }
}

fn check<T>(finding: &Finding<T>) -> CheckInspection {
    let (result, reason) = match finding {
        Finding::Holds(_) => (CheckResult::Holds, None),
        // Without the artifact, nothing is known about the signature.
        Finding::Fails(error @ verify::Error::Artifact { .. }) => {
            (CheckResult::NotChecked, Some(host::with_causes(error)))
        }
        Finding::Fails(error) => (CheckResult::Fails, Some(host::with_causes(error))),
        Finding::NotChecked(why) => (CheckResult::NotChecked, Some((*why).to_owned())),
        _ => (CheckResult::NotChecked, None),
    };
    CheckInspection { result, reason }
}

/// What was signed, and whether it names the artifact that was given.
fn content(signed: Signed<'_>) -> (ContentInspection, bool) {
    let name = |digest: &Digest| format!("{}:{}", digest.algorithm().name(), digest.to_hex());
    if let Some(envelope) = signed.envelope {
        let payload_type = envelope.payload_type.clone();
        let Ok(statement) = envelope.statement() else {
            return (ContentInspection::Envelope { payload_type, statement: None }, false);
        };
        let about = signed.artifact.is_some_and(|artifact| {
            let hex = artifact.to_hex();
            statement.subjects().iter().any(|subject| {
                let stated = subject.digests.get(artifact.algorithm().name());
                stated.is_some_and(|stated| stated.eq_ignore_ascii_case(&hex))
            })
        });
        let subjects = statement.subjects().iter().map(|subject| SubjectInspection {
            name: subject.name.clone(),
            digest: subject.digests.clone(),
            annotations: subject.annotations.clone(),
        });
        let statement = Some(StatementInspection {
            predicate_type: statement.predicate_type().to_owned(),
            subjects: subjects.collect(),
        });
        return (ContentInspection::Envelope { payload_type, statement }, about);
    }
    if let Some(payload) = signed.payload {
        let document: Value = serde_json::from_slice(payload).unwrap_or(Value::Null);
        let stated = document
            .get("critical")
            .and_then(|critical| critical.get("image")?.get("docker-manifest-digest")?.as_str());
        let about = signed.artifact.is_some_and(|image| stated == Some(&name(image)));
        return (ContentInspection::SimpleSigning { document }, about);
    }
    let claimed_digest = signed.claimed.map(name);
    (ContentInspection::Signature { claimed_digest }, signed.artifact.is_some())
}

fn describe(certificate: &Certificate) -> CertificateInspection {
    let subject = certificate.subject_name().ok();
    let extensions = certificate.fulcio_extensions().unwrap_or_default();
    let extensions = extensions.into_iter().map(|extension| {
        let name = match extension.reported_name() {
            "" | "Unknown" => extension.oid,
            name => name.to_owned(),
        };
        (name, extension.value)
    });
    CertificateInspection {
        subject: subject.as_ref().map(|subject| subject.as_str().to_owned()),
        subject_kind: subject.as_ref().map(x509::SubjectName::kind),
        issuer: certificate.oidc_issuer().ok().flatten(),
        extensions: extensions.collect(),
        not_before: rfc3339(certificate.not_before()),
        not_after: rfc3339(certificate.not_after()),
        key: certificate.public_key().default_scheme().key_details(),
    }
}
