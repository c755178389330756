//! Chainguard: the token that its program `chainctl` has fetched.

use std::path::PathBuf;
use std::time::Duration;

use host::{Env, Host};
use id_token::{Audience, Outcome};

use crate::files::{self, Problem};
use crate::outcome::{absent, found, soft};

/// The program's cache. The program itself is not run: it may open a browser.
pub struct Chainguard {
    host: Host,
}

token_source!(Chainguard, "chainguard");

impl Chainguard {
    async fn look(&self, audience: &Audience, _: Duration) -> Outcome {
        let Some(cache) = cache_directory(self.host.env.as_ref()) else {
            return absent("there is no directory for caches: HOME is not set");
        };
        let path = cache.join("chainguard").join(directory(audience)).join("oidc-token");
        let evidence = format!("{} exists", path.display());
        let hint = format!("run `chainctl auth login --audience {audience}`");
        let token = match files::token(&self.host, &path).await {
            Ok(token) => token,
            Err(Problem::Missing) => return absent(format!("{} does not exist", path.display())),
            Err(Problem::Unusable(reason)) => return soft(evidence, reason, hint),
        };
        let now = self.host.clock.now();
        if token.claims().expires_at().is_some_and(|end| end <= now) {
            return soft(evidence, "the token that is kept there has expired", hint);
        }
        found(token, evidence)
    }
}

/// Where a person's programs keep what they can fetch again.
fn cache_directory(env: &dyn Env) -> Option<PathBuf> {
    let home = |rest: &str| env.path("HOME").map(|home| home.join(rest));
    if cfg!(windows) {
        return env.path("LOCALAPPDATA");
    }
    if cfg!(target_os = "macos") {
        return home("Library/Caches");
    }
    env.path("XDG_CACHE_HOME").or_else(|| home(".cache"))
}

/// One directory, whatever the audience.
fn directory(audience: &Audience) -> String {
    let name = audience.as_str().replace(['/', '\\'], "-");
    if name.chars().all(|c| c == '.') { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{FakeHost, broken_of, found_of, jwt};

    const ENV: [(&str, &str); 3] =
        [("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("LOCALAPPDATA", "/c")];

    fn path(name: &str) -> String {
        let cache = cache_directory(&ENV).unwrap();
        cache.join("chainguard").join(name).join("oidc-token").display().to_string()
    }

    fn look(fake: &FakeHost, audience: &str) -> Outcome {
        crate::testing::look(&Chainguard::new(fake.host()), audience)
    }

    #[test]
    fn a_cached_token_is_taken_and_an_expired_one_is_told_how_to_renew() {
        let token = jwt(r#"{"aud":"sigstore","exp":100}"#);
        let fake = FakeHost::new(&ENV).with_file(&path("sigstore"), &token);
        assert_eq!(found_of(look(&fake, "sigstore")).token.reveal(), token);
        let fake = FakeHost::new(&ENV).with_file(&path("sigstore"), &jwt(r#"{"exp":0}"#));
        let broken = broken_of(look(&fake, "sigstore"));
        assert!(!broken.certain);
        assert_eq!(broken.hint.unwrap(), "run `chainctl auth login --audience sigstore`");
    }

    #[test]
    fn an_audience_cannot_lead_out_of_the_cache() {
        let name = |audience| directory(&Audience::new(audience).unwrap());
        assert_eq!(name("https://a/../b"), "https:--a-..-b");
        assert_eq!(name(".."), "-");
    }

    #[test]
    fn elsewhere_there_is_nothing() {
        assert!(matches!(look(&FakeHost::new(&ENV), "sigstore"), Outcome::Absent(_)));
        assert!(matches!(look(&FakeHost::new(&[]), "sigstore"), Outcome::Absent(_)));
    }
}
