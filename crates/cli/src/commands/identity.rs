//! `ambisign identity`.

use std::sync::Arc;

use fulcio_client::predict::{Prediction, Profile};
use fulcio_client::preflight::{self, Refusal};
use fulcio_client::{Configuration, Fulcio, Profiles};
use host::Host;
use id_token::{Audience, IdToken};
use oidc_ambient::Survey;
use serde_json::{Value, json};
use url::Url;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::flags::{IdentityCommandFlags, Output};
use crate::identity::Identities;
use crate::mask::Mask;
use crate::output::{Stream, rfc3339};
use crate::plan;

/// The claims in the text report; the JSON report has all.
const CLAIMS: [&str; 6] = ["iss", "sub", "aud", "email", "iat", "exp"];

pub(crate) async fn identity(
    flags: &IdentityCommandFlags,
    context: &Arc<Context>,
) -> Result<(), Failure> {
    let profiles = profiles(flags).await?;
    let host = context.host(&context.settings());
    let mask = Mask::plan(&flags.identity, Stream::Stdout.of_people(flags.output), context)?;
    let identities = Identities::plan(&flags.identity, context, &host).await?;
    let survey = identities.survey().await;
    context.console.settle();
    let chosen = identities.peek(survey.as_ref()).await;
    if let (Some(mask), Ok((_, token))) = (&mask, &chosen) {
        mask.hide(token);
    }
    // The report is printed whatever the certificate authority says.
    let (verdict, failure) = match &chosen {
        Ok((_, token)) => match ask_fulcio(token, flags, &profiles, &host, context).await {
            Ok(verdict) => (Some(verdict), None),
            Err(failure) => (None, Some(failure)),
        },
        Err(_) => (None, None),
    };
    let report = json!({
        "chosen": chosen.as_ref().ok().map(|chosen| self::chosen(chosen, context)),
        "sources": sources(survey.as_ref()),
        "certificate": certificate(verdict.as_ref().and_then(|it| it.prediction.as_ref())),
        "fulcio": verdict.as_ref().map(Verdict::report),
    });
    match flags.output {
        Output::Json => context.console.json(&report),
        Output::Text => text(&report).iter().for_each(|line| context.console.data(line)),
    }
    chosen?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    match verdict.and_then(|verdict| verdict.refusal) {
        Some(refusal) => Err(Failure::of(
            Exit::Failed,
            "the certificate authority would refuse this identity",
            &refusal,
        )),
        None => Ok(()),
    }
}

/// What Fulcio would answer to the token. Only its list of issuers is requested.
struct Verdict {
    url: Url,
    /// Whether it published which issuers it accepts.
    told: bool,
    warnings: Vec<String>,
    refusal: Option<Refusal>,
    /// The certificate that it would issue, where that is known.
    prediction: Option<Prediction>,
}

impl Verdict {
    fn report(&self) -> Value {
        json!({
            "url": self.url.as_str(),
            // Unknown for an issuer that Fulcio did not publish.
            "accepts": (self.told || self.refusal.is_some()).then_some(self.refusal.is_none()),
            "reason": self.refusal.as_ref().map(ToString::to_string),
            // Without a profile of the issuer only the token itself and its issuer were checked.
            "claims_checked": self.prediction.is_some() || self.refusal.is_some(),
            "warnings": self.warnings,
        })
    }
}

