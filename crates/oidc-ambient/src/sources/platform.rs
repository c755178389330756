//! Platforms that only put a token into a variable or a file: a table.

use std::path::Path;
use std::time::Duration;

use host::{BoxFuture, Host};
use id_token::{Audience, Outcome, TokenSource};

use crate::check::wrong_audience;
use crate::files::{self, Problem};
use crate::outcome::{absent, broken, found, other_audience, parsed, soft};

/// One row of the table.
struct Platform {
    name: &'static str,
    /// The variable that tells the platform, and its value if only one will do.
    marker: (&'static str, Option<&'static str>),
    /// A variable that names a directory, and the token's file in it. It comes before `tokens`,
    /// because a file is renewed.
    file: Option<(&'static str, &'static str)>,
    /// Where the token is; the first that is set.
    tokens: &'static [&'static str],
    /// Whether every job can be configured to have a token for the audience asked for. Where the
    /// audience is the platform's choice, or the token comes from a plugin, the search goes on.
    is_certain: bool,
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
    file: None,
    tokens: &[],
    is_certain: false,
    hint: "let the pipeline obtain an OIDC token for the audience that is needed and put it into \
           SIGSTORE_ID_TOKEN",
};
static BITBUCKET: Platform = Platform {
    name: "bitbucket",
    marker: ("BITBUCKET_BUILD_NUMBER", None),
    file: None,
    tokens: &["BITBUCKET_STEP_OIDC_TOKEN"],
    is_certain: true,
    hint: "set `oidc: true` on the step, and in its `oidc` section the audience that is needed; \
           the public Fulcio does not know Bitbucket as an issuer, a private one can",
};
static SEMAPHORE: Platform = Platform {
    name: "semaphore",
    marker: ("SEMAPHORE", Some("true")),
    file: None,
    tokens: &["SEMAPHORE_OIDC_TOKEN"],
    is_certain: false,
    hint: "use a private Fulcio that expects the organisation's own URL as the audience \
           (Semaphore gives tokens for no other), or put another token into SIGSTORE_ID_TOKEN",
};
static TERRAFORM: Platform = Platform {
    name: "hcp-terraform",
    marker: ("TFC_RUN_ID", None),
    tokens: &["TFC_WORKLOAD_IDENTITY_TOKEN_SIGSTORE", "TFC_WORKLOAD_IDENTITY_TOKEN"],
    file: None,
    is_certain: true,
    hint: "set TFC_WORKLOAD_IDENTITY_AUDIENCE_SIGSTORE in the workspace to the audience that is \
           needed; the public Fulcio does not know HCP Terraform as an issuer, a private one can",
};
static VERCEL: Platform = Platform {
    name: "vercel",
    marker: ("VERCEL", Some("1")),
    file: None,
    tokens: &["VERCEL_OIDC_TOKEN"],
    is_certain: false,
    hint: "use a private Fulcio that expects the team's own URL as the audience (Vercel gives \
           tokens for no other), or put another token into SIGSTORE_ID_TOKEN",
};
static SPACELIFT: Platform = Platform {
    name: "spacelift",
    marker: ("SPACELIFT_OIDC_TOKEN", None),
    file: None,
    tokens: &["SPACELIFT_OIDC_TOKEN"],
    is_certain: false,
    hint: "use a private Fulcio that expects the account's own host as the audience (Spacelift \
           gives tokens for no other), or put another token into SIGSTORE_ID_TOKEN",
};
static NOMAD: Platform = Platform {
    name: "nomad",
    marker: ("NOMAD_ALLOC_ID", None),
    file: Some(("NOMAD_SECRETS_DIR", "nomad_sigstore.jwt")),
    tokens: &["NOMAD_TOKEN_sigstore"],
    is_certain: false,
    hint: "add to the task `identity { name = \"sigstore\", aud = [...], file = true }` with the \
           audience that is needed; the public Fulcio does not know the cluster as an issuer, a \
           private one can",
};
static JENKINS: Platform = Platform {
    name: "jenkins",
    marker: ("JENKINS_URL", None),
    file: None,
    tokens: &[],
    is_certain: false,
    hint: "create a credential `OpenID Connect id token` (plugin OpenID Connect Provider) with the \
           audience that is needed, and bind it: `withCredentials([string(credentialsId: ..., \
           variable: 'SIGSTORE_ID_TOKEN')])`",
};
static HARNESS: Platform = Platform {
    name: "harness",
    marker: ("HARNESS_BUILD_ID", None),
    file: None,
    tokens: &["PLUGIN_OIDC_TOKEN_ID"],
    is_certain: false,
    hint: "let a step obtain a token for the audience that is needed and put it into \
           SIGSTORE_ID_TOKEN; the public Fulcio does not know Harness as an issuer, a private one \
           can",
};
static TEAMCITY: Platform = Platform {
    name: "teamcity",
    marker: ("TEAMCITY_VERSION", None),
    file: None,
    tokens: &[],
    is_certain: false,
    hint: "let a plugin or a step obtain a token for the audience that is needed and pass it in \
           the parameter `env.SIGSTORE_ID_TOKEN`",
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

    /// `SPACELIFT_OIDC_TOKEN`.
    pub fn spacelift(host: Host) -> Self {
        Self { host, platform: &SPACELIFT }
    }

    /// The identity called `sigstore` of a Nomad task.
    pub fn nomad(host: Host) -> Self {
        Self { host, platform: &NOMAD }
    }

    /// Jenkins, whose credentials have names of their own.
    pub fn jenkins(host: Host) -> Self {
        Self { host, platform: &JENKINS }
    }

    /// `PLUGIN_OIDC_TOKEN_ID`.
    pub fn harness(host: Host) -> Self {
        Self { host, platform: &HARNESS }
    }

    /// TeamCity, which gives no token by itself.
    pub fn teamcity(host: Host) -> Self {
        Self { host, platform: &TEAMCITY }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let Platform { marker: (marker, value), tokens, is_certain, hint, .. } = self.platform;
        let env = self.host.env.as_ref();
        let variable = || tokens.iter().find_map(|name| Some(((*name).to_owned(), env.var(name)?)));
        let set = match self.file().await {
            Ok(file) => file.or_else(variable),
            Err((evidence, reason)) => return broken(evidence, reason, *hint),
        };
        let marked = env.var(marker).filter(|found| value.is_none_or(|only| only == found));
        let evidence = match (&marked, value) {
            (Some(_), Some(only)) => format!("{marker} is `{only}`"),
            (Some(_), None) => format!("{marker} is set"),
            (None, _) => match &set {
                Some((path, _)) if Path::new(path).is_absolute() => format!("{path} exists"),
                Some((name, _)) => format!("{name} is set"),
                None => return absent(format!("{marker} is not set")),
            },
        };
        let Some((name, text)) = set else {
            let reason = match tokens.first() {
                Some(name) => format!("this job has no identity token: {name} is not set"),
                None => "this platform gives no identity token by itself".to_owned(),
            };
            return match is_certain {
                true => broken(evidence, reason, *hint),
                false => soft(evidence, reason, *hint),
            };
        };
        let token = match parsed(&name, &text) {
            Ok(token) => token,
            Err(reason) => return broken(evidence, reason, *hint),
        };
        match wrong_audience(token.claims(), audience) {
            Some(reason) => other_audience(evidence, reason, *hint, *is_certain),
            None => found(token, evidence),
        }
    }

    /// The path and text of the token's file, if there is one; or what says that there is one, and
    /// why it cannot be read.
    async fn file(&self) -> Result<Option<(String, String)>, (String, String)> {
        let Some((directory, name)) = self.platform.file else { return Ok(None) };
        let Some(directory) = self.host.env.var(directory) else { return Ok(None) };
        let path = Path::new(&directory).join(name);
        match files::text(&self.host, &path).await {
            Ok(text) => Ok(Some((path.display().to_string(), text))),
            Err(Problem::Missing) => Ok(None),
            Err(Problem::Unusable(reason)) => Err((format!("{} exists", path.display()), reason)),
        }
    }
}

