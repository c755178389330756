//! `ambisign verify`.

use std::sync::Arc;

use bundle::{Bundle, Content, SIGN_PREDICATE_TYPE, Statement, VerificationMaterial};
use keys::{Digest, HashAlgorithm};
use oci_push::{LegacyKind, Reference, Registry};
use serde_json::{Map, Value, json};
use trust_root::TrustedRoot;
use verify::{Artifact, Policy, TimeSource, Verified};

use super::signing::conclude;
use crate::concurrent::for_each;
use crate::error::{Exit, Failure};
use crate::flags::{Output, VerifyFlags};
use crate::output::rfc3339;
use crate::plan;
use crate::world::World;

struct Plan {
    registry: Registry,
    policy: Policy,
    root: TrustedRoot,
    output: Output,
}

/// What one signature turned out to be.
enum Judged {
    Accepted(Value),
    /// Made for another purpose: neither for nor against the image.
    Attestation,
    Refused(Failure),
}

pub(crate) async fn verify(flags: &VerifyFlags, world: &Arc<World>) -> Result<Exit, Failure> {
    let images = plan::images(&flags.images)?;
    let mut policy = plan::policy(&flags.policy, world)?;
    for (key, value) in plan::annotations(&flags.annotations)? {
        policy = policy.annotation(key, value);
    }
    let plan = Plan {
        registry: plan::registry(&flags.registry, &images, world)?,
        policy,
        root: plan::trusted_root(&flags.trust, &*world.env)?,
        output: flags.output,
    };
    let mut failures = Vec::new();
    let work = |(text, reference): (String, Reference)| {
        let plan = &plan;
        async move {
            world.console.begin(&text);
            world.console.wait_for(&format!("looking for signatures of {text}"));
            let result = verify_one(&text, &reference, plan, world).await;
            world.console.end(&text);
            result
        }
    };
    for_each(images.into_iter(), WIDTH, work, |verified| match verified {
        Ok(lines) => lines.iter().for_each(|line| world.console.data(line)),
        Err(failure) => failures.push(failure),
    })
    .await;
    Ok(conclude(&world.console, &failures))
}

async fn verify_one(
    text: &str,
    reference: &Reference,
    plan: &Plan,
    world: &World,
) -> Result<Vec<String>, Failure> {
    let could_not = |error| Failure::registry(text, "could not be verified", &error);
    let resolved = plan.registry.resolve(reference).await.map_err(could_not)?;
    let found = plan.registry.find(&resolved).await.map_err(could_not)?;
    let digest = resolved.digest();
    let algorithm = HashAlgorithm::from_name(digest.algorithm());
    let artifact =
        algorithm.and_then(|algorithm| Digest::from_hex(algorithm, digest.hex()).ok()).ok_or_else(
            || Failure::new(Exit::Failed, format!("the digest {digest} is unusable")),
        )?;

    let mut accepted = Vec::new();
    let mut refused = Vec::new();
    let mut attestations = 0_usize;
    for signature in &found.bundles {
        match judge(text, &signature.bytes, &artifact, plan, world) {
            Judged::Accepted(report) => accepted.push(report),
            Judged::Attestation => attestations += 1,
            Judged::Refused(failure) => refused.push((signature.digest.to_string(), failure)),
        }
    }
    for signature in &found.legacy {
        match signature.kind {
            LegacyKind::Attestation => attestations += 1,
            LegacyKind::Signature => {
                let failure = Failure::new(Exit::Failed, "")
                    .cause("it is in cosign's format from before bundles, which is not read here");
                refused.push((signature.digest.to_string(), failure));
            }
        }
    }
    for unusable in &found.unusable {
        let failure = Failure::new(Exit::NotAcceptable, "").cause(&unusable.reason);
        refused.push((unusable.what.clone(), failure));
    }
    if accepted.is_empty() {
        return Err(none_acceptable(text, refused, attestations));
    }
    Ok(match plan.output {
        Output::Json => vec![Value::Array(accepted).to_string()],
        Output::Text => {
            accepted.iter().map(|report| line(text, &digest.to_string(), report)).collect()
        }
    })
}

