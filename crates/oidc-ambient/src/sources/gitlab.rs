//! GitLab CI: the token is a variable that the job declares.

use std::time::Duration;

use host::Host;
use id_token::{Audience, Outcome};

use crate::outcome::{absent, broken, found, other_audience, parsed};

/// The variable that `id_tokens:` of the job defines.
pub struct GitLab {
    host: Host,
}

token_source!(GitLab, "gitlab");

impl GitLab {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        if self.host.env.var("GITLAB_CI").as_deref() != Some("true") {
            return absent("GITLAB_CI is not `true`");
        }
        let variable = variable_for(audience);
        let Some(text) = self.host.env.var(&variable) else {
            return other_audience(
                "GITLAB_CI is `true`",
                format!("this job declares no identity token: {variable} is not set"),
                format!(
                    "add to the job in .gitlab-ci.yml:\n  id_tokens:\n    {variable}:\n      aud: \
                     {audience}"
                ),
                true,
            );
        };
        let evidence = format!("GITLAB_CI is `true` and {variable} is set");
        match parsed(&variable, &text) {
            Ok(token) => found(token, evidence),
            Err(reason) => broken(
                evidence,
                reason,
                format!("declare {variable} under `id_tokens:` and not under `variables:`"),
            ),
        }
    }
}

/// `<AUDIENCE>_ID_TOKEN`: capitals, and `_` for what the name of a variable may not hold.
fn variable_for(audience: &Audience) -> String {
    let mut name = String::new();
    for character in audience.as_str().chars() {
        let upper = character.to_ascii_uppercase();
        let fits = upper.is_ascii_uppercase() || upper.is_ascii_digit() && !name.is_empty();
        name.push(if fits { upper } else { '_' });
    }
    name + "_ID_TOKEN"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    fn look(variables: &[(&str, &str)]) -> Outcome {
        crate::testing::look(&GitLab::new(FakeHost::new(variables).host()), "sigstore")
    }

    #[test]
    fn the_variable_is_named_after_the_audience() {
        let name = |audience: &str| variable_for(&Audience::new(audience).unwrap());
        assert_eq!(name("sigstore"), "SIGSTORE_ID_TOKEN");
        assert_eq!(name("http://test.audience"), "HTTP___TEST_AUDIENCE_ID_TOKEN");
        assert_eq!(name("1abc2"), "_ABC2_ID_TOKEN");
    }

    #[test]
    fn a_declared_token_is_found() {
        let token = jwt(r#"{"aud":"sigstore"}"#);
        let found = found_of(look(&[("GITLAB_CI", "true"), ("SIGSTORE_ID_TOKEN", &token)]));
        assert_eq!(found.token.reveal(), token);
    }

    #[test]
    fn a_job_without_a_declared_token_is_shown_the_yaml() {
        let broken = broken_of(look(&[("GITLAB_CI", "true")]));
        assert!(broken.certain);
        let hint = broken.hint.unwrap();
        assert!(hint.contains("id_tokens:\n    SIGSTORE_ID_TOKEN:\n      aud: sigstore"), "{hint}");
    }

    #[test]
    fn outside_of_gitlab_there_is_nothing() {
        assert!(matches!(look(&[("GITLAB_CI", "1")]), Outcome::Absent(_)));
    }
}
