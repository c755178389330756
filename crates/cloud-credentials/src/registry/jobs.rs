//! Registries of the platform whose job this is.

use host::Env;
use secrecy::SecretString;

use crate::registry::login::{Keychain, RegistryLogin};

pub(crate) fn find(env: &dyn Env, registry: &str, keychain: Keychain) -> Option<RegistryLogin> {
    let is_true = |name| env.var(name).as_deref() == Some("true");
    let given = |name| env.var(name).filter(|value| !value.is_empty());
    if registry == GHCR && (keychain == Keychain::Everything || is_true("GITHUB_ACTIONS")) {
        let user = given("GITHUB_ACTOR").unwrap_or_else(|| "unset".to_owned());
        let token = SecretString::from(given("GITHUB_TOKEN")?);
        return Some(RegistryLogin::password(&user, token, "GITHUB_TOKEN"));
    }
    if is_true("GITLAB_CI") && given("CI_REGISTRY").is_some_and(|own| own == registry) {
        let token = SecretString::from(given("CI_JOB_TOKEN")?);
        return Some(RegistryLogin::password("gitlab-ci-token", token, "CI_JOB_TOKEN"));
    }
    None
}

const GHCR: &str = "ghcr.io";

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn the_token_of_a_github_job_serves_ghcr_alone() {
        let job = [("GITHUB_ACTIONS", "true"), ("GITHUB_TOKEN", "t"), ("GITHUB_ACTOR", "me")];
        let login = find(&job, "ghcr.io", Keychain::Place).unwrap();
        assert_eq!((login.username.as_deref(), login.secret.expose_secret()), (Some("me"), "t"));
        for other in ["docker.io", "ghcr.io.evil.org", "registry.gitlab.com"] {
            assert!(find(&job, other, Keychain::Everything).is_none(), "{other}");
        }
    }

    #[test]
    fn outside_of_a_job_it_serves_only_where_that_is_asked_for() {
        let env = [("GITHUB_TOKEN", "t")];
        assert!(find(&env, "ghcr.io", Keychain::Place).is_none());
        let login = find(&env, "ghcr.io", Keychain::Everything).unwrap();
        assert_eq!(login.username.as_deref(), Some("unset"));
    }

    #[test]
    fn the_token_of_a_gitlab_job_serves_the_registry_of_its_instance() {
        let job = [
            ("GITLAB_CI", "true"),
            ("CI_REGISTRY", "registry.example:5050"),
            ("CI_JOB_TOKEN", "t"),
        ];
        let login = find(&job, "registry.example:5050", Keychain::Place).unwrap();
        assert_eq!(login.username.as_deref(), Some("gitlab-ci-token"));
        assert!(find(&job, "registry.example", Keychain::Place).is_none());
        let [_, registry, token] = job;
        let elsewhere = find(&[registry, token], "registry.example:5050", Keychain::Place);
        assert!(elsewhere.is_none());
    }
}
