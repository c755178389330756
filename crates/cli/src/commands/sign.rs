//! `ambisign sign`.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use image_signing::{ImageSigner, SignedImage};

use super::signing::{Signing, cannot_write, report_stream, write};
use crate::context::Context;
use crate::failure::Failure;
use crate::files;
use crate::flags::{Output, SignFlags};
use crate::output::json_line;
use crate::plan;

pub(crate) async fn sign(flags: &SignFlags, context: &Arc<Context>) -> Result<(), Failure> {
    let images = plan::images(&flags.images)?;
    check_outputs(flags)?;
    let report = report_stream(flags.bundle.as_deref(), flags.signing.output())?;
    let signer = ImageSigner::new(plan::registry(&flags.registry, &images, context)?)
        .with_annotations(plan::annotations(&flags.annotations)?)?
        .recursive(flags.recursive)
        .attach(flags.upload);
    let signing = Signing::plan(&flags.signing, report, context).await?;

    // First what can be known without an identity: nothing is sent to Fulcio or Rekor for an image
    // that does not exist or may not be written.
    let mut targets = Vec::new();
    images.iter().for_each(|image| context.console.begin(image.as_str()));
    context.console.wait_for("looking at the images");
    let mut located = signer.locate_all(&images);
    while let Some((position, found)) = located.next().await {
        images.get(position).iter().for_each(|image| context.console.end(image.as_str()));
        match found {
            Ok(found) => {
                found.iter().for_each(|target| context.console.begin(target.name()));
                targets.extend(found);
            }
            Err(error) => context.fail(&error.into()),
        }
    }
    drop(located);
    if targets.is_empty() {
        return Ok(());
    }

    let session = signing.session().await?;
    // A bundle that goes to a file is written before it is attached.
    let bundle = flags.bundle.as_deref();
    let signer = signer.attach(flags.upload && bundle.is_none());
    let mut signed = signer.sign_all(&targets, &session);
    while let Some((position, signed)) = signed.next().await {
        let signed = match (signed, bundle) {
            (Ok(signed), Some(path)) => keep(signed, path, flags.upload, &signer, context).await,
            (signed, _) => signed.map_err(Failure::from),
        };
        targets.get(position).iter().for_each(|target| context.console.end(target.name()));
        match signed {
            Ok(signed) => context.console.say(report, &line(&signed, flags.signing.output())),
            Err(failure) => context.fail(&failure),
        }
    }
    Ok(())
}

fn check_outputs(flags: &SignFlags) -> Result<(), Failure> {
    if flags.bundle.is_some() && flags.images.len() > 1 {
        return Err(Failure::usage(format!(
            "--bundle names one file, and {} images are to be signed",
            flags.images.len()
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
    Ok(())
}

async fn keep(
    signed: SignedImage,
    path: &Path,
    upload: bool,
    signer: &ImageSigner,
    context: &Context,
) -> Result<SignedImage, Failure> {
    write(path, &signed.bundle_json, &context.console)?;
    Ok(if upload { signer.attach_signature(signed).await? } else { signed })
}

fn line(signed: &SignedImage, output: Output) -> String {
    let resolved = signed.target.resolved();
    match output {
        Output::Json => json_line(&signed.report()),
        Output::Text => format!(
            "signed {}@{} as {}",
            resolved.repository(),
            resolved.digest(),
            signed.identity().name
        ),
    }
}
