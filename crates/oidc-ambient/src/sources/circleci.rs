//! CircleCI: a program that exists only inside of jobs.

use std::time::Duration;

use host::Host;
use id_token::{Audience, Outcome};
use serde_json::json;

use crate::helper::{self, Failure};
use crate::outcome::{absent, broken, found};

/// `circleci run oidc get`. The variables `CIRCLE_OIDC_TOKEN` and `CIRCLE_OIDC_TOKEN_V2` are not
/// used: their audience is the organisation.
pub struct CircleCi {
    host: Host,
}

token_source!(CircleCi, "circleci");

impl CircleCi {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        if self.host.env.var("CIRCLECI").as_deref() != Some("true") {
            return absent("CIRCLECI is not `true`");
        }
        let evidence = "CIRCLECI is `true`";
        let claims = json!({ "aud": audience.as_str() }).to_string();
        let args = ["run", "oidc", "get", "--root-issuer", "--claims", &claims];
        match helper::token(&self.host, PROGRAM, &args, NEEDED).await {
            Ok(token) => found(token, evidence),
            Err(Failure::Missing) => broken(
                evidence,
                "the program `circleci` is not here",
                "run this step in the job itself, where CircleCI provides the program, or mount \
                 it into the container",
            ),
            Err(Failure::Failed(reason)) if reason.contains("unknown command") => broken(
                evidence,
                reason,
                "take a newer image: this `circleci` is too old for `circleci run oidc get`",
            ),
            Err(Failure::Failed(reason)) => broken(
                evidence,
                reason,
                "for a build of a forked pull request, let the project pass secrets to builds \
                 from forked pull requests: only then do they get a token",
            ),
        }
    }
}

const PROGRAM: &str = "circleci";
/// The program may read the job's own tokens to give us another.
const NEEDED: &[&str] = &["CIRCLE_OIDC_TOKEN", "CIRCLE_OIDC_TOKEN_V2"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, ended, found_of, jwt};

    fn look(fake: &FakeHost) -> Outcome {
        crate::testing::look(&CircleCi::new(fake.host()), r#"a"b"#)
    }

    #[test]
    fn the_program_is_asked_for_the_audience() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let text = token.clone();
        let fake = FakeHost::new(&[("CIRCLECI", "true")]).running(move |run| {
            let expected = ["run", "oidc", "get", "--root-issuer", "--claims", r#"{"aud":"a\"b"}"#];
            assert_eq!(run.args, expected);
            Ok(ended(0, &text, ""))
        });
        assert_eq!(found_of(look(&fake)).token.reveal(), token);
    }

    #[test]
    fn each_failure_has_a_fix_of_its_own() {
        let hint = |code, stderr: &'static str| {
            let fake = FakeHost::new(&[("CIRCLECI", "true")])
                .running(move |_| Ok(ended(code, "", stderr)));
            broken_of(look(&fake)).hint.unwrap()
        };
        assert!(hint(1, "Error: unknown command \"oidc\"").contains("too old"));
        assert!(hint(1, "no token").contains("forked"));
        let missing = FakeHost::new(&[("CIRCLECI", "true")]);
        assert!(broken_of(look(&missing)).reason.contains("not here"));
    }

    #[test]
    fn outside_of_circleci_there_is_nothing() {
        assert!(matches!(look(&FakeHost::new(&[("CI", "true")])), Outcome::Absent(_)));
    }
}
