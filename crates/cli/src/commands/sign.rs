//! `ambisign sign`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bundle::{SIGN_PREDICATE_TYPE, Statement, Subject};
use keys::Digest;
use oci_push::{How, Reference, Registry, Resolved};
use serde_json::{Value, json};
use signer::{Session, Signed};

use super::signing::{Signing, cannot_write, facts, report_stream, write};
use crate::concurrent::for_each;
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::flags::{Output, SignFlags};
use crate::output::Stream;
use crate::plan;

/// What is done to each image.
struct Plan {
    registry: Registry,
    annotations: BTreeMap<String, String>,
    recursive: bool,
    upload: bool,
    bundle: Option<PathBuf>,
    output: Output,
    report: Stream,
}

struct Image {
    text: String,
    reference: Reference,
}

/// An image that exists and whose signature may be attached.
#[derive(Clone)]
struct Target {
    text: String,
    resolved: Resolved,
}

pub(crate) async fn sign(flags: &SignFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let images = plan::images(&flags.images)?;
    let plan = Arc::new(Plan::new(flags, &images, context)?);
    let signing = Signing::plan(&flags.signing, plan.report, context).await?;

    // First what can be known without an identity: nothing is sent to Fulcio or Rekor for an image
    // that does not exist or may not be written.
    let images = images.into_iter().map(|(text, reference)| Image { text, reference });
    let mut targets = Vec::new();
    for_each(
        images,
        REGISTRY_WIDTH,
        |image| locate(image, &plan, context),
        |located| match located {
            Ok(found) => targets.extend(found),
            Err(failure) => context.fail(&failure),
        },
    )
    .await;
    if targets.is_empty() {
        return Ok(());
    }

    let session = Arc::new(signing.session().await?);
    for_each(
        targets.into_iter(),
        SIGNING_WIDTH,
        |target| sign_one(target, &plan, &session, context),
        |signed| match signed {
            Ok(line) => context.console.say(plan.report, &line),
            Err(failure) => context.fail(&failure),
        },
    )
    .await;
    Ok(())
}

impl Plan {
    fn new(
        flags: &SignFlags,
        images: &[(String, Reference)],
        context: &Context,
    ) -> Result<Self, Failure> {
        if flags.bundle.is_some() && images.len() > 1 {
            return Err(Failure::usage(format!(
                "--bundle names one file, and {} images are to be signed",
                images.len()
            )));
        }
        if flags.bundle.is_some() && flags.recursive {
            return Err(Failure::usage("--bundle names one file, and --recursive signs several"));
        }
        if !flags.upload && flags.bundle.is_none() {
            return Err(Failure::usage("with --upload=false the signature would be lost")
                .hint("say where it goes: --bundle FILE"));
        }
        if let Some(path) = &flags.bundle {
            files::check_writable(path).map_err(|error| cannot_write(path, &error))?;
        }
        Ok(Self {
            registry: plan::registry(&flags.registry, images, context)?,
            annotations: plan::annotations(&flags.annotations)?,
            recursive: flags.recursive,
            upload: flags.upload,
            bundle: flags.bundle.clone(),
            output: flags.signing.output,
            report: report_stream(flags.bundle.as_deref(), flags.signing.output)?,
        })
    }
}

/// The image, and its parts where they are wanted.
async fn locate(image: Image, plan: &Plan, context: &Context) -> Result<Vec<Target>, Failure> {
    let Image { text, reference } = image;
    context.console.begin(&text);
    context.console.wait_for(&format!("looking at {text}"));
    let located = async {
        let resolved = plan.registry.resolve(&reference).await?;
        let parts = match plan.recursive {
            true => plan.registry.parts(&resolved).await?,
            false => Vec::new(),
        };
        if plan.upload {
            plan.registry.prove_push(&reference).await?;
        }
        Ok((resolved, parts))
    };
    match located.await {
        Ok((resolved, parts)) => {
            let part = |resolved: Resolved| Target { text: resolved.to_string(), resolved };
            let parts: Vec<_> = parts.into_iter().map(part).collect();
            parts.iter().for_each(|part| context.console.begin(&part.text));
            Ok([vec![Target { text, resolved }], parts].concat())
        }
        Err(error) => {
            context.console.end(&text);
            Err(Failure::registry(&text, "was not signed", &error))
        }
    }
}

async fn sign_one(
    target: Target,
    plan: &Plan,
    session: &Session,
    context: &Context,
) -> Result<String, Failure> {
    let result = sign_and_attach(&target, plan, session, context).await;
    context.console.end(&target.text);
    result
}

async fn sign_and_attach(
    target: &Target,
    plan: &Plan,
    session: &Session,
    context: &Context,
) -> Result<String, Failure> {
    let Target { text, resolved } = target;
    let statement = statement(resolved, &plan.annotations);
    let signed = session.sign_statement(&statement).await.map_err(|error| {
        let failure = Failure::from(error);
        Failure { problem: format!("{text} was not signed: {}", failure.problem), ..failure }
    })?;
    let bundle = signed.bundle.to_json();
    if let Some(path) = &plan.bundle {
        write(path, &bundle, &context.console)?;
    }
    let attached = match plan.upload {
        false => None,
        true => {
            let none = BTreeMap::new();
            let attached = plan.registry.attach(resolved, bundle.as_bytes(), &none);
            Some(attached.await.map_err(|error| Failure::registry(text, NOT_ATTACHED, &error))?)
        }
    };
    let report = report(target, &signed, &bundle, attached.map(|attached| attached.how));
    Ok(match plan.output {
        Output::Json => report.to_string(),
        Output::Text => format!(
            "signed {}@{} as {}",
            resolved.repository(),
            resolved.digest(),
            signed.identity.name
        ),
    })
}

/// The same statement as cosign's, and the repository's name with it.
fn statement(resolved: &Resolved, annotations: &BTreeMap<String, String>) -> Statement {
    let digest = resolved.digest();
    let subject = Subject {
        name: Some(resolved.repository().to_string()),
        digests: BTreeMap::from([(digest.algorithm().to_owned(), digest.hex().to_owned())]),
        annotations: annotations.clone(),
    };
    Statement::new(vec![subject], SIGN_PREDICATE_TYPE, json!({}))
}

fn report(target: &Target, signed: &Signed, bundle: &str, attached: Option<How>) -> Value {
    let mut report = facts(signed);
    let bundle_digest = Digest::sha256(bundle.as_bytes()).to_hex();
    report.insert("image".to_owned(), json!(target.text));
    report.insert("digest".to_owned(), json!(target.resolved.digest().to_string()));
    report.insert("bundle_digest".to_owned(), json!(format!("sha256:{bundle_digest}")));
    report.insert("attached".to_owned(), json!(attached.map(How::as_str)));
    Value::Object(report)
}

const NOT_ATTACHED: &str = "was signed and logged, but the signature could not be attached";

/// How many images are looked at at once.
const REGISTRY_WIDTH: usize = 8;

/// How many images are signed at once. A log answers all entries of one checkpoint together, so
/// that waiting for them together is what counts.
const SIGNING_WIDTH: usize = 32;
