//! Buildkite: its agent's API, or the agent itself.

use std::time::Duration;

use host::Host;
use http::StatusCode;
use http::header::AUTHORIZATION;
use id_token::{Audience, IdToken, Outcome};
use serde_json::json;

use crate::fetch::{self, Call, Failure};
use crate::helper;
use crate::outcome::{absent, answered, broken, found};

/// The API where its token is at hand, the program otherwise.
pub struct Buildkite {
    host: Host,
}

token_source!(Buildkite, "buildkite-agent");

impl Buildkite {
    async fn look(&self, audience: &Audience, min_ttl: Duration) -> Outcome {
        let var = |name| self.host.env.var(name);
        match (var(TOKEN), var(JOB)) {
            (Some(secret), Some(job)) => {
                let answer = self.fetch(&secret, &job, audience, min_ttl).await;
                answered(answer, format!("{TOKEN} and {JOB} are set"), hint_for)
            }
            _ if var("BUILDKITE").as_deref() == Some("true") => self.run(audience).await,
            _ => absent(format!("BUILDKITE is not `true` and {TOKEN} is not set")),
        }
    }

    async fn fetch(
        &self,
        secret: &str,
        job: &str,
        audience: &Audience,
        min_ttl: Duration,
    ) -> Result<IdToken, Failure> {
        let base = self.host.env.var(ENDPOINT).unwrap_or_else(|| DEFAULT_ENDPOINT.to_owned());
        let mut url = fetch::endpoint(ENDPOINT, &base)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["jobs", job, "oidc", "tokens"]);
        }
        let mut body = json!({ "audience": audience.as_str() });
        if min_ttl > DEFAULT_LIFE {
            body["lifetime"] = json!(min_ttl.as_secs());
        }
        Call::post_json(url, &body)
            .header(AUTHORIZATION, fetch::secret(TOKEN, &format!("Token {secret}"))?)
            .token(&self.host, "/token")
            .await
    }

    async fn run(&self, audience: &Audience) -> Outcome {
        let evidence = "BUILDKITE is `true`";
        let args = ["oidc", "request-token", "--audience", audience.as_str()];
        let mut answer = helper::token(&self.host, AGENT, &args, &[TOKEN]).await;
        if matches!(&answer, Err(helper::Failure::Failed(text)) if is_about_redaction(text)) {
            // The agent wants to hide the token from the job's log and cannot reach the log. The
            // token does not get there: only this process reads the output.
            let args = [&args[..], &["--skip-redaction"]].concat();
            answer = helper::token(&self.host, AGENT, &args, &[TOKEN]).await;
        }
        match answer {
            Ok(token) => found(token, evidence),
            Err(helper::Failure::Missing) => broken(
                evidence,
                format!("{TOKEN} and {JOB} are not both set and the program `{AGENT}` is not here"),
                "if the step runs in a container, let the docker plugin set \
                 `propagate-environment: true` and `mount-buildkite-agent: true`",
            ),
            Err(helper::Failure::Failed(reason)) if is_about_redaction(&reason) => broken(
                evidence,
                reason,
                "pass BUILDKITE_AGENT_JOB_API_SOCKET and BUILDKITE_AGENT_JOB_API_TOKEN on to the \
                 container, or set \
                 BUILDKITE_AGENT_OIDC_REQUEST_TOKEN_SKIP_TOKEN_REDACTION=true",
            ),
            Err(helper::Failure::Failed(reason)) => broken(evidence, reason, ""),
        }
    }
}

fn is_about_redaction(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("redact") || text.contains("job api")
}

fn hint_for(failure: &Failure) -> &'static str {
    match failure.status {
        Some(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::UNAUTHORIZED) => {
            "check that the job still runs, and that BUILDKITE_JOB_ID and \
             BUILDKITE_AGENT_ACCESS_TOKEN are those of the same job"
        }
        _ => "",
    }
}

