//! Workload identity federation: the token of another issuer, exchanged at Google's STS.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use host::{Host, Invocation, ProgramError, escape_remote};
use http::Method;
use http::header::HeaderName;
use oidc_ambient::fetch::{self, Call, Failure};
use oidc_ambient::files;
use oidc_ambient::google::SCOPE;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use crate::google::aws;

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
    regional_cred_verification_url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Executable {
    command: String,
    timeout_millis: Option<u64>,
    output_file: Option<PathBuf>,
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
        let subject = self.credential_source.token(host, self).await?;
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
    async fn token(&self, host: &Host, external: &External) -> Result<String, Failure> {
        if let Some(path) = &self.file {
            return self.take(&files::read(host, path, CAP).await?);
        }
        // A file for AWS has a `url` too, that of the metadata service.
        if let Some(id) = &self.environment_id {
            return self.environment(host, id, external).await;
        }
        if let Some(url) = &self.url {
            return self.take(self.ask(host, url).await?.body());
        }
        if let Some(executable) = &self.executable {
            return executable.run(host, external).await;
        }
        Err(Failure::new(
            "expected `credential_source` to have a file, url, executable or environment, found none",
        )
        .with_hint(
            "create the file anew with `gcloud iam workload-identity-pools create-cred-config`",
        ))
    }

    async fn environment(
        &self,
        host: &Host,
        id: &str,
        external: &External,
    ) -> Result<String, Failure> {
        if id != AWS {
            return Err(Failure::new(format!(
                "expected the environment `{AWS}` in `credential_source`, found `{}`",
                escape_remote(id)
            ))
            .with_hint("sign with the token of that place itself, or let the file name another"));
        }
        let url = self.regional_cred_verification_url.as_deref().unwrap_or(CALLER_IDENTITY);
        aws::subject_token(host, url, &external.audience).await
    }

    async fn ask(&self, host: &Host, url: &str) -> Result<http::Response<bytes::Bytes>, Failure> {
        let url = fetch::endpoint("`credential_source.url`", url)?;
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
    /// The token that the program gives, as AIP-4117 has it.
    async fn run(&self, host: &Host, external: &External) -> Result<String, Failure> {
        if host.env.var(ALLOW).as_deref() != Some("1") {
            return Err(Failure::new(format!(
                "the file wants a program to be run and {ALLOW} is not `1`"
            ))
            .with_hint(format!("set {ALLOW}=1 if you trust the file")));
        }
        // An answer that is old or not one is no reason to fail: the program gives another.
        let kept = self.kept(host).await.and_then(|kept| Response::parse(&kept).ok());
        if let Some(kept) = kept.filter(|kept| kept.expiration_time.is_some())
            && let Ok(token) = kept.token(host.clock.now())
        {
            return Ok(token);
        }
        let output = host.programs.run(self.invocation(external)?).await.map_err(|error| {
            let late = matches!(error, ProgramError::Timeout { .. });
            match late {
                true => Failure::new("the program of the file did not end in time")
                    .with_hint("let `timeout_millis` in the file be longer, up to 120000"),
                false => Failure::new(format!("the program of the file failed: {error}")),
            }
        })?;
        let is_silent = output.code == Some(0) && output.stdout.trim_ascii().is_empty();
        let answer = match is_silent {
            true => self.kept(host).await.unwrap_or_default(),
            false => output.stdout,
        };
        let how = match (output.code, Response::parse(&answer)) {
            // What a program says of its failure is better than its code.
            (_, Ok(answer)) if !answer.success => return answer.token(host.clock.now()),
            (Some(0), answer) => return answer?.token(host.clock.now()),
            (Some(MISSING), _) => "was not found".to_owned(),
            (Some(code), _) => format!("ended with code {code}"),
            (None, _) => "was ended by a signal".to_owned(),
        };
        Err(Failure::new(format!("the program of the file {how}"))
            .with_hint("run the `command` of the file in a shell: it says what it lacks"))
    }

    /// What is in the output file.
    async fn kept(&self, host: &Host) -> Option<Vec<u8>> {
        files::read(host, self.output_file.as_deref()?, CAP).await.ok()
    }

    /// The program through `env`, which sets the variables that it may rely on; none is secret. It
    /// is there to get a token with what this job has, but for tokens that are for Sigstore.
    fn invocation(&self, external: &External) -> Result<Invocation, Failure> {
        let words = shlex::split(&self.command).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| Failure::new("the `command` of the file is not one"))?;
        let mut args = vec![
            format!("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE={}", external.audience),
            format!("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE={}", external.subject_token_type),
            "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0".to_owned(),
        ];
        if let Some(email) = external.impersonation_url().and_then(impersonated_email) {
            args.push(format!("GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL={email}"));
        }
        if let Some(path) = &self.output_file {
            args.push(format!("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE={}", path.display()));
        }
        // A program whose name holds `=` would be taken for a variable.
        if words.first().is_some_and(|program| program.contains('=')) {
            return Err(Failure::new("the `command` of the file names no program"));
        }
        args.extend(words);
        let limit = self.timeout_millis.unwrap_or(DEFAULT_LIMIT).clamp(SHORTEST, LONGEST);
        Ok(Invocation::new("env", args)
            .without(FOR_SIGSTORE)
            .with_deadline(Duration::from_millis(limit))
            .with_output_cap(CAP))
    }
}

