//! `ambisign inspect`: what a signature says, and what of it holds. It decides nothing.

use std::path::Path;
use std::sync::Arc;

use bundle::{Bundle, Content, Envelope, LogEntry, SIZE_CAP, Statement};
use keys::{Digest, HashAlgorithm, PublicKey};
use oci_push::{LegacyKind, LegacySignature, Reference, Registry};
use serde_json::{Map, Value, json};
use trust_root::TrustedRoot;
use verify::{Artifact, Examination, Finding, LegacySignature as Legacy};
use x509::Certificate;

use super::attached;
use super::verify::source;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::flags::{InspectFlags, Output};
use crate::output::rfc3339;
use crate::plan;
use crate::wanted;

struct Plan<'a> {
    flags: &'a InspectFlags,
    root: TrustedRoot,
    key: Option<PublicKey>,
}

pub(crate) async fn inspect(flags: &InspectFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let key = flags.key.as_deref().map(|key| wanted::public_key(key, &*context.env)).transpose()?;
    let root = plan::trusted_root(&flags.trust, context).await?;
    let plan = Plan { flags, root, key };
    for what in &flags.what {
        let reports = match is_file(what) {
            true => file(Path::new(what), &plan, context).await.map(|report| vec![report]),
            false => image(what, &plan, context).await,
        };
        context.console.settle();
        match reports {
            Err(failure) => context.fail(&failure),
            Ok(reports) => reports.iter().for_each(|report| match flags.output {
                Output::Json => context.console.json(report),
                Output::Text => text(report).iter().for_each(|line| context.console.data(line)),
            }),
        }
    }
    Ok(())
}

/// A file that exists is meant before an image of that name.
fn is_file(what: &str) -> bool {
    Path::new(what).exists() || what.ends_with(".json") || what.parse::<Reference>().is_err()
}

async fn file(path: &Path, plan: &Plan<'_>, context: &Context) -> Result<Value, Failure> {
    let shown = path.display().to_string();
    let bytes = context.env.read(path, SIZE_CAP).await.map_err(|error| match &error {
        host::FileError::NotFound { .. } => {
            Failure::of(Exit::NotFound, format!("{shown} does not exist"), &error)
        }
        _ => Failure::of(Exit::Failed, format!("{shown} cannot be read"), &error),
    })?;
    let unreadable = |error: &(dyn std::error::Error + 'static)| {
        Failure::of(Exit::Failed, format!("{shown} is not a Sigstore bundle"), error)
    };
    let legacy = serde_json::from_slice::<Value>(&bytes)
        .is_ok_and(|document| document.get("base64Signature").is_some());
    if legacy {
        let legacy = Legacy::blob_bundle(&bytes).map_err(|error| unreadable(&error))?;
        let algorithm = legacy.hash_algorithm().unwrap_or(HashAlgorithm::Sha256);
        let digest = given(algorithm, plan).await?;
        return Ok(earlier(&shown, &legacy, digest.as_ref(), plan));
    }
    let bundle = Bundle::from_json(&bytes).map_err(|error| unreadable(&error))?;
    let algorithm = verify::hash_algorithm(&bundle).unwrap_or(HashAlgorithm::Sha256);
    let digest = given(algorithm, plan).await?;
    Ok(of_bundle(&shown, &bundle, &bytes, digest.as_ref(), plan))
}

/// The digest of the file of `--artifact`.
async fn given(algorithm: HashAlgorithm, plan: &Plan<'_>) -> Result<Option<Digest>, Failure> {
    let Some(path) = &plan.flags.artifact else { return Ok(None) };
    let digest = files::digest(path.clone(), algorithm).await;
    digest.map(Some).map_err(|error| Failure::file(path, &error))
}

