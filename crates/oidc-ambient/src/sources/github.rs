//! GitHub Actions, and Forgejo and Gitea, which use the same protocol.

use std::time::Duration;

use host::Host;
use http::StatusCode;
use id_token::{Audience, IdToken, Outcome};
use url::Url;

use crate::fetch::{self, Call, Failure};
use crate::outcome::{absent, answered, broken};

/// The token endpoint that a job with the permission is given.
pub struct GitHubActions {
    host: Host,
}

token_source!(GitHubActions, "github-actions");

impl GitHubActions {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        let var = |name| self.host.env.var(name);
        let (url, secret) = match (var(URL), var(TOKEN)) {
            (Some(url), Some(secret)) => (url, secret),
            (url, secret) => return self.without_permission(url.is_some(), secret.is_some()),
        };
        answered(self.fetch(&url, &secret, audience).await, format!("{URL} is set"), hint_for)
    }

    /// No request is sent: the two variables are set exactly when the job may have a token.
    fn without_permission(&self, has_url: bool, has_token: bool) -> Outcome {
        let is_true = |name| self.host.env.var(name).as_deref() == Some("true");
        let forgejo = is_true("FORGEJO_ACTIONS") || is_true("GITEA_ACTIONS");
        let evidence = if is_true("GITHUB_ACTIONS") {
            "GITHUB_ACTIONS is `true`".to_owned()
        } else if forgejo {
            "FORGEJO_ACTIONS or GITEA_ACTIONS is `true`".to_owned()
        } else if has_url || has_token {
            format!("{} is set", if has_url { URL } else { TOKEN })
        } else {
            return absent(format!("GITHUB_ACTIONS is not `true` and {URL} is not set"));
        };
        let missing = match (has_url, has_token) {
            (true, _) => format!("{TOKEN} is not set"),
            (_, true) => format!("{URL} is not set"),
            _ => format!("{URL} and {TOKEN} are not set"),
        };
        if forgejo {
            return broken(
                evidence,
                format!("this job has no permission for an identity token: {missing}"),
                "add `enable-openid-connect: true` to the job; if a step runs in a container or \
                 under sudo, pass the two variables on to it",
            );
        }
        broken(
            evidence,
            format!("this job lacks the permission `id-token: write`: {missing}"),
            "add `permissions: {id-token: write}` to the job or the workflow, beside the others \
             it needs (`contents: read`, `packages: write`), because naming one permission \
             removes the defaults; a called workflow needs it from its caller too; pull requests \
             from forks never get it; if a step runs in a container or under sudo, pass the two \
             variables on to it",
        )
    }

    async fn fetch(
        &self,
        url: &str,
        secret: &str,
        audience: &Audience,
    ) -> Result<IdToken, Failure> {
        let url = with_audience(fetch::endpoint(URL, url)?, audience);
        Call::get(url).bearer(TOKEN, secret)?.token(&self.host, "/value").await
    }
}

/// The URL has a query already, of which only the audience is ours to set.
fn with_audience(mut url: Url, audience: &Audience) -> Url {
    if url.query_pairs().any(|(name, _)| name == "audience") {
        let others: Vec<(String, String)> = url
            .query_pairs()
            .filter(|(name, _)| name != "audience")
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        url.query_pairs_mut().clear().extend_pairs(others);
    }
    url.query_pairs_mut().append_pair("audience", audience.as_str());
    url
}

fn hint_for(failure: &Failure) -> &'static str {
    match failure.status {
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            "use the two ACTIONS_ID_TOKEN_REQUEST variables only in the job that they were set \
             for, while it runs"
        }
        Some(status) if status.is_server_error() || status.is_success() => {
            "run the job again: the token service has a problem of its own"
        }
        Some(_) => "",
        None => {
            "check that this job can reach the host of ACTIONS_ID_TOKEN_REQUEST_URL; behind a \
             proxy set HTTPS_PROXY, or NO_PROXY if it must not be used"
        }
    }
}

const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

#[cfg(test)]
mod tests {
    use http::header::AUTHORIZATION;

    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    const JOB: [(&str, &str); 3] = [
        ("GITHUB_ACTIONS", "true"),
        (URL, "https://run.example/idtoken/1?api-version=2.0"),
        (TOKEN, "request-secret"),
    ];

    fn look(fake: &FakeHost, audience: &str) -> Outcome {
        crate::testing::look(&GitHubActions::new(fake.host()), audience)
    }

