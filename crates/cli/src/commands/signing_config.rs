//! `ambisign signing-config create`.

use std::path::Path;
use std::sync::Arc;

use trust_root::{Selector, Service, SigningConfig, SigningConfigBuilder};

use super::trusted_root::each;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{CreateSigningConfigFlags, SigningConfigCommand, SigningConfigFlags};
use crate::output::write;
use crate::{plan, trust};

pub(crate) async fn signing_config(
    flags: &SigningConfigFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let SigningConfigCommand::Create(flags) = &flags.command;
    let services = |flag, specs: &[String]| each(flag, specs, Service::from_spec);
    let fulcio = services("--fulcio", &flags.fulcio)?;
    let oidc = services("--oidc-provider", &flags.oidc_provider)?;
    let rekor = services("--rekor", &flags.rekor)?;
    let tsa = services("--tsa", &flags.tsa)?;
    let rekor_selector = selector("--rekor-config", flags.rekor_config.as_deref(), &rekor)?;
    let tsa_selector = selector("--tsa-config", flags.tsa_config.as_deref(), &tsa)?;

    let mut builder = match base(flags, context).await? {
        Some(config) => SigningConfigBuilder::from(config),
        None => SigningConfigBuilder::default(),
    };
    for (without, remove) in [
        (flags.no_default_fulcio, SigningConfigBuilder::without_fulcio as fn(_) -> _),
        (flags.no_default_oidc, SigningConfigBuilder::without_oidc),
        (flags.no_default_rekor, SigningConfigBuilder::without_rekor),
        (flags.no_default_tsa, SigningConfigBuilder::without_tsa),
    ] {
        builder = if without { remove(builder) } else { builder };
    }
    builder = fulcio.into_iter().fold(builder, SigningConfigBuilder::fulcio);
    builder = oidc.into_iter().fold(builder, SigningConfigBuilder::oidc);
    builder = rekor.into_iter().fold(builder, SigningConfigBuilder::rekor);
    builder = tsa.into_iter().fold(builder, SigningConfigBuilder::tsa);
    builder = rekor_selector.into_iter().fold(builder, SigningConfigBuilder::rekor_selector);
    builder = tsa_selector.into_iter().fold(builder, SigningConfigBuilder::tsa_selector);
    let out = flags.out.as_deref().unwrap_or_else(|| Path::new("-"));
    write(out, &builder.build().to_json(), &context.console)
}

/// How many of the services are used. Required with new ones.
fn selector(
    flag: &str,
    text: Option<&str>,
    services: &[Service],
) -> Result<Option<Selector>, Failure> {
    match text {
        None if services.is_empty() => Ok(None),
        None => Err(Failure::usage(format!("{flag} is required"))),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|error| Failure::of(Exit::Usage, format!("{flag} cannot be used"), &error)),
    }
}

async fn base(
    flags: &CreateSigningConfigFlags,
    context: &Context,
) -> Result<Option<SigningConfig>, Failure> {
    if let Some(path) = &flags.base_config {
        return plan::signing_config_file("--base-config", path).await.map(Some);
    }
    if flags.with_default_rekor_v2 {
        let config = trust::current(false, context).await?.signing_config_with_rekor_v2()?;
        let problem = "the TUF repository has no signing config for Rekor v2";
        return config.ok_or_else(|| Failure::new(Exit::Failed, problem)).map(Some);
    }
    if flags.with_default_services {
        return trust::signing_config(false, context).await.map(Some);
    }
    Ok(None)
}
