//! What would sign here, and what the certificate authority would answer.

use std::fmt;
use std::sync::OnceLock;
use std::time::SystemTime;

use fulcio_client::predict::{Prediction, Profile};
use fulcio_client::preflight::{self, Refusal};
use fulcio_client::{Configuration, Fulcio, Profiles};
use host::Clock;
use id_token::{Audience, IdToken, TokenSource as _};
use jiff::SignedDuration;
use oidc_ambient::Report;
use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use crate::identity::IdentitySearch;
use crate::identity_error::IdentityError;
use crate::layout::{Section, lay_out};
use crate::time::rfc3339;

/// What `ambisign identity` prints.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct IdentityReport {
    /// The identity that would sign.
    pub chosen: Option<ChosenIdentity>,
    /// The certificate that it would get, where that is known.
    pub certificate: Option<PredictedCertificate>,
    /// What the certificate authority would answer, if it is known where that is.
    pub fulcio: Option<FulcioAnswer>,
    /// What each source answers, in order; empty when a token was given.
    pub sources: Vec<SourceReport>,
    /// Why nothing would sign.
    #[serde(skip)]
    pub error: Option<IdentityError>,
}

/// The identity that would sign.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ChosenIdentity {
    /// The source.
    pub provider: String,
    /// How the token is signed.
    pub algorithm: String,
    /// All that the token claims, without other tokens in it.
    pub claims: Map<String, Value>,
    /// When the token ends.
    pub expires: Option<String>,
    /// Until then.
    pub seconds_left: Option<u64>,
    /// The token itself, to be hidden in logs.
    #[serde(skip)]
    pub token: IdToken,
}

/// A certificate that a token would get.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PredictedCertificate {
    /// The identity in it.
    pub subject: String,
    /// `uri`, `email` or `username`.
    pub subject_kind: &'static str,
    /// The OIDC issuer in it.
    pub issuer: String,
    /// What a proof of possession without a certificate request is made over.
    pub proof: String,
    /// Fulcio's extensions, in the certificate's order.
    pub extensions: Vec<PredictedExtension>,
}

/// An extension of a certificate.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PredictedExtension {
    /// The object identifier.
    pub oid: &'static str,
    /// Its name.
    pub name: Option<&'static str>,
    /// The value.
    pub value: String,
}

/// What a certificate authority would answer. Only its list of issuers is requested.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct FulcioAnswer {
    /// Where it is.
    pub url: String,
    /// Whether it would issue the certificate; unknown for an issuer that it did not publish.
    pub accepts: Option<bool>,
    /// Why not.
    pub reason: Option<String>,
    /// Whether the claims were checked: without a profile of the issuer, only the token itself and
    /// its issuer are.
    pub claims_checked: bool,
    /// What is odd and not refused.
    pub warnings: Vec<String>,
    /// Why not, typed.
    #[serde(skip)]
    pub refusal: Option<Refusal>,
    /// Why it did not publish which issuers it accepts.
    #[serde(skip)]
    pub unpublished: Option<fulcio_client::Error>,
}

/// What an identity source answers.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SourceReport {
    /// Its name.
    pub provider: String,
    /// `absent`, `available` or `broken`.
    pub state: &'static str,
    /// What was looked at.
    pub evidence: String,
    /// What is wrong with it, or why it was passed over.
    pub reason: Option<String>,
    /// What to do about that.
    pub hint: Option<String>,
}

