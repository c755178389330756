//! `ambisign inspect`: what a signature says, and what of it holds. It decides nothing.

use std::path::Path;
use std::sync::Arc;

use bundle::SIZE_CAP;
use image_signing::file::{FileArgument, FileSignature};
use image_signing::{Inspection, Inspector};
use keys::HashAlgorithm;
use oci_push::Reference;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{InspectFlags, Output};
use crate::output::json_line;
use crate::plan;
use crate::signers;

pub(crate) async fn inspect(flags: &InspectFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let key = match &flags.key {
        Some(key) => Some(signers::public_key(key, context).await?),
        None => None,
    };
    let inspector = Inspector::new(Arc::new(plan::trusted_root(&flags.trust, context).await?));
    let inspector = key.into_iter().fold(inspector, Inspector::with_key);
    for what in &flags.what {
        let reports = match is_file(what) {
            true => file(Path::new(what), &inspector, flags, context).await.map(|it| vec![it]),
            false => image(what, &inspector, flags, context).await,
        };
        context.console.settle();
        match reports {
            Err(failure) => context.fail(&failure),
            Ok(reports) => reports.iter().for_each(|report| match flags.output {
                Output::Json => context.console.data(&json_line(report)),
                Output::Text => text(&serde_json::to_value(report).unwrap_or_default())
                    .iter()
                    .for_each(|line| context.console.data(line)),
            }),
        }
    }
    Ok(())
}

/// An existing file is preferred to an image of that name.
fn is_file(what: &str) -> bool {
    Path::new(what).exists() || what.ends_with(".json") || what.parse::<Reference>().is_err()
}

async fn file(
    path: &Path,
    inspector: &Inspector,
    flags: &InspectFlags,
    context: &Context,
) -> Result<Inspection, Failure> {
    let shown = path.display().to_string();
    let bytes = context.env.read(path, SIZE_CAP).await.map_err(|error| match &error {
        host::FileError::NotFound { .. } => {
            Failure::of(Exit::NotFound, format!("{shown} does not exist"), &error)
        }
        _ => Failure::of(Exit::Failed, format!("{shown} cannot be read"), &error),
    })?;
    let file = FileSignature::parse(&shown, &bytes).map_err(|error| {
        Failure::of(Exit::Failed, format!("{shown} is not a Sigstore bundle"), &*error)
    })?;
    let artifact = match &flags.artifact {
        Some(path) => {
            let algorithm = file.hash_algorithm().unwrap_or(HashAlgorithm::Sha256);
            let digests = FileArgument::parse(path).digests(&[algorithm]).await;
            digests.map_err(|error| Failure::file(path, &error))?
        }
        None => Vec::new(),
    };
    Ok(inspector.file(&file, artifact.first()))
}

async fn image(
    text: &str,
    inspector: &Inspector,
    flags: &InspectFlags,
    context: &Context,
) -> Result<Vec<Inspection>, Failure> {
    let images = plan::images(&[text.to_owned()])?;
    let registry = plan::registry(&flags.registry, &images, context)?;
    context.console.wait_for(&format!("looking for signatures of {text}"));
    let mut reports = Vec::new();
    for image in &images {
        reports.extend(inspector.image(&registry, image).await?);
    }
    if reports.is_empty() {
        return Err(Failure::new(Exit::NotSigned, format!("no signatures found for {text}")));
    }
    Ok(reports)
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
