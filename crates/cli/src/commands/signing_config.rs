//! `ambisign signing-config create`.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use trust_root::SigningConfig;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{CreateSigningConfigFlags, SigningConfigCommand, SigningConfigFlags};
use crate::output::rfc3339;
use crate::spec::{Spec, hand_out};
use crate::{plan, trust};

pub(crate) async fn signing_config(
    flags: &SigningConfigFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let SigningConfigCommand::Create(flags) = &flags.command;
    let kinds = [
        Kind::new("caUrls", "--fulcio", &flags.fulcio, flags.no_default_fulcio)?,
        Kind::new("oidcUrls", "--oidc-provider", &flags.oidc_provider, flags.no_default_oidc)?,
        Kind::new("rekorTlogUrls", "--rekor", &flags.rekor, flags.no_default_rekor)?.selected(
            "rekorTlogConfig",
            "--rekor-config",
            flags.rekor_config.as_deref(),
        )?,
        Kind::new("tsaUrls", "--tsa", &flags.tsa, flags.no_default_tsa)?.selected(
            "tsaConfig",
            "--tsa-config",
            flags.tsa_config.as_deref(),
        )?,
    ];
    let base = match base(flags, context).await? {
        Some(config) => config,
        None => SigningConfig::new(Vec::new(), Vec::new(), Vec::new(), Vec::new()),
    };
    let begun =
        flags.with_default_services || flags.with_default_rekor_v2 || flags.base_config.is_some();
    let wrong = |error: &dyn std::error::Error| {
        Failure::of(Exit::Usage, "no signing config comes of it", error)
    };
    let mut document: Map<String, Value> =
        serde_json::from_str(&base.to_json()).map_err(|error| wrong(&error))?;
    for kind in kinds {
        kind.apply(&mut document, begun);
    }
    let config = SigningConfig::from_json(Value::Object(document).to_string().as_bytes())
        .map_err(|error| wrong(&error))?;
    hand_out(&config.to_json(), flags.out.as_ref(), context)
}

async fn base(
    flags: &CreateSigningConfigFlags,
    context: &Context,
) -> Result<Option<SigningConfig>, Failure> {
    if let Some(path) = &flags.base_config {
        return plan::signing_config_file("--base-config", path, &*context.env).map(Some);
    }
    if flags.with_default_rekor_v2 {
        return trust::signing_config_with_rekor_v2(context).await.map(Some);
    }
    if flags.with_default_services {
        return trust::signing_config(false, context).await.map(Some);
    }
    Ok(None)
}

/// The services of one kind.
struct Kind {
    urls: &'static str,
    services: Vec<Value>,
    /// Those of the base are left out.
    without: bool,
    selector: Option<(&'static str, Option<Value>)>,
}

impl Kind {
    fn new(
        urls: &'static str,
        flag: &'static str,
        texts: &[String],
        without: bool,
    ) -> Result<Self, Failure> {
        let service = |text: &String| {
            let spec = Spec::parse(flag, text, KEYS)?;
            let version = spec.require("api-version")?;
            let version = version.parse::<u32>().ok().filter(|version| *version > 0);
            let window = spec.window(None)?;
            let mut valid_for = json!({ "start": rfc3339(window.start) });
            if let (Some(end), Some(fields)) = (window.end, valid_for.as_object_mut()) {
                fields.insert("end".to_owned(), rfc3339(end).into());
            }
            Ok(json!({
                "url": spec.url()?,
                "majorApiVersion": version
                    .ok_or_else(|| spec.wrong("api-version: expected a number from 1 on"))?,
                "validFor": valid_for,
                "operator": spec.require("operator")?,
            }))
        };
        let services = texts.iter().map(service).collect::<Result<_, Failure>>()?;
        Ok(Self { urls, services, without, selector: None })
    }

    /// How many of them are used must be said with each new one.
    fn selected(
        mut self,
        name: &'static str,
        flag: &'static str,
        text: Option<&str>,
    ) -> Result<Self, Failure> {
        let wrong = |text: &str| {
            Failure::usage(format!("{flag}: expected ANY, ALL or EXACT:N, found {text:?}"))
        };
        let selector = match text {
            None if !self.services.is_empty() => {
                return Err(Failure::usage(format!("{flag} is required")));
            }
            None => None,
            Some(text @ ("ANY" | "ALL")) => Some(json!({ "selector": text })),
            Some(text) => {
                let count = text.strip_prefix("EXACT:").and_then(|n| n.parse::<u32>().ok());
                let count = count.filter(|count| *count > 0).ok_or_else(|| wrong(text))?;
                Some(json!({ "selector": "EXACT", "count": count }))
            }
        };
        self.selector = Some((name, selector));
        Ok(self)
    }

    fn apply(self, document: &mut Map<String, Value>, begun: bool) {
        let empty = Value::Array(Vec::new());
        let old = document.entry(self.urls).or_insert_with(|| empty.clone());
        if self.without {
            *old = empty;
        }
        if let Some(services) = old.as_array_mut() {
            services.extend(self.services);
        }
        if let Some((name, selector)) = self.selector {
            match selector {
                Some(selector) => drop(document.insert(name.to_owned(), selector)),
                None if !begun => drop(document.insert(name.to_owned(), json!({}))),
                None => {}
            }
        }
    }
}

const KEYS: &[&str] = &["url", "api-version", "start-time", "end-time", "operator"];
