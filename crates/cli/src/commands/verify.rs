//! `ambisign verify` and `ambisign verify-attestation`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bundle::{SIGN_PREDICATE_TYPE, Statement};
use image_signing::Image;
use keys::Digest;
use oci_push::{Reference, Registry};
use serde_json::{Map, Value, json};
use trust_root::TrustedRoot;
use verify::{PolicyFile, TimeSource, Verified};

use super::attached::{Accepted, Judge};
use crate::concurrent::for_each;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{Output, PolicyFlags, VerifyAttestationFlags, VerifyFlags, VerifyImagesFlags};
use crate::hints;
use crate::output::rfc3339;
use crate::plan;
use crate::wanted::{self, Wanted};

struct Plan<'a> {
    registry: Registry,
    root: TrustedRoot,
    whom: Whom<'a>,
    annotations: Vec<(String, String)>,
    sought: Sought<'a>,
    output: Output,
}

/// Where it is said whose signature is wanted.
enum Whom<'a> {
    Flags(Wanted),
    File { file: PolicyFile, path: PathBuf, flags: &'a PolicyFlags },
}

#[derive(Clone, Copy)]
enum Sought<'a> {
    Signatures,
    /// Of the predicate type, by the name it was given.
    Attestations {
        predicate_type: &'a str,
    },
}

pub(crate) async fn verify(flags: &VerifyFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let annotations = plan::annotations(&flags.annotations)?.into_iter().collect();
    images(&flags.images, annotations, Sought::Signatures, flags.output, context).await
}

