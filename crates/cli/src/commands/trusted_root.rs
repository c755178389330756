//! `ambisign trusted-root create`.

use std::sync::Arc;

use trust_root::TrustedRootBuilder;

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
    for log in flags.rekor.iter().filter(|log| log.may_lack_origin()) {
        context.console.warning(&format!(
            "--rekor {}: an Ed25519 key usually belongs to a Rekor v2 log, whose entries also \
             state its name: add origin={}",
            log.base_url(),
            log.host_name().unwrap_or_default()
        ));
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
    write(&create.out, &root.to_json(), &context.console)
}
