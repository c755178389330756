//! A declared source at work.

use std::path::Path;
use std::time::Duration;

use host::{Host, Invocation, ProgramError, with_causes};
use http::{HeaderName, Method};
use id_token::{Audience, IdToken, Outcome, TOKEN_CAP};
use serde_json::Value;

use crate::declared::declaration::{Declaration, Kind};
use crate::declared::template::{Escape, Unfilled, fill};
use crate::fetch::{self, Call};
use crate::files::{self, Problem};
use crate::helper;
use crate::outcome::{absent, broken, found};

/// A source of a file.
pub(crate) struct Declared {
    host: Host,
    declaration: Declaration,
}

/// The whole of an `http` source.
struct Request<'a> {
    url: &'a str,
    method: &'a Method,
    headers: &'a [(HeaderName, String)],
    body: Option<&'a str>,
    socket: Option<&'a Path>,
}

impl Declared {
    pub(crate) fn new(host: Host, declaration: Declaration) -> Self {
        Self { host, declaration }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let Declaration { name, when, kind, .. } = &self.declaration;
        let mut evidence = format!("`{name}` is declared");
        if let Some(variable) = when {
            if self.host.env.var(variable).is_none() {
                return absent(format!("{variable} is not set"));
            }
            evidence.push_str(&format!(" and {variable} is set"));
        }
        let read = match kind {
            Kind::Exec { program, args, pass, timeout } => {
                self.exec(program, args, pass, *timeout, audience).await
            }
            Kind::File(path) => self.file(path).await,
            Kind::Env(variable) => self.env(variable),
            Kind::Http { url, method, headers, body, socket } => {
                let (body, socket) = (body.as_deref(), socket.as_deref());
                self.http(&Request { url, method, headers, body, socket }, audience).await
            }
        };
        match read.and_then(|text| self.token(&text).map_err(Unfilled::Broken)) {
            Ok(token) => found(token, evidence),
            Err(Unfilled::Absent(absence)) => absent(absence),
            Err(Unfilled::Broken(reason)) => broken(
                evidence,
                reason,
                format!("correct the source `{name}` in the file that declares it, or remove it"),
            ),
        }
    }