pub(crate) async fn verify_attestation(
    flags: &VerifyAttestationFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let predicate_type = plan::predicate_type(&flags.r#type)?;
    let sought = Sought::Attestations { predicate_type: &predicate_type };
    images(&flags.images, Vec::new(), sought, flags.output, context).await
}

async fn images(
    flags: &VerifyImagesFlags,
    annotations: Vec<(String, String)>,
    sought: Sought<'_>,
    output: Output,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let images = plan::images(&flags.images)?;
    let whom = match &flags.file.identity_policy {
        Some(_) if !flags.policy.names_nobody() || flags.policy.extensions.wanted().count() > 0 => {
            return Err(Failure::usage(
                "--identity-policy and the flags that name a signer exclude each other",
            )
            .hint("what the certificate must say goes into the file, as extensions"));
        }
        Some(path) => Whom::File {
            file: wanted::policy_file(path, &*context.env)?,
            path: path.clone(),
            flags: &flags.policy,
        },
        None => match Wanted::from_flags(&flags.policy, context) {
            Ok(wanted) => Whom::Flags(wanted),
            Err(failure) if flags.policy.names_nobody() => {
                return Err(name_signers(failure, flags, &images, sought, context).await);
            }
            Err(failure) => return Err(failure),
        },
    };
    let plan = Plan {
        registry: plan::registry(&flags.registry, &images, context)?,
        root: plan::trusted_root(&flags.trust, context).await?,
        whom,
        annotations,
        sought,
        output,
    };
    let work = |image: Image| {
        let (text, reference) = (image.as_str().to_owned(), image.reference().clone());
        let plan = &plan;
        async move {
            context.console.begin(&text);
            context.console.wait_for(&format!("looking for signatures of {text}"));
            let result = verify_one(&text, &reference, plan, context).await;
            context.console.end(&text);
            result
        }
    };
    for_each(images.into_iter(), WIDTH, work, |verified| match verified {
        Ok(lines) => lines.iter().for_each(|line| context.console.data(line)),
        Err(failure) => context.fail(&failure),
    })
    .await;
    Ok(())
}

async fn verify_one(
    text: &str,
    reference: &Reference,
    plan: &Plan<'_>,
    context: &Context,
) -> Result<Vec<String>, Failure> {
    let could_not = |error| Failure::registry(format!("{text} could not be verified"), &error);
    let mut wanted = match &plan.whom {
        Whom::Flags(wanted) => wanted.clone(),
        Whom::File { file, path, flags } => {
            let repository = reference.repository().to_string();
            Wanted::from_file(file, path, &repository, flags, context)?
        }
    };
    for (key, value) in &plan.annotations {
        wanted.rule = wanted.rule.annotation(key, value);
    }
    let resolved = plan.registry.resolve(reference).await.map_err(could_not)?;
    let judge = Judge {
        registry: &plan.registry,
        root: &plan.root,
        wanted: &wanted,
        predicate_type: plan.sought.predicate_type(),
        context,
    };
    let judged = judge.image(text, &resolved).await?;
    judged.tell_refused(text);
    let looked = format!(
        "nothing of the kind refers to {} in {}, nor has a tag of its signatures there",
        resolved.digest(),
        plan.registry.signatures_of(resolved.repository())
    );
    let none = |others: &[String]| plan.sought.none(text, others).cause(looked);
    let accepted = judged.conclude(text, &wanted, none)?;
    let digest = resolved.digest().to_string();
    Ok(match (plan.sought, plan.output) {
        (Sought::Attestations { .. }, Output::Json) => accepted
            .iter()
            .filter_map(|accepted| accepted.envelope.as_ref())
            .map(bundle::Envelope::to_json)
            .collect(),
        (Sought::Signatures, Output::Json) => {
            let reports = accepted.iter().map(|accepted| report(text, accepted));
            vec![Value::Array(reports.collect()).to_string()]
        }
        (_, Output::Text) => {
            accepted.iter().map(|accepted| line(text, &digest, accepted)).collect()
        }
    })
}

impl Sought<'_> {
    fn predicate_type(&self) -> &str {
        match self {
            Self::Signatures => SIGN_PREDICATE_TYPE,
            Self::Attestations { predicate_type } => predicate_type,
        }
    }

    /// Nothing of that kind is attached, but these are.
    fn none(&self, text: &str, others: &[String]) -> Failure {
        let mut others = others.to_vec();
        others.sort();
        others.dedup();
        let signature = others.iter().any(|other| other == SIGN_PREDICATE_TYPE);
        others.retain(|other| other != SIGN_PREDICATE_TYPE);
        match self {
            Self::Signatures => {
                let failure =
                    Failure::new(Exit::NotSigned, format!("no signatures found for {text}"));
                others.iter().filter_map(|other| hints::pasted(other)).fold(
                    failure,
                    |failure, other| {
                        failure.hint(format!(
                        "verify the attestation, which says how the image was made and not that it \
                         is approved: `ambisign verify-attestation --type {other} {text}`"
                    ))
                    },
                )
            }
            Self::Attestations { predicate_type } => {
                let problem = format!("no attestation of type {predicate_type} found for {text}");
                let mut failure = Failure::new(Exit::NotSigned, problem);
                if !others.is_empty() {
                    failure = failure
                        .hint(format!("choose one of the types found: {}", others.join(", ")));
                }
                if signature {
                    failure =
                        failure.hint(format!("verify the signature: `ambisign verify {text}`"));
                }
                failure
            }
        }
    }
}

/// `failure` says that nobody was named. Who did sign is worth knowing then, as far as it is
/// verified.
async fn name_signers(
    mut failure: Failure,
    flags: &VerifyImagesFlags,
    images: &[Image],
    sought: Sought<'_>,
    context: &Context,
) -> Failure {
    let look = async {
        let registry = plan::registry(&flags.registry, images, context)?;
        let root = plan::trusted_root(&flags.trust, context).await?;
        let wanted = Wanted::anybody();
        let predicate_type = sought.predicate_type();
        let judge =
            Judge { registry: &registry, root: &root, wanted: &wanted, predicate_type, context };
        let mut hints = Vec::new();
        for image in images.iter().take(MOST_NAMED) {
            let (text, reference) = (image.as_str(), image.reference());
            context.console.wait_for(&format!("looking who signed {text}"));
            let Ok(resolved) = registry.resolve(reference).await else { continue };
            let Ok(judged) = judge.image(text, &resolved).await else { continue };
            hints
                .extend(judged.accepted.iter().filter_map(|accepted| as_flags(&accepted.verified)));
        }
        Ok::<_, Failure>(hints)
    };
    if let Ok(Ok(hints)) = tokio::time::timeout(PATIENCE, look).await {
        for hint in hints {
            if !failure.hints.contains(&hint) {
                failure.hints.push(hint);
            }
        }
    }
    failure
}