impl TokenSource for PlatformVariable {
    fn name(&self) -> &str {
        self.platform.name
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    fn look(platform: &'static Platform, variables: &[(&str, &str)]) -> Outcome {
        let host = FakeHost::new(variables).host();
        crate::testing::look(&PlatformVariable { host, platform }, "sigstore")
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
            (&SPACELIFT, ("CI", "true"), "SPACELIFT_OIDC_TOKEN"),
            (&NOMAD, ("NOMAD_ALLOC_ID", "a"), "NOMAD_TOKEN_sigstore"),
            (&HARNESS, ("HARNESS_BUILD_ID", "7"), "PLUGIN_OIDC_TOKEN_ID"),
        ] {
            let found = found_of(look(platform, &[marker, (variable, &token)]));
            assert_eq!(found.token.reveal(), token, "{}", platform.name);
        }
    }

    #[test]
    fn nomads_file_is_renewed_and_so_comes_before_its_variable() {
        let [old, new] =
            ["1", "2"].map(|jti| jwt(&format!(r#"{{"aud":"sigstore","jti":"{jti}"}}"#)));
        let task = [
            ("NOMAD_ALLOC_ID", "a"),
            ("NOMAD_SECRETS_DIR", "/secrets"),
            ("NOMAD_TOKEN_sigstore", &old),
        ];
        let look = |fake: &FakeHost| {
            crate::testing::look(&PlatformVariable::nomad(fake.host()), "sigstore")
        };
        let fake = FakeHost::new(&task);
        assert_eq!(found_of(look(&fake)).token.reveal(), old);
        let fake = fake.with_file("/secrets/nomad_sigstore.jwt", &new);
        assert_eq!(found_of(look(&fake)).token.reveal(), new);
        let fake = FakeHost::new(&task).with_file("/secrets/nomad_sigstore.jwt", "hunter2");
        let broken = broken_of(look(&fake));
        assert!(broken.reason.starts_with("/secrets/nomad_sigstore.jwt does not hold"));
        assert!(!format!("{broken:?}").contains("hunter2"), "{broken:?}");
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
            (&NOMAD, ("NOMAD_ALLOC_ID", "a")),
            (&JENKINS, ("JENKINS_URL", "https://ci.example/")),
            (&HARNESS, ("HARNESS_BUILD_ID", "7")),
            (&TEAMCITY, ("TEAMCITY_VERSION", "2026.1")),
        ] {
            assert!(!broken_of(look(platform, &[marker])).certain, "{}", platform.name);
        }
        for platform in [
            &BUDDY, &BITBUCKET, &SEMAPHORE, &TERRAFORM, &VERCEL, &SPACELIFT, &NOMAD, &JENKINS,
            &HARNESS, &TEAMCITY,
        ] {
            let outcome = look(platform, &[("CI", "true"), ("VERCEL", "0")]);
            assert!(matches!(outcome, Outcome::Absent(_)), "{}", platform.name);
        }
    }
}