    #[test]
    fn a_job_with_permission_gets_its_token() {
        let token = jwt(r#"{"aud":"sigstore","sub":"repo:o/r:ref:refs/heads/main"}"#);
        let body = format!(r#"{{"count":1,"value":"{token}"}}"#);
        let fake = FakeHost::new(&JOB).answering(200, &body);
        let found = found_of(look(&fake, "sigstore"));
        assert_eq!(found.token.reveal(), token);
        let request = fake.only_request();
        assert_eq!(
            request.uri(),
            "https://run.example/idtoken/1?api-version=2.0&audience=sigstore"
        );
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer request-secret");
        assert!(request.headers()[AUTHORIZATION].is_sensitive());
        let policy = request.extensions().get::<host::CallPolicy>().unwrap();
        assert_eq!(policy.redirects, host::Redirects::SameOrigin);
        assert_eq!(policy.body_cap, 64 << 10);
    }

    #[test]
    fn an_audience_cannot_break_out_of_the_query() {
        let url = |from, audience| {
            let url = Url::parse(from).unwrap();
            with_audience(url, &Audience::new(audience).unwrap()).to_string()
        };
        assert_eq!(
            url("https://h/t?placeholder=true", "a b&c=d#e"),
            "https://h/t?placeholder=true&audience=a+b%26c%3Dd%23e"
        );
        assert_eq!(url("https://h/t", "https://x/y"), "https://h/t?audience=https%3A%2F%2Fx%2Fy");
        assert_eq!(url("https://h/t?audience=old&x=1", "new"), "https://h/t?x=1&audience=new");
    }

    #[test]
    fn a_job_without_permission_is_told_so_and_nothing_is_sent() {
        let fake = FakeHost::new(&[("GITHUB_ACTIONS", "true")]);
        let broken = broken_of(look(&fake, "sigstore"));
        assert!(broken.certain);
        assert!(broken.reason.contains("`id-token: write`"), "{}", broken.reason);
        let hint = broken.hint.unwrap();
        for part in ["permissions", "caller", "forks", "container"] {
            assert!(hint.contains(part), "{hint}");
        }
        assert_eq!(fake.requests(), 0);
    }

    #[test]
    fn half_of_the_variables_is_a_broken_job_even_without_its_marker() {
        let fake = FakeHost::new(&[(URL, "https://run.example/")]);
        let broken = broken_of(look(&fake, "sigstore"));
        assert!(broken.reason.contains(&format!("{TOKEN} is not set")), "{}", broken.reason);
    }

    #[test]
    fn forgejo_gets_a_fix_of_its_own() {
        let fake = FakeHost::new(&[("GITHUB_ACTIONS", "true"), ("FORGEJO_ACTIONS", "true")]);
        let hint = broken_of(look(&fake, "sigstore")).hint.unwrap();
        assert!(hint.contains("enable-openid-connect"), "{hint}");
    }

    #[test]
    fn outside_of_a_job_there_is_nothing() {
        let fake = FakeHost::new(&[("CI", "true")]);
        assert!(matches!(look(&fake, "sigstore"), Outcome::Absent(_)));
    }

    #[test]
    fn a_refusal_shows_status_and_message_and_no_secret() {
        let body = r#"{"message":"Resource not accessible"}"#;
        let fake = FakeHost::new(&JOB).answering(403, body);
        let broken = broken_of(look(&fake, "sigstore"));
        assert_eq!(broken.reason, "run.example answered 403 Forbidden: `Resource not accessible`");
        assert!(!format!("{broken:?}").contains("request-secret"));
        assert_eq!(fake.requests(), 1);
    }

    #[test]
    fn an_answer_that_is_not_json_is_tried_again_and_not_shown() {
        let fake = FakeHost::new(&JOB)
            .answering(200, "upstream connect error")
            .answering(200, &format!(r#"{{"value":"{}"}}"#, jwt("{}")));
        found_of(look(&fake, "sigstore"));
        assert_eq!(fake.requests(), 2);
        let fake = FakeHost::new(&JOB).answering(200, "upstream connect error");
        let broken = broken_of(look(&fake, "sigstore"));
        assert_eq!(broken.reason, "expected JSON, found text of 22 bytes");
        assert_eq!(fake.requests(), 3);
    }

    #[test]
    fn an_answer_without_a_token_says_what_it_has_instead() {
        let fake = FakeHost::new(&JOB).answering(200, r#"{"count":0,"secret":"hunter2"}"#);
        let reason = broken_of(look(&fake, "sigstore")).reason;
        assert_eq!(
            reason,
            "expected a JSON object with the string `value`, found an object with `count`, `secret`"
        );
        let fake = FakeHost::new(&JOB).answering(200, r#"{"value":"hunter2"}"#);
        let reason = broken_of(look(&fake, "sigstore")).reason;
        assert!(
            reason.contains("not an identity token") && !reason.contains("hunter2"),
            "{reason}"
        );
    }

    #[test]
    fn a_redirect_elsewhere_is_reported_and_not_followed() {
        let fake = FakeHost::new(&JOB).redirecting(302, "https://evil.example/x?t=1");
        let reason = broken_of(look(&fake, "sigstore")).reason;
        assert!(reason.contains("302") && reason.contains("`https://evil.example/x`"), "{reason}");
        assert_eq!(fake.requests(), 1);
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_showing_it() {
        let env = [(URL, "run.example/secret"), (TOKEN, "x")];
        let fake = FakeHost::new(&env);
        let reason = broken_of(look(&fake, "sigstore")).reason;
        assert_eq!(reason, format!("{URL} is not an http or https URL"));
        let env = [(URL, "https://run.example/"), (TOKEN, "a\nb")];
        let reason = broken_of(look(&FakeHost::new(&env), "sigstore")).reason;
        assert!(reason.contains("no header may hold"), "{reason}");
    }

    #[test]
    fn an_unreachable_endpoint_is_certain_and_says_why() {
        let fake = FakeHost::new(&JOB).unreachable();
        let broken = broken_of(look(&fake, "sigstore"));
        assert!(broken.certain);
        assert!(broken.reason.contains("could not connect"), "{}", broken.reason);
    }
}
