//! `ambisign trusted-root create`.

use std::path::Path;
use std::sync::Arc;

use trust_root::TrustedRootBuilder;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::TrustedRootCommand;
use crate::output::write;
use crate::trust;

pub(crate) async fn trusted_root(
    TrustedRootCommand::Create(flags): &TrustedRootCommand,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let create = &flags.create;
    for log in flags.rekor.iter().filter(|log| log.may_lack_origin()) {
        context.console.warning(&format!(
            "--rekor {}: an Ed25519 key usually belongs to a Rekor v2 log, whose entries also \
             state its name: add origin={}",
            log.base_url(),
            log.host_name().unwrap_or_default()
        ));
    }
    let mut builder = match create.with_default_services {
        true => TrustedRootBuilder::from(&trust::trusted_root(false, context).await?),
        false => TrustedRootBuilder::default(),
    };
    for (without, remove) in [
        (
            create.no_default_fulcio,
            TrustedRootBuilder::without_certificate_authorities as fn(_) -> _,
        ),
        (create.no_default_rekor, TrustedRootBuilder::without_tlogs),
        (flags.no_default_ctfe, TrustedRootBuilder::without_ctlogs),
        (create.no_default_tsa, TrustedRootBuilder::without_timestamp_authorities),
    ] {
        builder = if without { remove(builder) } else { builder };
    }
    builder = flags.fulcio.iter().cloned().fold(builder, TrustedRootBuilder::certificate_authority);
    builder = flags.tsa.iter().cloned().fold(builder, TrustedRootBuilder::timestamp_authority);
    builder = flags.rekor.iter().cloned().fold(builder, TrustedRootBuilder::tlog);
    builder = flags.ctfe.iter().cloned().fold(builder, TrustedRootBuilder::ctlog);
    let root = builder
        .build()
        .map_err(|error| Failure::of(Exit::Usage, "cannot create a trusted root", &error))?;
    let out = create.out.as_deref().unwrap_or_else(|| Path::new("-"));
    write(out, &root.to_json(), &context.console)
}
