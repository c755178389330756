//! `ambisign trusted-root create`.

use std::sync::Arc;

use trust_root::{Log, TrustedRootBuilder};

use crate::context::Context;
use crate::failure::{OrFail as _, Result};
use crate::flags::TrustedRootCommand;
use crate::output::write;
use crate::trust;

pub(crate) async fn trusted_root(
    TrustedRootCommand::Create(flags): &TrustedRootCommand,
    context: &Arc<Context>,
) -> Result {
    let create = &flags.create;
    for warning in flags.rekor.iter().filter_map(Log::missing_origin) {
        context.console.warning(&format!("--rekor {warning}"));
    }
    let builder = match create.with_default_services {
        true => TrustedRootBuilder::from(&trust::trusted_root(false, context).await?),
        false => TrustedRootBuilder::default(),
    };
    let root = builder
        .certificate_authorities(!create.no_default_fulcio, &flags.fulcio)
        .tlogs(!create.no_default_rekor, &flags.rekor)
        .ctlogs(!flags.no_default_ctfe, &flags.ctfe)
        .timestamp_authorities(!create.no_default_tsa, &flags.tsa)
        .build()
        .or_usage("cannot create a trusted root")?;
    write(&create.out, &root.to_json().as_str().into(), &context.console)
}
