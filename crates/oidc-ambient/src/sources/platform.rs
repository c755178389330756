//! Platforms that only put a token into a variable: a table.

use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Audience, Outcome, TokenSource};

use crate::check::wrong_audience;
use crate::outcome::{absent, broken, found, other_audience, parsed, soft};

/// One row of the table.
struct Platform {
    name: &'static str,
    /// The variable that tells the platform, and its value if only one will do.
    marker: (&'static str, Option<&'static str>),
    /// Where the token is; the first that is set.
    tokens: &'static [&'static str],
    /// Whether the audience is the platform's choice, so that a token for another one can never
    /// be had here.
    fixed_audience: bool,
    /// What to do when there is no token, or when it is for another audience.
    hint: &'static str,
}

/// The variable of one platform.
pub struct PlatformVariable {
    host: Host,
    platform: &'static Platform,
}

static BUDDY: Platform = Platform {
    name: "buddy",
    marker: ("BUDDY", Some("true")),
    tokens: &[],
    fixed_audience: true,
    hint: "let the pipeline obtain an OIDC token for the audience that is needed and put it into \
           SIGSTORE_ID_TOKEN",
};
static BITBUCKET: Platform = Platform {
    name: "bitbucket",
    marker: ("BITBUCKET_BUILD_NUMBER", None),
    tokens: &["BITBUCKET_STEP_OIDC_TOKEN"],
    fixed_audience: false,
    hint: "set `oidc: true` on the step, and in its `oidc` section the audience that is needed; \
           the public Fulcio does not know Bitbucket as an issuer, a private one can",
};
static SEMAPHORE: Platform = Platform {
    name: "semaphore",
    marker: ("SEMAPHORE", Some("true")),
    tokens: &["SEMAPHORE_OIDC_TOKEN"],
    fixed_audience: true,
    hint: "use a private Fulcio that expects the organisation's own URL as the audience \
           (Semaphore gives tokens for no other), or put another token into SIGSTORE_ID_TOKEN",
};
static TERRAFORM: Platform = Platform {
    name: "hcp-terraform",
    marker: ("TFC_RUN_ID", None),
    tokens: &["TFC_WORKLOAD_IDENTITY_TOKEN_SIGSTORE", "TFC_WORKLOAD_IDENTITY_TOKEN"],
    fixed_audience: false,
    hint: "set TFC_WORKLOAD_IDENTITY_AUDIENCE_SIGSTORE in the workspace to the audience that is \
           needed; the public Fulcio does not know HCP Terraform as an issuer, a private one can",
};
static VERCEL: Platform = Platform {
    name: "vercel",
    marker: ("VERCEL", Some("1")),
    tokens: &["VERCEL_OIDC_TOKEN"],
    fixed_audience: true,
    hint: "use a private Fulcio that expects the team's own URL as the audience (Vercel gives \
           tokens for no other), or put another token into SIGSTORE_ID_TOKEN",
};

impl PlatformVariable {
    /// Buddy, which gives no token by itself.
    pub fn buddy(host: Host) -> Self {
        Self { host, platform: &BUDDY }
    }

    /// `BITBUCKET_STEP_OIDC_TOKEN`.
    pub fn bitbucket(host: Host) -> Self {
        Self { host, platform: &BITBUCKET }
    }

    /// `SEMAPHORE_OIDC_TOKEN`.
    pub fn semaphore(host: Host) -> Self {
        Self { host, platform: &SEMAPHORE }
    }

    /// `TFC_WORKLOAD_IDENTITY_TOKEN_SIGSTORE` or `TFC_WORKLOAD_IDENTITY_TOKEN`.
    pub fn hcp_terraform(host: Host) -> Self {
        Self { host, platform: &TERRAFORM }
    }

    /// `VERCEL_OIDC_TOKEN`.
    pub fn vercel(host: Host) -> Self {
        Self { host, platform: &VERCEL }
    }

    fn look(&self, audience: &Audience) -> Outcome {
        let env = self.host.env.as_ref();
        let Platform { marker: (marker, value), tokens, fixed_audience, hint, .. } = self.platform;
        let set = tokens.iter().find_map(|name| Some((*name, env.var(name)?)));
        let marked = env.var(marker).filter(|found| value.is_none_or(|only| only == found));
        let evidence = match (&marked, value) {
            (Some(_), Some(only)) => format!("{marker} is `{only}`"),
            (Some(_), None) => format!("{marker} is set"),
            (None, _) => match &set {
                Some((name, _)) => format!("{name} is set"),
                None => return absent(format!("{marker} is not set")),
            },
        };
        let Some((name, text)) = set else {
            let reason = match tokens.first() {
                Some(name) => format!("this job has no identity token: {name} is not set"),
                None => "this platform gives no identity token by itself".to_owned(),
            };
            return if *fixed_audience {
                soft(evidence, reason, *hint)
            } else {
                broken(evidence, reason, *hint)
            };
        };
        let token = match parsed(name, &text) {
            Ok(token) => token,
            Err(reason) => return broken(evidence, reason, *hint),
        };
        match wrong_audience(token.claims(), audience) {
            Some(reason) => other_audience(evidence, reason, *hint, !*fixed_audience),
            None => found(token, evidence),
        }
    }
}

impl TokenSource for PlatformVariable {
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
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    fn look(platform: &'static Platform, variables: &[(&str, &str)]) -> Outcome {
        let host = FakeHost::new(variables).host();
        PlatformVariable { host, platform }.look(&Audience::sigstore())
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
    fn a_fixed_audience_is_reported_with_what_would_do_and_does_not_end_the_search() {
        let token = jwt(r#"{"aud":"https://vercel.com/team"}"#);
        let broken = broken_of(look(&VERCEL, &[("VERCEL", "1"), ("VERCEL_OIDC_TOKEN", &token)]));
        assert!(!broken.certain);
        assert!(broken.reason.contains("found `https://vercel.com/team`"), "{}", broken.reason);
        assert!(broken.hint.unwrap().contains("private Fulcio"));
    }

    #[test]
    fn a_job_without_its_token_is_broken_and_another_machine_absent() {
        let broken = broken_of(look(&BITBUCKET, &[("BITBUCKET_BUILD_NUMBER", "7")]));
        assert!(broken.hint.as_deref().unwrap().contains("`oidc: true`"));
        assert!(broken.certain);
        for (platform, marker) in [
            (&BUDDY, ("BUDDY", "true")),
            (&SEMAPHORE, ("SEMAPHORE", "true")),
            (&VERCEL, ("VERCEL", "1")),
        ] {
            assert!(!broken_of(look(platform, &[marker])).certain, "{}", platform.name);
        }
        for platform in [&BUDDY, &BITBUCKET, &SEMAPHORE, &TERRAFORM, &VERCEL] {
            let outcome = look(platform, &[("CI", "true"), ("VERCEL", "0")]);
            assert!(matches!(outcome, Outcome::Absent(_)), "{}", platform.name);
        }
    }
}