    async fn exec(
        &self,
        program: &str,
        args: &[String],
        pass: &[String],
        deadline: Duration,
        audience: &Audience,
    ) -> Result<String, Unfilled> {
        let mut filled = Vec::new();
        for arg in args {
            filled.push(fill(arg, audience, &self.host, Escape::None).await?);
        }
        let pass: Vec<&str> = pass.iter().map(String::as_str).collect();
        let invocation = Invocation::new(program, filled)
            .without(id_token::secret_variables_but(&pass))
            .keeping(pass.iter().copied())
            .with_deadline(deadline)
            .with_output_cap(TOKEN_CAP);
        let output = match self.host.programs.run(invocation).await {
            Ok(output) => output,
            Err(error @ ProgramError::NotFound { .. }) => {
                return Err(Unfilled::Broken(format!("{error} in PATH")));
            }
            Err(error) => return Err(Unfilled::Broken(with_causes(&error))),
        };
        if output.code != Some(0) {
            return Err(Unfilled::Broken(helper::complaint(&self.host, program, &pass, &output)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn file(&self, path: &Path) -> Result<String, Unfilled> {
        match files::text(&self.host, path).await {
            Ok(text) => Ok(text),
            Err(Problem::Missing) => {
                Err(Unfilled::Absent(format!("{} does not exist", files::shown(path))))
            }
            Err(Problem::Unusable(reason)) => Err(Unfilled::Broken(reason)),
        }
    }

    fn env(&self, variable: &str) -> Result<String, Unfilled> {
        let absent = || Unfilled::Absent(format!("{variable} is not set"));
        self.host.env.var(variable).ok_or_else(absent)
    }

    async fn http(&self, request: &Request<'_>, audience: &Audience) -> Result<String, Unfilled> {
        let url = fill(request.url, audience, &self.host, Escape::Percent).await?;
        let url = fetch::endpoint("its `url`", &url)?;
        let mut policy = fetch::policy();
        if let Some(socket) = request.socket {
            policy = policy.with_unix_socket(socket);
        }
        let mut call = Call::new(request.method.clone(), url).policy(policy);
        for (name, value) in request.headers {
            let value = fill(value, audience, &self.host, Escape::None).await?;
            call = call.header(name.clone(), fetch::secret("one of its headers", &value)?);
        }
        if let Some(body) = request.body {
            let json = body.trim_start().starts_with(['{', '[']);
            let escape = if json { Escape::Json } else { Escape::Percent };
            call = call.body(fill(body, audience, &self.host, escape).await?);
        }
        let answer = call.send(&self.host).await?;
        Ok(String::from_utf8_lossy(answer.body()).into_owned())
    }

    /// The token in `text`: the text itself, or a field of a JSON object. Nothing of it is shown.
    fn token(&self, text: &str) -> Result<IdToken, String> {
        let parse = |text: &str| IdToken::parse(text).map_err(|error| error.to_string());
        let object: Option<Value> = Some(text)
            .filter(|text| text.trim_start().starts_with('{'))
            .and_then(|text| serde_json::from_str(text).ok());
        let found = |field: &str| {
            let pointer = format!("/{}", field.trim_start_matches('/').replace('.', "/"));
            object.as_ref()?.pointer(&pointer)?.as_str()
        };
        match &self.declaration.field {
            Some(field) => found(field).map_or_else(
                || Err(format!("expected JSON with the string `{}`", host::escape_remote(field))),
                parse,
            ),
            None => match USUAL_FIELDS.into_iter().find_map(found) {
                Some(token) => parse(token),
                None if object.is_some() => Err(format!(
                    "expected JSON with one of the strings `{}`; name another with `field`",
                    USUAL_FIELDS.join("`, `")
                )),
                None => parse(text),
            },
        }
    }
}

impl id_token::TokenSource for Declared {
    fn name(&self) -> &str {
        &self.declaration.name
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> host::BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

const USUAL_FIELDS: [&str; 4] = ["id_token", "token", "value", "access_token"];

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::testing::{FakeHost, broken_of, ended, found_of, jwt};

    fn declared(fake: &FakeHost, body: &str) -> Declared {
        let text = format!("[[source]]\nname = \"x\"\n{body}");
        let mut all = crate::declared::parse::parse(&text, &[]).unwrap();
        Declared::new(fake.host(), all.remove(0))
    }

    fn look(fake: &FakeHost, body: &str) -> Outcome {
        crate::testing::look(&declared(fake, body), "sigstore")
    }

    #[test]
    fn a_program_is_run_without_the_secrets_of_others() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let text = format!("{{\"id_token\":\"{token}\"}}\n");
        let fake = FakeHost::new(&[]).running(move |run| {
            assert_eq!(run.program, PathBuf::from("vault"));
            assert_eq!(run.args, ["--audience=sigstore"]);
            assert!(run.without.iter().any(|name| name == "ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
            assert!(!run.without.iter().any(|name| name == "SYSTEM_ACCESSTOKEN"));
            assert_eq!(run.deadline, Duration::from_secs(10));
            Ok(ended(0, &text, ""))
        });
        let body = "kind = \"exec\"\ncommand = [\"vault\", \"--audience={audience}\"]\n\
                    pass = [\"SYSTEM_ACCESSTOKEN\"]";
        assert_eq!(found_of(look(&fake, body)).token.reveal(), token);
    }

    #[test]
    fn a_program_that_fails_or_is_missing_is_certain() {
        let body = "kind = \"exec\"\ncommand = [\"vault\"]";
        let fake = FakeHost::new(&[]).running(|_| Ok(ended(2, "secret", "sealed")));
        let broken = broken_of(look(&fake, body));
        assert!(broken.certain);
        assert_eq!(broken.reason, "`vault` ended with code 2: `sealed`");
        assert!(broken.hint.unwrap().contains("source `x`"));
        let reason = broken_of(look(&FakeHost::new(&[]), body)).reason;
        assert_eq!(reason, "the program vault was not found in PATH");
    }

    #[test]
    fn a_service_is_asked_as_declared() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[("URL", "https://run.example/t?x=1"), ("SECRET", "s3")])
            .answering(200, &format!(r#"{{"data":{{"jwt":"{token}"}}}}"#));
        let body = r#"kind = "http"
            url = "{env:URL}&aud={audience}"
            headers = { authorization = "Bearer {env:SECRET}" }
            field = "data.jwt""#;
        assert_eq!(found_of(look(&fake, body)).token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(request.uri(), "https://run.example/t?x=1&aud=sigstore");
        assert_eq!(request.headers()["authorization"], "Bearer s3");
        assert!(request.headers()["authorization"].is_sensitive());
    }

    #[test]
    fn a_body_makes_a_post_and_a_socket_is_used() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[]).answering(200, &token);
        let body = r#"kind = "http"
            url = "http://localhost/v1/tokens/oidc"
            unix_socket = "/.fly/api"
            body = '{"aud":"{audience}"}'"#;
        found_of(look(&fake, body));
        let request = fake.only_request();
        assert_eq!(
            (request.method(), &request.body()[..]),
            (&Method::POST, &b"{\"aud\":\"sigstore\"}"[..])
        );
        let policy = request.extensions().get::<host::CallPolicy>().unwrap();
        assert_eq!(policy.unix_socket.as_deref(), Some(Path::new("/.fly/api")));
    }

    #[test]
    fn a_file_and_a_variable_are_read_where_they_are() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake = FakeHost::new(&[("MY", &token)]).with_file("/run/token", &format!("{token}\n"));
        for body in ["kind = \"file\"\npath = \"/run/token\"", "kind = \"env\"\nvariable = \"MY\""]
        {
            let found = found_of(look(&fake, body));
            assert_eq!(found.token.reveal(), token);
            assert_eq!(found.evidence, "`x` is declared");
        }
    }

    #[test]
    fn where_its_conditions_are_not_met_it_is_absent() {
        let fake = FakeHost::new(&[]);
        for body in [
            "kind = \"file\"\npath = \"/x\"",
            "kind = \"env\"\nvariable = \"MY\"",
            "kind = \"http\"\nurl = \"{env:URL}\"",
            "kind = \"exec\"\ncommand = [\"vault\"]\nwhen = \"TF_BUILD\"",
        ] {
            assert!(matches!(look(&fake, body), Outcome::Absent(_)), "{body}");
        }
        assert_eq!(fake.requests(), 0);
    }

    #[test]
    fn an_answer_without_a_token_is_not_shown() {
        let body = "kind = \"http\"\nurl = \"https://h/\"\nfield = \"a.b\"";
        for answer in ["hunter2", r#"{"a":{"c":"hunter2"}}"#, r#"{"a":{"b":"hunter2"}}"#] {
            let fake = FakeHost::new(&[]).answering(200, answer);
            let broken = broken_of(look(&fake, body));
            assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
        }
        let fake = FakeHost::new(&[]).answering(200, r#"{"other":"hunter2"}"#);
        let reason = broken_of(look(&fake, "kind = \"http\"\nurl = \"https://h/\"")).reason;
        assert!(reason.contains("name another with `field`"), "{reason}");
    }
}
