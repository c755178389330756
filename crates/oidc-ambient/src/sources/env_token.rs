//! A token in a variable, as cosign and others read it.

use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Env};
use id_token::{Audience, IdToken, Outcome, TokenSource};

use crate::outcome::{broken, here, not_here};

/// `SIGSTORE_ID_TOKEN`.
pub(crate) struct EnvToken {
    env: Arc<dyn Env>,
}

impl EnvToken {
    pub(crate) fn new(env: Arc<dyn Env>) -> Self {
        Self { env }
    }

    fn look(&self) -> Outcome {
        let Some(text) = self.env.var(VARIABLE) else {
            return not_here(format!("{VARIABLE} is not set"));
        };
        let evidence = format!("{VARIABLE} is set");
        match IdToken::parse(&text) {
            Ok(token) => here(token, evidence),
            Err(error) => broken(
                evidence,
                format!("{VARIABLE} holds no token: {error}"),
                format!(
                    "put the JWT itself into {VARIABLE}, or unset it; a path to a file with \
                         the token belongs into SIGSTORE_OIDC_TOKEN_FILE"
                ),
            ),
        }
    }
}

impl TokenSource for EnvToken {
    fn name(&self) -> &str {
        "envvar"
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::ready(self.look()))
    }
}

const VARIABLE: &str = "SIGSTORE_ID_TOKEN";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{broken_of, found_of, jwt};

    #[test]
    fn a_token_is_taken_with_white_space_around_it() {
        let text = format!("\n{} \n", jwt(r#"{"aud":"sigstore"}"#));
        let env = [(VARIABLE, text.as_str())].map(|(name, value)| (name.into(), value.into()));
        let env = std::collections::BTreeMap::from(env);
        let found = found_of(EnvToken::new(Arc::new(env)).look());
        assert_eq!(found.token.reveal(), text.trim());
    }

    #[test]
    fn an_unset_or_empty_variable_is_not_here() {
        for env in [[("CI", "true")], [(VARIABLE, "")]] {
            assert!(matches!(EnvToken::new(Arc::new(env)).look(), Outcome::Absent(_)));
        }
    }

    #[test]
    fn what_is_no_token_is_broken_and_not_shown() {
        let look = EnvToken::new(Arc::new([(VARIABLE, "hunter2")])).look();
        let broken = broken_of(look);
        assert!(broken.certain);
        assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
        assert!(broken.reason.contains("three parts"), "{}", broken.reason);
    }
}
