//! Workload identity federation: the token of another issuer, exchanged at Google's STS.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use host::{Host, Invocation, escape_remote};
use http::Method;
use http::header::HeaderName;
use oidc_ambient::fetch::{self, Call, Failure};
use oidc_ambient::google::SCOPE;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

/// A file of the kind `external_account`.
#[derive(Deserialize)]
pub(crate) struct External {
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: Subject,
    service_account_impersonation_url: Option<String>,
}

/// Where the token to exchange is. Exactly one of the first four is set.
#[derive(Deserialize)]
struct Subject {
    file: Option<PathBuf>,
    url: Option<String>,
    executable: Option<Executable>,
    environment_id: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Executable {
    command: String,
    timeout_millis: Option<u64>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
    subject_token_field_name: Option<String>,
}

impl External {
    pub(crate) fn impersonation_url(&self) -> Option<&str> {
        self.service_account_impersonation_url.as_deref()
    }

    /// An access token of the federated principal.
    pub(crate) async fn access_token(&self, host: &Host) -> Result<SecretString, Failure> {
        let subject = self.credential_source.token(host).await?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", self.audience.as_str()),
            ("scope", SCOPE),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token", subject.as_str()),
            ("subject_token_type", self.subject_token_type.as_str()),
        ];
        let call = Call::post_form(fetch::endpoint("`token_url`", &self.token_url)?, &fields);
        call.secret(host, "access_token").await.map_err(|failure| {
            failure.with_hint(
                "compare the issuer, audience and conditions of the workload identity pool's \
                 provider with this token: the pool does not take it",
            )
        })
    }
}

impl Subject {
    async fn token(&self, host: &Host) -> Result<String, Failure> {
        if let Some(path) = &self.file {
            return self.take(&host.env.read(path, CAP).await?);
        }
        if let Some(url) = &self.url {
            return self.take(self.ask(host, url).await?.body());
        }
        if let Some(executable) = &self.executable {
            return executable.run(host).await;
        }
        let what = match &self.environment_id {
            Some(id) => format!("an environment `{}`", escape_remote(id)),
            None => "none of them".to_owned(),
        };
        Err(Failure::new(format!(
            "expected `credential_source` to have a file, url or executable, found {what}"
        ))
        .with_hint("sign with the token of that place itself, or let the file name one of those"))
    }

    async fn ask(&self, host: &Host, url: &str) -> Result<http::Response<bytes::Bytes>, Failure> {
        let url = fetch::machine_endpoint("`credential_source.url`", url)?;
        let mut call = Call::new(Method::GET, url);
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| {
                Failure::new("one of the headers of `credential_source` has an impossible name")
            })?;
            call = call.header(name, fetch::secret("a header of `credential_source`", value)?);
        }
        call.send(host).await
    }

    /// The token in what was read, of which nothing is shown.
    fn take(&self, bytes: &[u8]) -> Result<String, Failure> {
        let text = String::from_utf8_lossy(bytes);
        let Some(Format { kind, subject_token_field_name: Some(field) }) = &self.format else {
            return Ok(text.trim().to_owned());
        };
        if kind != "json" {
            return Ok(text.trim().to_owned());
        }
        let value: Option<Value> = serde_json::from_slice(bytes).ok();
        let token = value.as_ref().and_then(|value| value.get(field)?.as_str());
        token.map(str::to_owned).ok_or_else(|| {
            Failure::new(format!("expected JSON with the string `{}`", escape_remote(field)))
        })
    }
}

impl Executable {
    async fn run(&self, host: &Host) -> Result<String, Failure> {
        if host.env.var(ALLOW).as_deref() != Some("1") {
            return Err(Failure::new(format!(
                "the file wants a program to be run and {ALLOW} is not `1`"
            ))
            .with_hint(format!("set {ALLOW}=1 if you trust the file")));
        }
        let mut words = self.command.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or_else(|| Failure::new("the program has no name"))?;
        let limit = Duration::from_millis(self.timeout_millis.unwrap_or(30_000).min(120_000));
        // The program exists to trade the identity of this very place: it gets every variable.
        let invocation = Invocation::new(program, words).with_deadline(limit).with_output_cap(CAP);
        let output = host.programs.run(invocation).await?;
        let answer: Option<Value> = serde_json::from_slice(&output.stdout).ok();
        let part = |name: &str| answer.as_ref()?.get(name)?.as_str().map(str::to_owned);
        part("id_token").or_else(|| part("saml_response")).ok_or_else(|| {
            let said = part("message").unwrap_or_default();
            Failure::new(format!("the file's program gave no token: `{}`", escape_remote(&said)))
        })
    }
}

const ALLOW: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
const CAP: usize = 64 << 10;
