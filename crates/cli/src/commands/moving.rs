//! `ambisign copy`, `save` and `load`.

use std::sync::Arc;

use image_signing::moving::{ImageMover, MoveOptions, MoveReport};

use crate::context::Context;
use crate::failure::Result;
use crate::flags::{CopyFlags, LoadFlags, Output, PartFlags, SaveFlags};
use crate::plan;

pub(crate) async fn copy(flags: &CopyFlags, context: &Arc<Context>) -> Result {
    let images = plan::images(&[flags.source.clone(), flags.destination.clone()])?;
    let tags = Some(flags.target.tags.signature_tags);
    let mover = ImageMover::new(plan::registry(&flags.registry, &images, tags, context)?);
    let mut options = options(&flags.parts, flags.target.force);
    options.only = flags.only.concat();
    context.console.wait_for(&format!("copying {}", images[0]));
    let report = mover.copy(&images[0], &images[1], &options).await?;
    print("copied", &report, flags.parts.output, context);
    Ok(())
}

pub(crate) async fn save(flags: &SaveFlags, context: &Arc<Context>) -> Result {
    let (image, registry) = plan::image(&flags.image.image, &flags.image.registry, None, context)?;
    context.console.wait_for(&format!("saving {image}"));
    let options = options(&flags.parts, false);
    let report = ImageMover::new(registry).save(&image, &flags.dir, &options).await?;
    print("saved", &report, flags.parts.output, context);
    Ok(())
}

pub(crate) async fn load(flags: &LoadFlags, context: &Arc<Context>) -> Result {
    let tags = Some(flags.target.tags.signature_tags);
    let (image, registry) = plan::image(&flags.image.image, &flags.image.registry, tags, context)?;
    context.console.wait_for(&format!("loading {image}"));
    let options = options(&flags.parts, flags.target.force);
    let report = ImageMover::new(registry).load(&flags.dir, &image, &options).await?;
    print("loaded", &report, flags.parts.output, context);
    Ok(())
}

fn options(flags: &PartFlags, force: bool) -> MoveOptions {
    let mut options = MoveOptions::default();
    options.all_referrers = flags.all_referrers;
    options.platform.clone_from(&flags.platform);
    options.force = force;
    options
}

fn print(done: &str, report: &MoveReport, output: Output, context: &Context) {
    context.console.settle();
    context.console.result(output, report, &format!("{done} {report}"));
}