fn judge(text: &str, bytes: &[u8], artifact: &Digest, plan: &Plan, world: &World) -> Judged {
    let bundle = match Bundle::from_json(bytes) {
        Ok(bundle) => bundle,
        Err(error) => {
            return Judged::Refused(Failure::of(Exit::NotAcceptable, "no Sigstore bundle", &error));
        }
    };
    let mut policy = plan.policy.clone();
    if let Content::Envelope(envelope) = bundle.content() {
        let statement = Statement::parse(&envelope.payload);
        if statement.is_ok_and(|statement| statement.predicate_type() != SIGN_PREDICATE_TYPE) {
            return Judged::Attestation;
        }
        policy = policy.predicate_type(SIGN_PREDICATE_TYPE);
    }
    let artifact = Artifact::Digest(artifact);
    match verify::verify(&bundle, &artifact, &policy, &plan.root, world.now()) {
        Ok(verified) => {
            for warning in verified.warnings() {
                world.console.warning(&format!("{text}: {warning}"));
            }
            Judged::Accepted(report(text, &verified, bytes))
        }
        Err(error) => {
            let mut failure = Failure::judgement("not acceptable", &error);
            if matches!(bundle.material(), VerificationMaterial::PublicKey { .. }) {
                failure.exit = Exit::NoCertificate;
            }
            Judged::Refused(failure)
        }
    }
}

fn none_acceptable(text: &str, refused: Vec<(String, Failure)>, attestations: usize) -> Failure {
    if refused.is_empty() {
        let failure = Failure::new(Exit::NotSigned, format!("no signatures found for {text}"));
        return match attestations {
            0 => failure,
            _ => failure.hint(format!(
                "it has {attestations} attestation(s), which say how it was made and not that it \
                 is approved"
            )),
        };
    }
    let exit = refused.iter().map(|(_, failure)| failure.exit).max().unwrap_or(Exit::NotAcceptable);
    let problem = format!("{text} is signed, but no signature is acceptable");
    let mut whole = Failure::new(exit, problem);
    for (digest, failure) in refused {
        whole.causes.push(format!("{digest}: {}", failure.causes.join(": ")));
        for hint in failure.hints {
            if !whole.hints.contains(&hint) {
                whole.hints.push(hint);
            }
        }
    }
    whole
}

/// cosign's shape; what it leaves out is in `optional`.
fn report(text: &str, verified: &Verified, bundle: &[u8]) -> Value {
    let statement = verified.statement();
    let mut optional = Map::new();
    let annotations = statement.and_then(|statement| statement.subjects().first());
    for (key, value) in annotations.map(|subject| &subject.annotations).into_iter().flatten() {
        optional.insert(key.clone(), json!(value));
    }
    // Verified names win over a signer's annotations of the same name.
    optional.extend(facts(verified, bundle));
    let digest = verified.digest();
    json!({
        "critical": {
            "identity": { "docker-reference": text },
            "image": {
                "docker-manifest-digest":
                    format!("{}:{}", digest.algorithm().name(), digest.to_hex()),
            },
            "type": statement.map(Statement::predicate_type).unwrap_or_default(),
        },
        "optional": optional,
    })
}

/// Everything that was verified about a signature.
pub(super) fn facts(verified: &Verified, bundle: &[u8]) -> Map<String, Value> {
    let mut facts = Map::new();
    for extension in verified.extensions() {
        for name in [Some(extension.name), extension.cosign_name()].into_iter().flatten() {
            facts.insert(name.to_owned(), json!(extension.value));
        }
    }
    let mut say = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    say("Subject", json!(verified.subject_name().map(x509::SubjectName::as_str)));
    say("Issuer", json!(verified.issuer()));
    if let Some(time) = verified.times().iter().min_by_key(|time| time.time) {
        say("SigningTime", json!(rfc3339(time.time)));
        say("SigningTimeSource", json!(source(time.source)));
    }
    if let Some(entry) = verified.log_entries().first() {
        say("LogURL", json!(entry.log_url));
        say("LogIndex", json!(entry.log_index));
    }
    say("BundleDigest", json!(format!("sha256:{}", Digest::sha256(bundle).to_hex())));
    facts
}

fn source(source: TimeSource) -> &'static str {
    match source {
        TimeSource::Log => "log",
        TimeSource::Timestamp => "timestamp-authority",
        _ => "local-clock",
    }
}

fn line(text: &str, digest: &str, report: &Value) -> String {
    let field = |name| {
        let value = report.get("optional").and_then(|optional| optional.get(name));
        host::escape_remote(value.and_then(Value::as_str).unwrap_or("nobody"))
    };
    format!("verified {text} ({digest}) signed by {} ({})", field("Subject"), field("Issuer"))
}

/// How many images are looked at at once.
const WIDTH: usize = 8;