const TOKEN: &str = "BUILDKITE_AGENT_ACCESS_TOKEN";
const JOB: &str = "BUILDKITE_JOB_ID";
const ENDPOINT: &str = "BUILDKITE_AGENT_ENDPOINT";
const DEFAULT_ENDPOINT: &str = "https://agent.buildkite.com/v3";
const AGENT: &str = "buildkite-agent";
const DEFAULT_LIFE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use host::ProgramError;

    use super::*;
    use crate::testing::{FakeHost, broken_of, ended, found_of, jwt};

    const JOB_WITH_API: [(&str, &str); 4] = [
        ("BUILDKITE", "true"),
        (TOKEN, "agent-secret"),
        (JOB, "0190-a/b"),
        (ENDPOINT, "https://agent.example/v3/"),
    ];

    fn look(fake: &FakeHost, seconds: u64) -> Outcome {
        crate::testing::look_for(&Buildkite::new(fake.host()), "sigstore", seconds)
    }

    #[test]
    fn the_api_is_asked_for_the_job() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let fake =
            FakeHost::new(&JOB_WITH_API).answering(200, &format!(r#"{{"token":"{token}"}}"#));
        assert_eq!(found_of(look(&fake, 60)).token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(request.uri(), "https://agent.example/v3/jobs/0190-a%2Fb/oidc/tokens");
        assert_eq!(request.headers()[AUTHORIZATION], "Token agent-secret");
        assert_eq!(request.body(), r#"{"audience":"sigstore"}"#);
    }

    #[test]
    fn a_longer_life_is_asked_for_when_it_is_needed() {
        let fake =
            FakeHost::new(&JOB_WITH_API).answering(200, &format!(r#"{{"token":"{}"}}"#, jwt("{}")));
        found_of(look(&fake, 900));
        let body = String::from_utf8(fake.only_request().body().to_vec()).unwrap();
        assert!(body.contains(r#""lifetime":900"#), "{body}");
    }

    #[test]
    fn a_job_that_is_over_is_told_so() {
        let fake = FakeHost::new(&JOB_WITH_API).answering(404, r#"{"message":"Not found"}"#);
        let broken = broken_of(look(&fake, 60));
        assert_eq!(broken.reason, "agent.example answered 404 Not Found: `Not found`");
        assert!(broken.hint.unwrap().contains("still runs"));
    }

    #[test]
    fn without_the_api_the_agent_is_run_and_its_redaction_gone_round() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let text = token.clone();
        let fake = FakeHost::new(&[("BUILDKITE", "true")]).running(move |run| {
            assert_eq!(run.program.to_str(), Some("buildkite-agent"));
            assert_eq!(run.args[..4], ["oidc", "request-token", "--audience", "sigstore"]);
            match run.args.get(4).map(String::as_str) {
                None => Ok(ended(1, "", "failed to redact: no Job API socket")),
                Some("--skip-redaction") => Ok(ended(0, &format!("{text}\n"), "")),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(found_of(look(&fake, 60)).token.reveal(), token);
    }

    #[test]
    fn a_missing_agent_and_a_failing_one_are_told_apart() {
        let fake = FakeHost::new(&[("BUILDKITE", "true")])
            .running(|run| Err(ProgramError::NotFound { program: run.program }));
        assert!(broken_of(look(&fake, 60)).hint.unwrap().contains("mount-buildkite-agent"));
        let fake = FakeHost::new(&[("BUILDKITE", "true")])
            .running(|_| Ok(ended(1, "", "log\nfatal: 403 Forbidden\n")));
        let reason = broken_of(look(&fake, 60)).reason;
        assert_eq!(reason, "`buildkite-agent` ended with code 1: `log fatal: 403 Forbidden`");
    }

    #[test]
    fn outside_of_buildkite_there_is_nothing() {
        assert!(matches!(look(&FakeHost::new(&[("CI", "true")]), 60), Outcome::Absent(_)));
    }
}
