//! A token in a variable, as cosign and others read it.

use std::time::Duration;

use host::Host;
use id_token::{Audience, Outcome};

use crate::outcome::{absent, broken, found, parsed};

/// `SIGSTORE_ID_TOKEN`.
pub struct EnvToken {
    host: Host,
}

token_source!(EnvToken, "envvar");

impl EnvToken {
    async fn look(&self, _: &Audience, _: Duration) -> Outcome {
        let Some(text) = self.host.env.var(VARIABLE) else {
            return absent(format!("{VARIABLE} is not set"));
        };
        let evidence = format!("{VARIABLE} is set");
        match parsed(VARIABLE, &text) {
            Ok(token) => found(token, evidence),
            Err(reason) => broken(
                evidence,
                reason,
                format!(
                    "put the JWT itself into {VARIABLE}, or unset it; the path of a file with \
                     the token belongs into SIGSTORE_OIDC_TOKEN_FILE"
                ),
            ),
        }
    }
}

const VARIABLE: &str = "SIGSTORE_ID_TOKEN";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    fn look(variable: &str, value: &str) -> Outcome {
        let fake = FakeHost::new(&[(variable, value)]);
        crate::testing::look(&EnvToken::new(fake.host()), "sigstore")
    }

    #[test]
    fn a_token_is_taken_with_white_space_around_it() {
        let text = format!("\n{} \n", jwt(r#"{"aud":"sigstore"}"#));
        assert_eq!(found_of(look(VARIABLE, &text)).token.reveal(), text.trim());
    }

    #[test]
    fn an_unset_or_empty_variable_is_absent() {
        assert!(matches!(look("CI", "true"), Outcome::Absent(_)));
        assert!(matches!(look(VARIABLE, ""), Outcome::Absent(_)));
    }

    #[test]
    fn another_text_is_broken_and_not_shown() {
        let broken = broken_of(look(VARIABLE, "hunter2"));
        assert!(broken.certain);
        assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
        assert!(broken.reason.contains("three parts"), "{}", broken.reason);
    }
}