/// The signer as the flags that ask for exactly it.
pub(super) fn as_flags(verified: &Verified) -> Option<String> {
    hints::signer(verified.subject_name()?.as_str(), verified.issuer()?)
}

/// cosign's shape; what it leaves out is in `optional`.
fn report(text: &str, accepted: &Accepted) -> Value {
    let verified = &accepted.verified;
    let mut optional = Map::new();
    let statement = verified.statement();
    let stated = statement.and_then(|statement| statement.subjects().first());
    let simple = verified.simple_signing();
    let annotations = stated
        .map(|subject| &subject.annotations)
        .or_else(|| simple.map(verify::SimpleSigning::annotations));
    for (key, value) in annotations.into_iter().flatten() {
        optional.insert(key.clone(), json!(value));
    }
    // Verified names win over a signer's annotations of the same name.
    optional.extend(facts(verified, accepted.bundle.as_ref()));
    let digest = verified.digest();
    let reference = simple.and_then(verify::SimpleSigning::docker_reference).unwrap_or(text);
    let kind = match simple {
        Some(_) => "cosign container image signature",
        None => statement.map(Statement::predicate_type).unwrap_or_default(),
    };
    json!({
        "critical": {
            "identity": { "docker-reference": reference },
            "image": {
                "docker-manifest-digest":
                    format!("{}:{}", digest.algorithm().name(), digest.to_hex()),
            },
            "type": kind,
        },
        "optional": optional,
    })
}

/// Everything that was verified about a signature.
pub(super) fn facts(verified: &Verified, bundle: Option<&Digest>) -> Map<String, Value> {
    let mut facts = Map::new();
    for extension in verified.extensions() {
        for name in [Some(extension.name), extension.cosign_name()].into_iter().flatten() {
            facts.insert(name.to_owned(), json!(extension.value));
        }
    }
    let mut say = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    match verified.subject_name() {
        Some(subject) => {
            say("Subject", json!(subject.as_str()));
            say("Issuer", json!(verified.issuer()));
        }
        None => {
            let id = Digest::sha256(verified.public_key().spki()).to_hex();
            say("PublicKey", json!(format!("sha256:{id}")));
        }
    }
    if let Some(time) = verified.times().iter().min_by_key(|time| time.time) {
        say("SigningTime", json!(rfc3339(time.time)));
        say("SigningTimeSource", json!(source(time.source)));
    }
    if let Some(entry) = verified.log_entries().first() {
        say("LogURL", json!(entry.log_url));
        if let Some(index) = entry.log_index {
            say("LogIndex", json!(index));
        }
    }
    if let Some(bundle) = bundle {
        say("BundleDigest", json!(format!("sha256:{}", bundle.to_hex())));
    }
    facts
}

pub(super) fn source(source: TimeSource) -> &'static str {
    match source {
        TimeSource::Log => "log",
        TimeSource::Timestamp => "timestamp-authority",
        _ => "local-clock",
    }
}

fn line(text: &str, digest: &str, accepted: &Accepted) -> String {
    let verified = &accepted.verified;
    let signer = match (verified.subject_name(), verified.issuer()) {
        (Some(subject), issuer) => format!(
            "{} ({})",
            host::escape_remote(subject.as_str()),
            host::escape_remote(issuer.unwrap_or("nobody"))
        ),
        (None, _) => {
            format!("the key sha256:{}", Digest::sha256(verified.public_key().spki()).to_hex())
        }
    };
    format!("verified {text} ({digest}) signed by {signer}")
}

/// How many images are looked at at once.
const WIDTH: usize = 8;
/// For how many images the signers are named when none was asked for, and for how long.
const MOST_NAMED: usize = 4;
const PATIENCE: Duration = Duration::from_secs(20);