/// What a program writes to its output, or to its output file.
#[derive(Deserialize)]
struct Response {
    version: u64,
    success: bool,
    id_token: Option<String>,
    saml_response: Option<String>,
    /// In seconds since 1970.
    expiration_time: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

impl Response {
    fn parse(bytes: &[u8]) -> Result<Self, Failure> {
        serde_json::from_slice(bytes).map_err(|_| {
            Failure::new("the program of the file answered without `version` and `success`")
        })
    }

    /// The token of a successful answer. Nothing else of the answer is shown but its message.
    fn token(self, now: SystemTime) -> Result<String, Failure> {
        if self.version > 1 {
            let version = self.version;
            return Err(Failure::new(format!(
                "expected an answer of version 1 from the program of the file, found {version}"
            )));
        }
        if !self.success {
            let code = self.code.unwrap_or_default();
            let message = self.message.unwrap_or_default();
            return Err(Failure::new(format!(
                "the program of the file failed: `{} {}`",
                escape_remote(&code),
                escape_remote(&message)
            )));
        }
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.expiration_time.is_some_and(|end| end <= now) {
            return Err(Failure::new("the program of the file gave a token that has expired"));
        }
        self.id_token
            .or(self.saml_response)
            .ok_or_else(|| Failure::new("the program of the file answered without a token"))
    }
}

/// `s@p` of `.../serviceAccounts/s@p:generateAccessToken`.
fn impersonated_email(url: &str) -> Option<&str> {
    let (account, _) = url.rsplit_once(':')?;
    account.rsplit_once('/').map(|(_, email)| email)
}

/// The exit code of `env` when the program does not exist.
const MISSING: i32 = 127;
const AWS: &str = "aws1";
const CALLER_IDENTITY: &str =
    "https://sts.{region}.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15";
/// Variables with identity tokens of no use to a program that gets one for Google.
const FOR_SIGSTORE: [&str; 4] = [
    "AMBISIGN_IDENTITY_TOKEN",
    "COSIGN_IDENTITY_TOKEN",
    "SIGSTORE_IDENTITY_TOKEN",
    "SIGSTORE_ID_TOKEN",
];
/// In milliseconds, as AIP-4117 has them.
const DEFAULT_LIMIT: u64 = 30_000;
const SHORTEST: u64 = 5_000;
const LONGEST: u64 = 120_000;
const ALLOW: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
const CAP: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn external(executable: &str) -> External {
        serde_json::from_str(&format!(
            r#"{{"audience":"//iam/pool","subject_token_type":"urn:ietf:params:oauth:token-type:jwt",
                "token_url":"https://sts.example/","credential_source":{{"executable":{executable}}},
                "service_account_impersonation_url":
                    "https://iam.example/v1/projects/-/serviceAccounts/s@p:generateAccessToken"}}"#
        ))
        .unwrap()
    }

    fn invocation(executable: &str) -> Result<Invocation, Failure> {
        let external = external(executable);
        external.credential_source.executable.as_ref().unwrap().invocation(&external)
    }

    #[test]
    fn a_program_gets_the_variables_of_aip_4117_and_its_words_as_a_shell_splits_them() {
        let run =
            invocation(r#"{"command":"/bin/tok 'a b' c","output_file":"/o","timeout_millis":1}"#);
        let run = run.unwrap();
        assert_eq!(run.program.to_str(), Some("env"));
        assert_eq!(
            run.args,
            [
                "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE=//iam/pool",
                "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE=urn:ietf:params:oauth:token-type:jwt",
                "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE=0",
                "GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL=s@p",
                "GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE=/o",
                "/bin/tok",
                "a b",
                "c",
            ]
        );
        assert_eq!(run.deadline, Duration::from_secs(5));
        assert!(run.withholds("SIGSTORE_ID_TOKEN") && !run.withholds("GOOGLE_ID_TOKEN"));
        for command in ["", "X=1 p", "'"] {
            assert!(invocation(&format!(r#"{{"command":"{command}"}}"#)).is_err(), "{command}");
        }
    }

    /// As google-auth does.
    #[test]
    fn the_output_file_serves_until_its_end_and_where_the_program_is_silent() {
        let fresh = r#"{"version":1,"success":true,"id_token":"kept","expiration_time":9}"#;
        let endless = r#"{"version":1,"success":true,"id_token":"kept"}"#;
        for (kept, code, written, token) in [
            (fresh, 0, fresh.replace("kept", "new"), Some("kept")),
            (endless, 0, endless.replace("kept", "new"), Some("new")),
            (endless, 0, "\n".to_owned(), Some("kept")),
            ("", 0, String::new(), None),
            ("", 1, endless.to_owned(), None),
        ] {
            let env = host::FakeEnv::new().with_var(ALLOW, "1").with_file("/o", kept);
            let output = host::ProgramOutput {
                code: Some(code),
                stdout: written.clone().into(),
                stderr: Vec::new(),
            };
            let host = crate::testing::Fake::new(&[]).host().with_env(Arc::new(env));
            let host = host.with_programs(Arc::new(move |_: Invocation| Ok(output.clone())));
            let external = external(r#"{"command":"p","output_file":"/o"}"#);
            let run = external.credential_source.token(&host, &external);
            assert_eq!(crate::testing::ready(run).ok().as_deref(), token, "{kept} {written}");
        }
    }

    #[test]
    fn an_answer_counts_only_with_success_and_before_its_end() {
        let now = UNIX_EPOCH + Duration::from_secs(100);
        let read = |text: &str| Response::parse(text.as_bytes())?.token(now);
        let good =
            r#"{"version":1,"success":true,"token_type":"t","id_token":"x","expiration_time":101}"#;
        assert_eq!(read(good).unwrap(), "x");
        for (answer, told) in [
            (good.replace("101", "100"), "has expired"),
            (good.replace("true", "false"), "failed"),
            (good.replace("\"version\":1", "\"version\":2"), "found 2"),
            (good.replace("id_token", "other"), "without a token"),
            (good.replace("\"success\":true,", ""), "without `version` and `success`"),
            ("x".to_owned(), "without `version` and `success`"),
        ] {
            let reason = read(&answer).unwrap_err().reason;
            assert!(reason.contains(told), "{answer}: {reason}");
        }
    }
}
