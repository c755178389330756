//! `ambisign tree`, `download`, `attach` and `clean`.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;

use bundle::LARGE_SIZE_CAP;
use image_signing::Image;
use image_signing::moving::{self, AttachReport, Attachments, Cleaning};

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Result};
use crate::files;
use crate::flags::{AttachFlags, CleanFlags, DownloadCommand, ImageFlags, TreeFlags};
use crate::plan;

pub(crate) async fn tree(flags: &TreeFlags, context: &Arc<Context>) -> Result {
    let (attachments, image) = open(&flags.image, None, context)?;
    let tree = attachments.tree(&image).await?;
    context.console.settle();
    context.console.result(flags.output, &tree, &tree.to_string());
    Ok(())
}

pub(crate) async fn download(what: &DownloadCommand, context: &Arc<Context>) -> Result {
    let (flags, predicate_type) = match what {
        DownloadCommand::Signature(flags) => (flags, None),
        DownloadCommand::Attestation(flags) => (&flags.image, Some(&flags.predicate_type)),
    };
    let (attachments, image) = open(flags, None, context)?;
    let (what, lines) = match predicate_type {
        None => ("signature", attachments.signatures(&image).await?),
        Some(it) => ("attestation", attachments.attestations(&image, it.as_deref()).await?),
    };
    context.console.settle();
    if lines.is_empty() {
        return Err(Failure::new(Exit::NotSigned, format!("no {what} found for {image}"))
            .hint("list everything that is attached: `ambisign tree IMAGE`"));
    }
    lines.iter().for_each(|line| context.console.data(host::escape_json(line)));
    Ok(())
}

pub(crate) async fn attach(flags: &AttachFlags, context: &Arc<Context>) -> Result {
    let (attachments, image) = open(&flags.image, Some(flags.tags.signature_tags), context)?;
    for path in &flags.bundles {
        let bytes = match read_bundles(path, context).await {
            Ok(bytes) => bytes,
            Err(failure) => {
                context.fail(&failure);
                continue;
            }
        };
        let each = |name: &str, report: Result<AttachReport, moving::Error>| {
            context.console.settle();
            match report {
                Err(error) => context.fail(&error.into()),
                Ok(report) => {
                    context.console.result(flags.output, &report, &format!("{name}: {report}"));
                }
            }
        };
        attachments.attach_all(&path.display().to_string(), &bytes, &image, each).await;
    }
    Ok(())
}

async fn read_bundles(path: &Path, context: &Context) -> Result<Vec<u8>> {
    let bytes = files::read("the bundle", path, LARGE_SIZE_CAP, context).await;
    bytes.map_err(|failure| match path.to_str() {
        // cosign's way to say it.
        Some("signature" | "attestation" | "sbom") => {
            failure.hint("name the bundles and the image alone: `ambisign attach BUNDLE... IMAGE`")
        }
        _ => failure,
    })
}

pub(crate) async fn clean(flags: &CleanFlags, context: &Arc<Context>) -> Result {
    if !flags.force && !io::stdin().is_terminal() {
        return Err(Failure::usage("cannot ask before removing: stdin is not a terminal")
            .hint("remove what is attached without being asked: --force"));
    }
    let (attachments, image) = open(&flags.image, Some(true), context)?;
    let cleaning = attachments.plan_cleaning(&image, flags.r#type).await?;
    context.console.settle();
    let asks = !flags.force && !cleaning.removals.is_empty();
    if asks && !is_confirmed(&cleaning, context).await? {
        return Err(Failure::new(Exit::Undecided, "nothing was removed"));
    }
    attachments.clean(&cleaning).await?;
    context.console.settle();
    let lines: Vec<_> = cleaning.lines().map(|line| format!("removed {line}")).collect();
    context.console.result(flags.output, &cleaning, &lines.join("\n"));
    Ok(())
}

/// Asks at the terminal.
async fn is_confirmed(cleaning: &Cleaning, context: &Context) -> Result<bool> {
    cleaning.lines().for_each(|line| context.console.note(&format!("  {line}")));
    context.console.note(&format!("Remove this from {}? [y/N]", cleaning.image));
    let _paused = context.deadline.pause();
    let answer = http_client::read_line().await.or_fail(|| "cannot read the answer".to_owned())?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn open(
    flags: &ImageFlags,
    signature_tags: Option<bool>,
    context: &Context,
) -> Result<(Attachments, Image)> {
    let (image, registry) = plan::image(&flags.image, &flags.registry, signature_tags, context)?;
    context.console.wait_for(&format!("looking for what is attached to {image}"));
    Ok((Attachments::new(registry), image))
}
