//! `ambisign initialize`.

use std::sync::Arc;

use trust_update::{Mirror, mirror_with_root};

use crate::context::Context;
use crate::failure::{OrFail as _, Result};
use crate::flags::InitializeFlags;
use crate::trust;

pub(crate) async fn initialize(flags: &InitializeFlags, context: &Arc<Context>) -> Result {
    let host = context.host(&context.settings());
    let mirror = if flags.staging {
        Mirror::staging()
    } else {
        let (url, root) = (flags.mirror.clone(), flags.root.as_deref());
        root.iter().for_each(|root| context.console.wait_for(&format!("reading {root}")));
        let named = mirror_with_root(url, root, flags.root_checksum.as_deref(), &host).await;
        named.or_usage("cannot start from this TUF root")?
    };
    context.console.wait_for(&format!("fetching the trusted root from {}", mirror.url()));
    let trust = trust_update::initialize(mirror, &host).await?;
    context.console.settle();
    trust::warn(&trust, context);
    context.console.result(flags.output, &trust.status(), &format!("trusting {trust}"));
    Ok(())
}
