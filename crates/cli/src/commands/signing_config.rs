//! `ambisign signing-config create`.

use std::sync::Arc;

use trust_root::{SigningConfig, SigningConfigBuilder};

use crate::context::Context;
use crate::failure::{Exit, Failure, Result};
use crate::flags::{CreateSigningConfigFlags, SigningConfigCommand};
use crate::output::write;
use crate::{plan, trust};

pub(crate) async fn signing_config(
    SigningConfigCommand::Create(flags): &SigningConfigCommand,
    context: &Arc<Context>,
) -> Result {
    let create = &flags.create;
    let builder = base(flags, context).await?.map(SigningConfigBuilder::from).unwrap_or_default();
    let builder = builder
        .fulcio_services(!create.no_default_fulcio, &flags.fulcio)
        .oidc_services(!flags.no_default_oidc, &flags.oidc_provider)
        .rekor_services(!create.no_default_rekor, &flags.rekor)
        .tsa_services(!create.no_default_tsa, &flags.tsa);
    let builder =
        flags.rekor_config.into_iter().fold(builder, SigningConfigBuilder::rekor_selector);
    let builder = flags.tsa_config.into_iter().fold(builder, SigningConfigBuilder::tsa_selector);
    write(&create.out, &builder.build().to_json().as_str().into(), &context.console)
}

async fn base(
    flags: &CreateSigningConfigFlags,
    context: &Context,
) -> Result<Option<SigningConfig>> {
    if let Some(path) = &flags.base_config {
        return plan::signing_config_file("--base-config", path, context).await.map(Some);
    }
    if flags.with_default_rekor_v2 {
        let config = trust::current(false, context).await?.signing_config_with_rekor_v2()?;
        let problem = "the TUF repository has no signing config for Rekor v2";
        return config.ok_or_else(|| Failure::new(Exit::Undecided, problem)).map(Some);
    }
    if flags.create.with_default_services {
        return trust::signing_config(false, context).await.map(Some);
    }
    Ok(None)
}
