//! `ambisign identity`.

use std::sync::Arc;

use fulcio_client::Fulcio;
use fulcio_client::predict::{Prediction, Profile};
use fulcio_client::preflight::{self, Refusal};
use host::Host;
use id_token::{Audience, IdToken};
use oidc_ambient::Survey;
use serde_json::{Value, json};
use url::Url;

use crate::error::{Exit, Failure};
use crate::flags::{IdentityCommandFlags, Output};
use crate::identity::Identities;
use crate::mask::Mask;
use crate::plan;
use crate::world::World;

/// The claims that say who it is and until when.
const CLAIMS: [&str; 6] = ["iss", "sub", "aud", "email", "iat", "exp"];

pub(crate) async fn identity(
    flags: &IdentityCommandFlags,
    world: &Arc<World>,
) -> Result<Exit, Failure> {
    let host = world.host(&world.settings());
    let mask = Mask::plan(&flags.identity, flags.output, world)?;
    let identities = Identities::plan(&flags.identity, &host)?;
    let survey = identities.survey().await;
    let chosen = identities.peek(survey.as_ref()).await;
    if let (Some(mask), Ok((_, token))) = (&mask, &chosen) {
        mask.hide(token);
    }
    let mut report = report(survey.as_ref(), chosen.as_ref().ok());
    let verdict = match &chosen {
        Ok((_, token)) => Some(ask_fulcio(token, flags, &host, world).await?),
        Err(_) => None,
    };
    if let (Some(verdict), Value::Object(fields)) = (&verdict, &mut report) {
        fields.insert("certificate".to_owned(), certificate(verdict.prediction.as_ref()));
        fields.insert("fulcio".to_owned(), verdict.report());
    }
    match flags.output {
        Output::Json => world.console.json(&report),
        Output::Text => text(&report).iter().for_each(|line| world.console.data(line)),
    }
    chosen?;
    match verdict.and_then(|verdict| verdict.refusal) {
        Some(refusal) => Err(Failure::refusal("this identity would be refused", &refusal)),
        None => Ok(Exit::Done),
    }
}

/// What Fulcio would say about the token. Nothing is sent but a question for its issuers.
struct Verdict {
    url: Url,
    warnings: Vec<String>,
    refusal: Option<Refusal>,
    /// The certificate that it would make of it, where that can be told.
    prediction: Option<Prediction>,
}

impl Verdict {
    fn report(&self) -> Value {
        json!({
            "url": self.url.as_str(),
            "accepts": self.refusal.is_none(),
            "reason": self.refusal.as_ref().map(ToString::to_string),
            "warnings": self.warnings,
        })
    }
}

async fn ask_fulcio(
    token: &IdToken,
    flags: &IdentityCommandFlags,
    host: &Host,
    world: &World,
) -> Result<Verdict, Failure> {
    let config = plan::signing_config(&flags.services, false, world).await?;
    let url = config.fulcio(world.now()).map_err(signer::Error::from)?.url;
    world.console.wait_for(&format!("asking {url} for its issuers"));
    let configuration = Fulcio::new(url.clone(), host.http.clone()).configuration().await;
    world.console.settle();
    if let Err(error) = &configuration {
        world.console.warning(&format!("{url} does not tell which issuers it accepts: {error}"));
    }
    let configuration = configuration.ok();
    let audience = Audience::sigstore();
    let checked = preflight::check(token, &audience, configuration.as_ref(), world.now());
    let (warnings, refusal) = match checked {
        Ok(warnings) => (warnings.iter().map(ToString::to_string).collect(), None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    let claims = token.claims();
    let issuer = configuration
        .as_ref()
        .filter(|_| refusal.is_none())
        .and_then(|configuration| configuration.issuer_for(claims.issuer()?));
    let prediction = issuer.and_then(|issuer| Profile::of(issuer, claims).predict(claims));
    Ok(Verdict { url, warnings, refusal, prediction })
}

fn certificate(prediction: Option<&Prediction>) -> Value {
    let Some(prediction) = prediction else { return Value::Null };
    let extension = |(oid, value): &(&str, String)| json!({ "oid": oid, "name": x509::oid::name(oid), "value": value });
    json!({
        "subject": prediction.subject.as_str(),
        "subjectKind": prediction.subject.kind(),
        "issuer": prediction.issuer,
        "extensions": prediction.extensions.iter().map(extension).collect::<Vec<_>>(),
    })
}

fn report(survey: Option<&Survey>, chosen: Option<&(String, IdToken)>) -> Value {
    let sources = survey.map(|survey| &*survey.reports).unwrap_or_default();
    let sources: Vec<_> = sources
        .iter()
        .map(|source| {
            json!({
                "provider": source.provider,
                "state": source.state.as_str(),
                "evidence": source.evidence,
                "reason": source.reason,
                "hint": source.hint,
            })
        })
        .collect();
    let chosen = chosen.map(|(provider, token)| {
        let claims = token.claims();
        let named = CLAIMS.iter().filter_map(|name| Some((*name, claims.get(name)?)));
        let claims: serde_json::Map<_, _> =
            named.map(|(name, value)| (name.to_owned(), value.clone())).collect();
        json!({ "provider": provider, "algorithm": token.algorithm(), "claims": claims })
    });
    json!({ "chosen": chosen, "sources": sources })
}

fn text(report: &Value) -> Vec<String> {
    let field = |value: &Value, name: &str| match value.get(name) {
        Some(Value::String(text)) => host::escape_remote(text),
        Some(Value::Null) | None => String::new(),
        Some(other) => host::escape_remote(&other.to_string()),
    };
    let mut lines = Vec::new();
    for source in report.get("sources").and_then(Value::as_array).into_iter().flatten() {
        let why = [field(source, "evidence"), field(source, "reason")];
        let why = why.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>();
        let (provider, state) = (field(source, "provider"), field(source, "state"));
        lines.push(format!("{provider:<16} {state:<10} {}", why.join("; ")));
    }
    if let Some(chosen) = report.get("chosen").filter(|chosen| !chosen.is_null()) {
        lines.push(format!("{:<16} {}", "chosen", field(chosen, "provider")));
        for claim in CLAIMS {
            let value = chosen.get("claims").map(|claims| field(claims, claim)).unwrap_or_default();
            if !value.is_empty() {
                lines.push(format!("{:<16} {value}", format!("  {claim}")));
            }
        }
    }
    if let Some(certificate) = report.get("certificate").filter(|it| !it.is_null()) {
        lines.push(format!("{:<16} {}", "certificate", field(certificate, "subject")));
        lines.push(format!("{:<16} {}", "  issuer", field(certificate, "issuer")));
    }
    if let Some(fulcio) = report.get("fulcio") {
        let accepts = fulcio.get("accepts") == Some(&Value::Bool(true));
        let verdict = if accepts { "would accept it" } else { "would refuse it" };
        lines.push(format!("{:<16} {} {verdict}", "fulcio", field(fulcio, "url")));
        for warning in fulcio.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            let warning = warning.as_str().unwrap_or_default();
            lines.push(format!("{:<16} {}", "  warning", host::escape_remote(warning)));
        }
    }
    lines
}
