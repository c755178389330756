//! Chainguard: the token that its program `chainctl` has fetched.

use std::path::{Path, PathBuf};
use std::time::Duration;

use host::{BoxFuture, Env, FileError, Host};
use id_token::{Audience, IdToken, Outcome, TOKEN_CAP, TokenSource};

use crate::outcome::{doubtful, here, not_here, with_causes};

/// The program's cache. The program itself is not run: it may open a browser.
pub(crate) struct Chainguard {
    host: Host,
}

impl Chainguard {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    async fn look(&self, audience: &Audience) -> Outcome {
        let Some(cache) = cache_directory(self.host.env.as_ref()) else {
            return not_here("there is no directory for caches: HOME is not set");
        };
        let path = cache.join("chainguard").join(directory(audience)).join("oidc-token");
        let evidence = || format!("{} exists", path.display());
        let hint = || format!("run `chainctl auth login --audience {audience}`");
        let token = match self.read(&path).await {
            Ok(token) => token,
            Err(None) => return not_here(format!("{} does not exist", path.display())),
            Err(Some(reason)) => return doubtful(evidence(), reason, hint()),
        };
        let now = self.host.clock.now();
        if token.claims().expires_at().is_some_and(|end| end <= now) {
            return doubtful(evidence(), "the token that is kept there has expired", hint());
        }
        here(token, evidence())
    }

    /// `None` where there is no file.
    async fn read(&self, path: &Path) -> Result<IdToken, Option<String>> {
        let bytes = self.host.env.read(path, TOKEN_CAP).await.map_err(|error| match error {
            FileError::NotFound { .. } => None,
            error => Some(with_causes(&error)),
        })?;
        IdToken::parse(&String::from_utf8_lossy(&bytes))
            .map_err(|error| Some(format!("the file holds no token: {error}")))
    }
}

impl TokenSource for Chainguard {
    fn name(&self) -> &str {
        "chainguard"
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(self.look(audience))
    }
}

/// Where a person's programs keep what they can fetch again.
fn cache_directory(env: &dyn Env) -> Option<PathBuf> {
    let home = |rest: &str| env.var("HOME").map(|home| Path::new(&home).join(rest));
    if cfg!(windows) {
        return env.var("LOCALAPPDATA").map(PathBuf::from);
    }
    if cfg!(target_os = "macos") {
        return home("Library/Caches");
    }
    env.var("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| home(".cache"))
}

/// One directory, whatever the audience.
fn directory(audience: &Audience) -> String {
    let name = audience.as_str().replace(['/', '\\'], "-");
    if name.chars().all(|c| c == '.') { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::testing::{World, block_on, broken_of, found_of, jwt};

    const ENV: [(&str, &str); 3] =
        [("HOME", "/h"), ("XDG_CACHE_HOME", "/c"), ("LOCALAPPDATA", "/c")];

    fn path(name: &str) -> String {
        let cache = cache_directory(&ENV).unwrap();
        cache.join("chainguard").join(name).join("oidc-token").display().to_string()
    }

    fn look(world: &World, audience: &str) -> Outcome {
        block_on(Chainguard::new(world.host()).look(&Audience::new(audience).unwrap()))
    }

    #[test]
    fn a_cached_token_is_taken_and_an_expired_one_is_told_how_to_renew() {
        let token = jwt(r#"{"aud":"sigstore","exp":100}"#);
        let world = World::new(&ENV).with_file(&path("sigstore"), &token);
        assert_eq!(found_of(look(&world, "sigstore")).token.reveal(), token);
        let world = World::new(&ENV).with_file(&path("sigstore"), &jwt(r#"{"exp":0}"#));
        let broken = broken_of(look(&world, "sigstore"));
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
        assert!(matches!(look(&World::new(&ENV), "sigstore"), Outcome::Absent(_)));
        assert!(matches!(look(&World::new(&[]), "sigstore"), Outcome::Absent(_)));
    }
}