async fn image(text: &str, plan: &Plan<'_>, context: &Context) -> Result<Vec<Value>, Failure> {
    let images = plan::images(&[text.to_owned()])?;
    let registry: Registry = plan::registry(&plan.flags.registry, &images, context)?;
    let could_not = |error| Failure::registry(format!("{text} could not be inspected"), &error);
    context.console.wait_for(&format!("looking for signatures of {text}"));
    let mut reports = Vec::new();
    for image in &images {
        let reference = image.reference();
        let resolved = registry.resolve(reference).await.map_err(could_not)?;
        let digest = attached::digest(&resolved)?;
        let mut found = registry.find(&resolved).await.map_err(could_not)?;
        if !found.bundles.is_empty() {
            found.legacy = registry.find_legacy(&resolved).await.map_err(could_not)?.legacy;
        }
        for signature in &found.bundles {
            let name = signature.digest.to_string();
            reports.push(match Bundle::from_json(&signature.bytes) {
                Ok(bundle) => of_bundle(&name, &bundle, &signature.bytes, Some(&digest), plan),
                Err(error) => unusable(&name, &chain(&error)),
            });
        }
        for signature in &found.legacy {
            reports.push(of_layer(signature, &digest, plan));
        }
        for other in &found.unusable {
            reports.push(unusable(&other.what, &other.reason));
        }
        for other in &found.unreachable {
            reports.push(unusable(&other.what, &chain(&other.error)));
        }
        if reports.is_empty() {
            return Err(Failure::new(Exit::NotSigned, format!("no signatures found for {text}")));
        }
    }
    Ok(reports)
}

fn of_layer(signature: &LegacySignature, image: &Digest, plan: &Plan<'_>) -> Value {
    let name = signature.digest.to_string();
    let legacy = match signature.kind {
        LegacyKind::Attestation => Legacy::attestation(&signature.bytes, &signature.annotations),
        LegacyKind::Signature => Legacy::image_signature(&signature.bytes, &signature.annotations),
    };
    match legacy {
        Ok(legacy) => earlier(&name, &legacy, Some(image), plan),
        Err(error) => unusable(&name, &chain(&error)),
    }
}

fn unusable(name: &str, reason: &str) -> Value {
    json!({ "signature": name, "identity_checked": false, "unusable": reason })
}

fn of_bundle(
    name: &str,
    bundle: &Bundle,
    bytes: &[u8],
    artifact: Option<&Digest>,
    plan: &Plan<'_>,
) -> Value {
    let hint = match bundle.content() {
        Content::Message { digest: Some(hint), .. } => {
            HashAlgorithm::from_sigstore_name(&hint.algorithm)
                .and_then(|algorithm| Digest::new(algorithm, hint.digest.clone()).ok())
        }
        _ => None,
    };
    // Without the artifact the digest in the bundle stands in for it, and the report says so.
    let against = artifact.or(hint.as_ref());
    let found = verify::examine(bundle, &artifact_of(against), plan.key.as_ref(), &plan.root);
    let mut report = Map::new();
    report.insert("signature".to_owned(), json!(name));
    report.insert("format".to_owned(), json!(bundle.version().media_type()));
    report.insert(
        "bundle_digest".to_owned(),
        json!(format!("sha256:{}", Digest::sha256(bytes).to_hex())),
    );
    let envelope = match bundle.content() {
        Content::Envelope(envelope) => Some(envelope),
        Content::Message { .. } => None,
    };
    let certificate = verify::certificate(bundle);
    let subject = Subject { envelope, hint: hint.as_ref(), payload: None, artifact };
    finish(report, subject, certificate.as_ref(), bundle.log_entries(), &found)
}

fn earlier(name: &str, legacy: &Legacy, artifact: Option<&Digest>, plan: &Plan<'_>) -> Value {
    let found =
        verify::examine_legacy(legacy, &artifact_of(artifact), plan.key.as_ref(), &plan.root);
    let mut report = Map::new();
    report.insert("signature".to_owned(), json!(name));
    report.insert("format".to_owned(), json!("cosign's from before bundles"));
    let certificate = legacy.certificate();
    let subject =
        Subject { envelope: legacy.envelope(), hint: None, payload: legacy.payload(), artifact };
    finish(report, subject, certificate.as_ref(), legacy.log_entries(), &found)
}

fn artifact_of(digest: Option<&Digest>) -> Artifact<'_> {
    digest.map_or(Artifact::Digests(&[]), Artifact::Digest)
}

/// What a signature is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    envelope: Option<&'a Envelope>,
    hint: Option<&'a Digest>,
    payload: Option<&'a [u8]>,
    artifact: Option<&'a Digest>,
}

