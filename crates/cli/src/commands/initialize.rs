//! `ambisign initialize`.

use std::sync::Arc;

use trust_update::Mirror;

use crate::context::Context;
use crate::failure::{OrFail as _, Result};
use crate::flags::InitializeFlags;
use crate::trust;

pub(crate) async fn initialize(flags: &InitializeFlags, context: &Arc<Context>) -> Result {
    let host = context.host(&context.settings());
    let unusable = "cannot start from this TUF root";
    let url = flags.mirror.clone().unwrap_or_else(|| Mirror::public_good().url().clone());
    let mirror = match &flags.root {
        Some(location) => {
            context.console.wait_for(&format!("reading {location}"));
            let checksum = flags.root_checksum.as_deref();
            let named = trust_update::mirror_with_root(url, location, checksum, &host).await;
            named.or_usage(unusable)?
        }
        None if flags.staging => Mirror::staging(),
        None => Mirror::of_public_good(url).or_usage(unusable)?,
    };
    context.console.wait_for(&format!("fetching the trusted root from {}", mirror.url()));
    let trust = trust_update::initialize(mirror, &host).await?;
    context.console.settle();
    trust::warn(&trust, context);
    context.console.result(flags.output, &trust.status(), &format!("trusting {trust}"));
    Ok(())
}