async fn ask_fulcio(
    token: &IdToken,
    flags: &IdentityCommandFlags,
    profiles: &Profiles,
    host: &Host,
    context: &Context,
) -> Result<Verdict, Failure> {
    let config = plan::signing_config(&flags.services, false, context).await?;
    let url = config.fulcio(context.now()).map_err(signer::Error::from)?.url;
    context.console.wait_for(&format!("asking {url} which issuers it accepts"));
    let configuration = Fulcio::new(url.clone(), host.http.clone()).configuration().await;
    context.console.settle();
    if let Err(error) = &configuration {
        context
            .console
            .warning(&format!("{url} does not publish which issuers it accepts: {error}"));
    }
    let claims = token.claims();
    let iss = claims.issuer().unwrap_or_default();
    let configuration = configuration.ok().map(|it: Configuration| it.completed(profiles, iss));
    let audience = Audience::sigstore();
    let checked = preflight::check(token, &audience, configuration.as_ref(), context.now());
    let (warnings, refusal) = match checked {
        Ok(warnings) => (warnings.iter().map(ToString::to_string).collect(), None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    let issuer = match &configuration {
        Some(configuration) => configuration.issuer_for(iss),
        None => profiles.issuer_for(iss),
    };
    let issuer = issuer.filter(|_| refusal.is_none());
    let prediction = issuer.and_then(|issuer| Profile::of(issuer, claims).predict(claims));
    Ok(Verdict { url, told: configuration.is_some(), warnings, refusal, prediction })
}

fn certificate(prediction: Option<&Prediction>) -> Value {
    let Some(prediction) = prediction else { return Value::Null };
    let extension = |(oid, value): &(&str, String)| -> Value {
        json!({ "oid": oid, "name": x509::oid::name(oid), "value": value })
    };
    json!({
        "subject": prediction.subject.as_str(),
        "subjectKind": prediction.subject.kind(),
        "issuer": prediction.issuer,
        "proof": prediction.proof,
        "extensions": prediction.extensions.iter().map(extension).collect::<Vec<_>>(),
    })
}

fn sources(survey: Option<&Survey>) -> Vec<Value> {
    let sources = survey.map(|survey| &*survey.reports).unwrap_or_default();
    sources
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
        .collect()
}

fn chosen((provider, token): &(String, IdToken), context: &Context) -> Value {
    let claims = token.claims();
    let left = claims.expires_at().map(|end| end.duration_since(context.now()).unwrap_or_default());
    json!({
        "provider": provider,
        "algorithm": token.algorithm(),
        "claims": scrubbed(&Value::Object(claims.as_object().clone())),
        "expires": claims.expires_at().map(rfc3339),
        "secondsLeft": left.map(|left| left.as_secs()),
    })
}

/// Claims may contain other tokens.
fn scrubbed(value: &Value) -> Value {
    match value {
        Value::String(text) => host::scrub(text).into(),
        Value::Array(items) => items.iter().map(scrubbed).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (host::scrub(name), scrubbed(value))).collect()
        }
        other => other.clone(),
    }
}

async fn profiles(flags: &IdentityCommandFlags) -> Result<Profiles, Failure> {
    let Some(path) = &flags.issuer_profiles else { return Ok(Profiles::known()) };
    let problem = || format!("cannot use --issuer-profiles {}", path.display());
    let bytes = crate::files::read(path, PROFILES_CAP).await;
    let bytes = bytes.map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    Profiles::from_json(&bytes).map_err(|error| {
        Failure::of(Exit::Failed, problem(), &error).hint(
            "write {\"issuers\": [{\"issuer_url\": URL, \"type\": \"ci-provider\", \
             \"ci_provider\": \"github-workflow\"}]}",
        )
    })
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
        let left = field(chosen, "secondsLeft");
        if !left.is_empty() {
            lines.push(format!(
                "{:<16} for {left} s, until {}",
                "  good",
                field(chosen, "expires")
            ));
        }
    }
    if let Some(certificate) = report.get("certificate").filter(|it| !it.is_null()) {
        lines.push(format!("{:<16} {}", "certificate", field(certificate, "subject")));
        lines.push(format!("{:<16} {}", "  issuer", field(certificate, "issuer")));
        for it in certificate.get("extensions").and_then(Value::as_array).into_iter().flatten() {
            lines.push(format!("  {}: {}", field(it, "name"), field(it, "value")));
        }
    }
    if let Some(fulcio) = report.get("fulcio").filter(|it| !it.is_null()) {
        let verdict = match fulcio.get("accepts").and_then(Value::as_bool) {
            Some(true) if fulcio["claims_checked"] == false => {
                "accepts its issuer; its claims were not checked (see --issuer-profiles)"
            }
            Some(true) => "would accept it",
            Some(false) => "would refuse it",
            None => "does not publish whether it would accept it",
        };
        lines.push(format!("{:<16} {} {verdict}", "fulcio", field(fulcio, "url")));
        for warning in fulcio.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            let warning = warning.as_str().unwrap_or_default();
            lines.push(format!("{:<16} {}", "  warning", host::escape_remote(warning)));
        }
    }
    lines
}

/// The largest file of issuer profiles, in bytes.
const PROFILES_CAP: usize = 1 << 20;