impl IdentitySearch {
    /// Reports what would sign by the time of `clock`; no login is started. `fulcio`, the certificate
    /// authority, is awaited only when there is an identity to tell it about, and is asked for its
    /// configuration only. `profiles` tell what it does not publish.
    pub async fn report(
        &self,
        fulcio: impl Future<Output = Option<Fulcio>>,
        profiles: &Profiles,
        clock: &dyn Clock,
    ) -> IdentityReport {
        let answer = OnceLock::new();
        let ask = async {
            let fulcio = fulcio.await?;
            let configuration = fulcio.configuration().await;
            let (_, configuration) = answer.get_or_init(|| (fulcio.url().clone(), configuration));
            configuration.as_ref().ok()
        };
        let (found, sources) = match self.given() {
            Some(given) => {
                _ = ask.await;
                let provider = given.name().to_owned();
                (Ok((provider, given.token().clone(), self.default_audience())), Vec::new())
            }
            None => {
                let survey = self.survey(ask).await;
                let found = survey.outcome.map(|it| (it.provider, it.token, it.audience));
                (found, survey.reports)
            }
        };
        let sources = sources.into_iter().map(SourceReport::new).collect();
        let mut report =
            IdentityReport { chosen: None, certificate: None, fulcio: None, sources, error: None };
        match found {
            Ok((provider, token, audience)) => {
                self.tell(&token);
                let now = clock.now();
                if let Some((url, configuration)) = answer.into_inner() {
                    let (answer, prediction) =
                        FulcioAnswer::new(&url, configuration, &token, &audience, profiles, now);
                    report.fulcio = Some(answer);
                    report.certificate = prediction.map(PredictedCertificate::new);
                }
                report.chosen = Some(ChosenIdentity::new(provider, token, now));
            }
            Err(error) => report.error = Some(error.into()),
        }
        report
    }
}

impl IdentityReport {
    /// Whether there is an identity that would sign, in one line.
    fn headline(&self) -> &'static str {
        match (&self.chosen, self.fulcio.as_ref().and_then(|it| it.accepts)) {
            (None, _) => "Nothing here can sign.",
            (Some(_), Some(false)) => {
                "This identity was found, and the certificate authority would refuse it:"
            }
            (Some(_), _) => "This identity would sign:",
        }
    }

    /// The report for people, in lines of at most `width` characters: what would sign, the
    /// certificate, what else is here or broken. The reasons why sources are not here only when it
    /// is to be `verbose`.
    pub fn text(&self, verbose: bool, width: usize) -> Vec<String> {
        let summary = self.summary().into_iter().map(|(name, value)| (name.to_owned(), value));
        let mut sections = vec![Section::new(self.headline(), summary.collect())];
        if let Some(certificate) = &self.certificate {
            let row =
                |it: &PredictedExtension| (it.name.unwrap_or(it.oid).to_owned(), it.value.clone());
            let rows = certificate.extensions.iter().map(row).collect();
            sections.push(Section::new("Extensions of the certificate", rows));
        }
        let is_chosen = |it: &SourceReport| {
            let chosen = self.chosen.as_ref().is_some_and(|found| found.provider == it.provider);
            chosen && it.state == "available"
        };
        let is_shown = |it: &&SourceReport| !is_chosen(it) && (verbose || it.state != "absent");
        let rows: Vec<_> =
            self.sources.iter().filter(is_shown).flat_map(SourceReport::rows).collect();
        if !rows.is_empty() {
            sections.push(Section::new("Other identity sources", rows));
        }
        if !verbose && !self.sources.is_empty() {
            let absent = self.absent().join(", ");
            let heading = format!("Not here (--verbose says why): {absent}");
            sections.push(Section::new(heading, Vec::new()));
        }
        lay_out(&sections, width)
    }

    /// The names of the sources that are not here, in order and each once.
    fn absent(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for source in self.sources.iter().filter(|it| it.state == "absent") {
            if !names.contains(&source.provider.as_str()) {
                names.push(&source.provider);
            }
        }
        names
    }

    /// What to tell a user of the identity that would sign: names, and their values.
    fn summary(&self) -> Vec<(&'static str, String)> {
        let Some(chosen) = &self.chosen else { return Vec::new() };
        let claim = |name: &str| match chosen.claims.get(name) {
            Some(Value::String(text)) => Some(text.clone()),
            value => value.map(ToString::to_string),
        };
        let (fulcio, certificate) = (self.fulcio.as_ref(), self.certificate.as_ref());
        let identity = certificate.map(|it| it.subject.clone()).or_else(|| claim("sub"));
        let issuer = certificate.map(|it| it.issuer.clone()).or_else(|| claim("iss"));
        let time = chosen.expires.as_ref().zip(chosen.seconds_left).map(|(end, left)| {
            let left = SignedDuration::from_secs(left.cast_signed());
            format!("for {left:#}, until {}", end.replace('T', " ").replace('Z', " UTC"))
        });
        let mut sources = self.sources.iter();
        let source = sources.find(|it| it.provider == chosen.provider && it.state == "available");
        let source = match source {
            Some(source) => format!("{} ({})", chosen.provider, source.evidence),
            None => chosen.provider.clone(),
        };
        let facts = [
            ("identity", identity),
            ("issuer", issuer),
            ("valid", time),
            ("source", Some(source)),
            ("subject", claim("sub")),
            ("audience", claim("aud")),
            ("email", claim("email")),
            ("accepted", fulcio.map(ToString::to_string)),
        ];
        let known = facts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let warnings = fulcio.iter().flat_map(|it| &it.warnings);
        known.chain(warnings.map(|text| ("warning", text.clone()))).collect()
    }
}