fn finish(
    mut report: Map<String, Value>,
    subject: Subject<'_>,
    certificate: Option<&Certificate>,
    entries: &[LogEntry],
    found: &Examination,
) -> Value {
    let mut say = |name: &str, value: Value| report.insert(name.to_owned(), value);
    // Whatever holds below: nobody was asked for, so nobody was found.
    say("identity_checked", json!(false));
    let (content, about) = content(subject);
    say("artifact_checked", json!(about && found.signature.holds()));
    say("content", content);
    say("certificate", certificate.map_or(Value::Null, describe));
    let times = match &found.times {
        Finding::Holds(times) => times
            .iter()
            .map(|time| json!({ "time": rfc3339(time.time), "source": source(time.source) }))
            .collect(),
        _ => Vec::new(),
    };
    say("verified_times", Value::Array(times));
    let entries = entries.iter().map(|entry| {
        let id: String = entry.log_id.iter().take(64).map(|b| format!("{b:02x}")).collect();
        let log = match &found.log {
            Finding::Holds(held) => held
                .iter()
                .find(|held| {
                    held.log_id == entry.log_id && held.claimed_log_index == entry.log_index
                })
                .map(|held| held.log_url.clone()),
            _ => None,
        };
        json!({
            "log_index": entry.log_index,
            "log_id": id,
            "kind": format!("{} {}", entry.kind, entry.version),
            "claimed_time": entry.integrated_time.and_then(|seconds| {
                let time = std::time::Duration::from_secs(seconds);
                std::time::SystemTime::UNIX_EPOCH.checked_add(time).map(rfc3339)
            }),
            "has_promise": entry.signed_entry_timestamp.is_some(),
            "has_proof": entry.inclusion_proof.is_some(),
            "verified_in": log,
        })
    });
    say("log_entries", Value::Array(entries.collect()));
    let warnings = found.warnings.iter().map(ToString::to_string);
    say("warnings", json!(warnings.collect::<Vec<_>>()));
    say(
        "checks",
        json!({
            "signature": match (&found.signature, subject.artifact, subject.hint) {
                // Of the file itself nothing is known then.
                (Finding::Holds(()), None, Some(_)) => {
                    json!({ "result": "holds", "reason": "over the digest that the bundle claims" })
                }
                (signature, _, _) => finding(signature),
            },
            "transparency_log": finding(&found.log),
            "times": match &found.times {
                Finding::Holds(times) if times.is_empty() => {
                    json!({ "result": "fails", "reason": "nothing vouches for a time" })
                }
                times => finding(times),
            },
            "certificate_chain": finding(&found.chain),
            "certificate_published": finding(&found.sct),
        }),
    );
    Value::Object(report)
}

fn finding<T>(finding: &Finding<T>) -> Value {
    match finding {
        Finding::Holds(_) => json!({ "result": "holds" }),
        // That the file is not at hand says nothing about its signature.
        Finding::Fails(error @ verify::Error::Artifact { .. }) => {
            json!({ "result": "not looked at", "reason": chain(error) })
        }
        Finding::Fails(error) => json!({ "result": "fails", "reason": chain(error) }),
        Finding::NotChecked(why) => json!({ "result": "not looked at", "reason": why }),
        _ => json!({ "result": "not looked at" }),
    }
}

/// What was signed, and whether it is about the artifact that was given.
fn content(subject: Subject<'_>) -> (Value, bool) {
    let name = |digest: &Digest| format!("{}:{}", digest.algorithm().name(), digest.to_hex());
    if let Some(envelope) = subject.envelope {
        let mut content = json!({ "kind": "envelope", "payload_type": envelope.payload_type });
        let Ok(statement) = Statement::parse(&envelope.payload) else { return (content, false) };
        let subjects = statement.subjects().iter().map(|subject| {
            json!({
                "name": subject.name,
                "digest": subject.digests,
                "annotations": subject.annotations,
            })
        });
        let about = subject.artifact.is_some_and(|artifact| {
            let hex = artifact.to_hex();
            statement.subjects().iter().any(|subject| {
                let stated = subject.digests.get(artifact.algorithm().name());
                stated.is_some_and(|stated| stated.eq_ignore_ascii_case(&hex))
            })
        });
        if let Some(content) = content.as_object_mut() {
            content.insert("predicate_type".to_owned(), json!(statement.predicate_type()));
            content.insert("subjects".to_owned(), Value::Array(subjects.collect()));
        }
        return (content, about);
    }
    if let Some(payload) = subject.payload {
        let document: Value = serde_json::from_slice(payload).unwrap_or(Value::Null);
        let stated = document
            .get("critical")
            .and_then(|critical| critical.get("image")?.get("docker-manifest-digest")?.as_str());
        let about = subject.artifact.is_some_and(|image| stated == Some(&name(image)));
        return (json!({ "kind": "simple signing", "document": document }), about);
    }
    let digest = subject.hint.map(name);
    (json!({ "kind": "signature", "claimed_digest": digest }), subject.artifact.is_some())
}

