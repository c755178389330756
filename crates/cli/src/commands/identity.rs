//! `ambisign identity`.

use std::sync::Arc;

use oidc_ambient::Survey;
use serde_json::{Value, json};

use crate::error::{Exit, Failure};
use crate::flags::{IdentityCommandFlags, Output};
use crate::identity::Identities;
use crate::world::World;

/// The claims that say who it is and until when.
const CLAIMS: [&str; 6] = ["iss", "sub", "aud", "email", "iat", "exp"];

pub(crate) async fn identity(
    flags: &IdentityCommandFlags,
    world: &Arc<World>,
) -> Result<Exit, Failure> {
    let host = world.host(&world.settings());
    let identities = Identities::plan(&flags.identity, &host)?;
    let survey = identities.survey().await;
    let chosen = identities.peek(survey.as_ref()).await;
    let report = report(survey.as_ref(), chosen.as_ref().ok());
    match flags.output {
        Output::Json => world.console.json(&report),
        Output::Text => text(&report).iter().for_each(|line| world.console.data(line)),
    }
    chosen.map(|_| Exit::Done)
}

fn report(survey: Option<&Survey>, chosen: Option<&(String, id_token::IdToken)>) -> Value {
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
    lines
}
