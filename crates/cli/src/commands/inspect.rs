//! `ambisign inspect`: what a signature says, and what of it holds. It decides nothing.

use std::path::Path;
use std::sync::Arc;

use bundle::SIZE_CAP;
use image_signing::file::{FileArgument, FileSignature};
use image_signing::{Inspection, Inspector};
use keys::HashAlgorithm;
use oci_push::Reference;

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
                Output::Text => {
                    report.to_string().lines().for_each(|line| context.console.data(line));
                }
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
            digests.map_err(image_signing::file::Error::from)?
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
    let registry = plan::registry(&flags.registry, &images, true, context)?;
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