fn describe(certificate: &Certificate) -> Value {
    let subject = certificate.subject_name();
    let extensions = certificate.fulcio_extensions().unwrap_or_default();
    let extensions: Map<String, Value> = extensions
        .iter()
        .map(|extension| {
            let name =
                if extension.name.is_empty() { extension.oid.as_str() } else { extension.name };
            (name.to_owned(), json!(extension.value))
        })
        .collect();
    json!({
        "subject": subject.as_ref().ok().map(x509::SubjectName::as_str),
        "subject_kind": subject.as_ref().ok().map(x509::SubjectName::kind),
        "issuer": certificate.oidc_issuer().ok().flatten(),
        "extensions": extensions,
        "not_before": rfc3339(certificate.not_before()),
        "not_after": rfc3339(certificate.not_after()),
        "key": certificate.public_key().default_scheme().key_details(),
    })
}

/// The report as lines for a person.
fn text(report: &Value) -> Vec<String> {
    let plain = |value: &Value| match value {
        Value::String(text) => host::escape_remote(text),
        other => host::escape_remote(&other.to_string()),
    };
    let mut lines = vec![plain(&report["signature"])];
    let mut say = |name: &str, value: String| lines.push(format!("  {name:<18} {value}"));
    if let Some(reason) = report.get("unusable") {
        say("unusable", plain(reason));
        return lines;
    }
    say("format", plain(&report["format"]));
    let content = &report["content"];
    for (label, field) in [
        ("content", "kind"),
        ("payload type", "payload_type"),
        ("predicate type", "predicate_type"),
        ("claimed digest", "claimed_digest"),
        ("subjects", "subjects"),
        ("document", "document"),
    ] {
        if let Some(value) = content.get(field).filter(|value| !value.is_null()) {
            say(label, plain(value));
        }
    }
    let certificate = &report["certificate"];
    if certificate.is_null() {
        say("signer", "a key that is not in it".to_owned());
    } else {
        say("signer", format!("{} (not checked)", plain(&certificate["subject"])));
        say("issuer", plain(&certificate["issuer"]));
        say(
            "certificate",
            format!(
                "{} to {}",
                plain(&certificate["not_before"]),
                plain(&certificate["not_after"])
            ),
        );
        for (name, value) in certificate["extensions"].as_object().into_iter().flatten() {
            say("extension", format!("{name} = {}", plain(value)));
        }
    }
    for time in report["verified_times"].as_array().into_iter().flatten() {
        say("verified time", format!("{} ({})", plain(&time["time"]), plain(&time["source"])));
    }
    for entry in report["log_entries"].as_array().into_iter().flatten() {
        let log = match &entry["verified_in"] {
            Value::Null => format!("of the log {}, not verified", plain(&entry["log_id"])),
            url => format!("of {}, verified", plain(url)),
        };
        say(
            "log entry",
            format!("{} ({}) {log}", plain(&entry["log_index"]), plain(&entry["kind"])),
        );
    }
    for warning in report["warnings"].as_array().into_iter().flatten() {
        say("warning", plain(warning));
    }
    for (name, check) in report["checks"].as_object().into_iter().flatten() {
        let reason =
            check.get("reason").map_or_else(String::new, |why| format!(": {}", plain(why)));
        say("check", format!("{} {}{reason}", name.replace('_', " "), plain(&check["result"])));
    }
    let artifact = if report["artifact_checked"] == true {
        "it is of the artifact given"
    } else {
        "not checked against an artifact"
    };
    say("artifact", artifact.to_owned());
    say("identity", "not checked: `ambisign verify` decides whose signature it must be".to_owned());
    lines
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    Failure::of(Exit::Failed, "", error).causes.join(": ")
}
