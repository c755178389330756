//! The trusted root and signing config when no flag names a file: the ones that TUF keeps current
//! after `ambisign initialize`, else the embedded ones.

use std::sync::Arc;

use image_signing::explain;
use trust_root::{SigningConfig, TrustedRoot};
use trust_update::Trust;

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Result};

/// The current trusted root.
pub(crate) async fn trusted_root(offline: bool, context: &Context) -> Result<TrustedRoot> {
    Ok(current(offline, context).await?.trusted_root().clone())
}

/// The current signing config.
pub(crate) async fn signing_config(offline: bool, context: &Context) -> Result<SigningConfig> {
    let config = current(offline, context).await?.signing_config().or_fail(problem)?;
    config.ok_or_else(|| {
        Failure::new(Exit::Undecided, "the TUF repository has no signing config")
            .hint("name the services: --signing-config FILE")
    })
}

/// What is in use, refreshed unless `offline`. Loaded once.
pub(crate) async fn current(offline: bool, context: &Context) -> Result<Arc<Trust>> {
    context.trust.get_or_try_init(|| load(offline, context)).await.cloned()
}

async fn load(offline: bool, context: &Context) -> Result<Arc<Trust>> {
    let host = context.host(&context.settings());
    let console = Arc::clone(&context.console);
    let refreshing = move |mirror: &url::Url| {
        console.wait_for(&format!("refreshing the trusted root from {mirror}"));
    };
    let loaded = match offline {
        true => trust_update::offline(&host).await,
        false => trust_update::current(&host, refreshing).await,
    };
    context.console.settle();
    let trust = Arc::new(loaded.or_fail(problem)?);
    warn(&trust, context);
    Ok(trust)
}

/// Prints the warnings of the trusted root.
pub(crate) fn warn(trust: &Trust, context: &Context) {
    for warning in trust.warnings() {
        context.console.warning(&explain(warning).join(": "));
    }
}

fn problem() -> String {
    "cannot load the trusted root".to_owned()
}
