//! `ambisign inspect`: what a signature says, and what of it holds. It decides nothing.

use std::path::Path;
use std::sync::Arc;

use image_signing::file::FileArgument;
use image_signing::{Inspection, Inspector};
use oci_push::Reference;

use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::InspectFlags;
use crate::{plan, signers};

pub(crate) async fn inspect(flags: &InspectFlags, context: &Arc<Context>) -> Result<()> {
    let key = match &flags.key {
        Some(key) => Some(signers::public_key(key, context).await?),
        None => None,
    };
    let inspector = Inspector::new(Arc::new(plan::trusted_root(&flags.trust, context).await?));
    let inspector = key.into_iter().fold(inspector, Inspector::with_key);
    let artifact = flags.artifact.as_ref().map(FileArgument::parse);
    let files = flags.bundle.iter().map(|path| (path.display().to_string(), true));
    let what = flags.what.iter().map(|what| (what.clone(), is_file(what)));
    for (what, is_file) in files.chain(what) {
        let reports = match is_file {
            true => {
                context.console.wait_for(&format!("reading {what}"));
                let file = FileArgument::File(what.as_str().into());
                let reports = inspector.bundle_file(&file, artifact.as_ref()).await;
                reports.map_err(Failure::from)
            }
            false => image(&what, &inspector, flags, context).await,
        };
        context.console.settle();
        match reports {
            // What is no signature was not judged.
            Err(failure) => {
                let exit = failure.exit.min(Exit::Undecided);
                context.fail(&Failure { exit, ..failure });
            }
            Ok(reports) => reports.iter().for_each(|report| {
                context.console.result(flags.output, report, &report.to_string());
            }),
        }
    }
    Ok(())
}

/// An existing file is preferred to an image of that name.
fn is_file(what: &str) -> bool {
    Path::new(what).exists() || what.ends_with(".json") || what.parse::<Reference>().is_err()
}

async fn image(
    text: &str,
    inspector: &Inspector,
    flags: &InspectFlags,
    context: &Context,
) -> Result<Vec<Inspection>> {
    let (image, registry) = plan::image(text, &flags.registry, None, context)?;
    context.console.wait_for(&format!("looking for signatures of {text}"));
    let reports = inspector.image(&registry, &image).await?;
    if reports.is_empty() {
        return Err(Failure::new(Exit::NotSigned, format!("no signatures found for {text}")));
    }
    Ok(reports)
}
