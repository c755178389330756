//! Platforms that put a token into a variable and have nothing else to say: a table.

use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Env};
use id_token::{Audience, IdToken, Outcome, TokenSource};

use crate::outcome::{broken, here, not_here};

/// One row of the table.
pub(crate) struct Platform {
    name: &'static str,
    /// The variable that tells the platform, and its value if only one will do.
    marker: (&'static str, Option<&'static str>),
    /// Where the token is; the first that is set.
    tokens: &'static [&'static str],
    /// The mend when there is no token, or when it is for another audience.
    hint: &'static str,
}

/// A row, with the environment to read.
pub(crate) struct PlatformToken {
    env: Arc<dyn Env>,
    platform: &'static Platform,
}

/// The rows, in order.
pub(crate) static BUDDY: Platform = Platform {
    name: "buddy",
    marker: ("BUDDY", Some("true")),
    tokens: &[],
    hint: "let the pipeline obtain an OIDC token for the audience that is needed and put it into \
           SIGSTORE_ID_TOKEN",
};

pub(crate) static BITBUCKET: Platform = Platform {
    name: "bitbucket",
    marker: ("BITBUCKET_BUILD_NUMBER", None),
    tokens: &["BITBUCKET_STEP_OIDC_TOKEN"],
    hint: "set `oidc: true` on the step, and in its `oidc` section the audience that is needed; \
           the public Fulcio does not know Bitbucket as an issuer, a private one can",
};

pub(crate) static SEMAPHORE: Platform = Platform {
    name: "semaphore",
    marker: ("SEMAPHORE", Some("true")),
    tokens: &["SEMAPHORE_OIDC_TOKEN"],
    hint: "Semaphore's tokens are always for the organisation's own URL, which the public Fulcio \
           does not take: use a private Fulcio that expects that audience, or put another token \
           into SIGSTORE_ID_TOKEN",
};

pub(crate) static TERRAFORM: Platform = Platform {
    name: "hcp-terraform",
    marker: ("TFC_RUN_ID", None),
    tokens: &["TFC_WORKLOAD_IDENTITY_TOKEN_SIGSTORE", "TFC_WORKLOAD_IDENTITY_TOKEN"],
    hint: "set TFC_WORKLOAD_IDENTITY_AUDIENCE_SIGSTORE in the workspace to the audience that is \
           needed; the public Fulcio does not know HCP Terraform as an issuer, a private one can",
};

pub(crate) static VERCEL: Platform = Platform {
    name: "vercel",
    marker: ("VERCEL", Some("1")),
    tokens: &["VERCEL_OIDC_TOKEN"],
    hint: "Vercel's tokens are always for the team's own URL, which the public Fulcio does not \
           take: use a private Fulcio that expects that audience, or put another token into \
           SIGSTORE_ID_TOKEN",
};

impl PlatformToken {
    pub(crate) fn new(env: Arc<dyn Env>, platform: &'static Platform) -> Self {
        Self { env, platform }
    }

    fn look(&self, audience: &Audience) -> Outcome {
        let Platform { marker: (marker, value), tokens, hint, .. } = self.platform;
        let found = tokens.iter().find_map(|name| Some((*name, self.env.var(name)?)));
        let marked = self.env.var(marker).filter(|found| value.is_none_or(|only| only == found));
        let evidence = match (&marked, value) {
            (Some(_), Some(only)) => format!("{marker} is `{only}`"),
            (Some(_), None) => format!("{marker} is set"),
            (None, _) => match &found {
                Some((name, _)) => format!("{name} is set"),
                None => return not_here(format!("{marker} is not set")),
            },
        };
        let Some((name, text)) = found else {
            let missing = match tokens.first() {
                Some(name) => format!("no identity token is here: {name} is not set"),
                None => "this platform hands out no identity token by itself".to_owned(),
            };
            return broken(evidence, missing, *hint);
        };
        let token = match IdToken::parse(&text) {
            Ok(token) => token,
            Err(error) => {
                return broken(evidence, format!("{name} holds no token: {error}"), *hint);
            }
        };
        match crate::check::wrong_audience(token.claims(), audience) {
            Some(reason) => broken(evidence, reason, *hint),
            None => here(token, evidence),
        }
    }
}

impl TokenSource for PlatformToken {
    fn name(&self) -> &str {
        self.platform.name
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::ready(self.look(audience)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{World, broken_of, found_of, jwt};

    fn look(platform: &'static Platform, variables: &[(&str, &str)]) -> Outcome {
        let env = World::new(variables).host().env;
        PlatformToken::new(env, platform).look(&Audience::sigstore())
    }

    #[test]
    fn a_token_for_the_right_audience_is_taken() {
        let token = jwt(r#"{"aud":["sigstore"]}"#);
        for (platform, marker, variable) in [
            (&BITBUCKET, ("BITBUCKET_BUILD_NUMBER", "7"), "BITBUCKET_STEP_OIDC_TOKEN"),
            (&TERRAFORM, ("TFC_RUN_ID", "r"), "TFC_WORKLOAD_IDENTITY_TOKEN"),
            (&TERRAFORM, ("X", "y"), "TFC_WORKLOAD_IDENTITY_TOKEN_SIGSTORE"),
            (&SEMAPHORE, ("SEMAPHORE", "true"), "SEMAPHORE_OIDC_TOKEN"),
            (&VERCEL, ("VERCEL", "1"), "VERCEL_OIDC_TOKEN"),
        ] {
            let found = found_of(look(platform, &[marker, (variable, &token)]));
            assert_eq!(found.token.reveal(), token, "{}", platform.name);
        }
    }

    #[test]
    fn a_fixed_audience_is_named_with_what_would_do() {
        let token = jwt(r#"{"aud":"https://vercel.com/team"}"#);
        let broken = broken_of(look(&VERCEL, &[("VERCEL", "1"), ("VERCEL_OIDC_TOKEN", &token)]));
        assert!(broken.reason.contains("found `https://vercel.com/team`"), "{}", broken.reason);
        assert!(broken.hint.unwrap().contains("private Fulcio"));
    }

    #[test]
    fn a_job_without_its_token_is_broken_and_another_machine_absent() {
        let broken = broken_of(look(&BITBUCKET, &[("BITBUCKET_BUILD_NUMBER", "7")]));
        assert!(broken.hint.unwrap().contains("`oidc: true`"));
        assert!(broken_of(look(&BUDDY, &[("BUDDY", "true")])).certain);
        for platform in [&BUDDY, &BITBUCKET, &SEMAPHORE, &TERRAFORM, &VERCEL] {
            let outcome = look(platform, &[("CI", "true"), ("VERCEL", "0")]);
            assert!(matches!(outcome, Outcome::Absent(_)), "{}", platform.name);
        }
    }
}