impl FulcioAnswer {
    fn new(
        url: &Url,
        configuration: Result<Configuration, fulcio_client::Error>,
        token: &IdToken,
        audience: &Audience,
        profiles: &Profiles,
        now: SystemTime,
    ) -> (Self, Option<Prediction>) {
        let claims = token.claims();
        let iss = claims.issuer().unwrap_or_default();
        let (configuration, unpublished) = match configuration {
            Ok(configuration) => (Some(configuration.completed(profiles, iss)), None),
            Err(error) => (None, Some(error)),
        };
        let (warnings, refusal) =
            match preflight::check(token, audience, configuration.as_ref(), now) {
                Ok(warnings) => (warnings.iter().map(ToString::to_string).collect(), None),
                Err(refusal) => (Vec::new(), Some(refusal)),
            };
        let issuer = match &configuration {
            Some(configuration) => configuration.issuer_for(iss),
            None => profiles.issuer_for(iss),
        };
        let issuer = issuer.filter(|_| refusal.is_none());
        let prediction = issuer.and_then(|issuer| Profile::of(issuer, claims).predict(claims));
        let is_known = configuration.is_some() || refusal.is_some();
        let answer = Self {
            url: url.to_string(),
            accepts: is_known.then_some(refusal.is_none()),
            reason: refusal.as_ref().map(ToString::to_string),
            claims_checked: prediction.is_some() || refusal.is_some(),
            warnings,
            refusal,
            unpublished,
        };
        (answer, prediction)
    }
}

impl fmt::Display for FulcioAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.url;
        match (self.accepts, &self.reason) {
            (Some(true), _) if self.claims_checked => write!(f, "yes, by {url}"),
            (Some(true), _) => write!(f, "{url} accepts the issuer; the claims were not checked"),
            (Some(false), Some(reason)) => write!(f, "no, {url}: {reason}"),
            (Some(false), None) => write!(f, "no, {url}"),
            (None, _) => write!(f, "unknown: {url} does not publish which issuers it accepts"),
        }
    }
}

impl ChosenIdentity {
    fn new(provider: String, token: IdToken, now: SystemTime) -> Self {
        let end = token.claims().expires_at();
        let left = end.map(|end| end.duration_since(now).unwrap_or_default().as_secs());
        let claims = token.claims().as_object().iter();
        Self {
            provider,
            algorithm: token.algorithm().to_owned(),
            claims: claims.map(|(name, value)| (host::scrub(name), scrubbed(value))).collect(),
            expires: end.map(rfc3339),
            seconds_left: left,
            token,
        }
    }
}

impl PredictedCertificate {
    fn new(prediction: Prediction) -> Self {
        let extension =
            |(oid, value)| PredictedExtension { oid, name: x509::oid::reported_name(oid), value };
        Self {
            subject: prediction.subject.as_str().to_owned(),
            subject_kind: prediction.subject.kind(),
            issuer: prediction.issuer,
            proof: prediction.proof,
            extensions: prediction.extensions.into_iter().map(extension).collect(),
        }
    }
}

impl SourceReport {
    fn rows(&self) -> Vec<(String, String)> {
        let found = [Some(&self.evidence), self.reason.as_ref()].into_iter().flatten();
        let found: Vec<_> = found.filter(|text| !text.is_empty()).map(String::as_str).collect();
        let text = format!("{}: {}", self.state, found.join("; "));
        let hint = self.hint.iter().map(|hint| (String::new(), format!("hint: {hint}")));
        std::iter::once((self.provider.clone(), text)).chain(hint).collect()
    }

    fn new(report: Report) -> Self {
        let Report { provider, state, evidence, reason, hint } = report;
        Self { provider, state: state.as_str(), evidence, reason, hint }
    }
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
