//! Logging in to the registries of clouds and code platforms with what the machine or the job has.

mod acr;
mod ecr;
mod jobs;
mod login;

use host::Host;
use oidc_ambient::google::machine;

use crate::error::Error;
use crate::google::{self, Located};

pub use self::login::{Keychain, RegistryLogin};

/// The login for `registry`, a host such as `europe-docker.pkg.dev`; `None` where its name tells no
/// cloud and no platform of this job.
///
/// | host | credentials |
/// |---|---|
/// | `*.pkg.dev`, `gcr.io`, `*.gcr.io` | a Google access token |
/// | `<account>.dkr.ecr.<region>.amazonaws.com` and its variants, `public.ecr.aws` | `GetAuthorizationToken` with AWS's credentials |
/// | `*.azurecr.io` (`.cn`, `.us`) | a token of Entra, exchanged at the registry |
/// | `ghcr.io` | `GITHUB_TOKEN` of a job of GitHub |
/// | the host in `CI_REGISTRY` | `CI_JOB_TOKEN` of a job of GitLab |
///
/// # Errors
/// The name tells a cloud, and this machine has no credentials for it, or they cannot be used.
pub async fn registry_login(
    host: &Host,
    registry: &str,
    keychain: Keychain,
) -> Result<Option<RegistryLogin>, Error> {
    let registry = registry.to_ascii_lowercase();
    if let Some(login) = jobs::find(&*host.env, &registry, keychain) {
        return Ok(Some(login));
    }
    if let Some(place) = ecr::Place::of(&registry) {
        return place.login(host).await.map(Some);
    }
    if acr::serves(&registry) {
        return acr::login(host, &registry).await.map(Some);
    }
    if registry.ends_with(".pkg.dev") || registry == "gcr.io" || registry.ends_with(".gcr.io") {
        return google_login(host).await.map(Some);
    }
    Ok(None)
}

async fn google_login(host: &Host) -> Result<RegistryLogin, Error> {
    if let Err(file) = Located::find(host).await
        && let Err(machine) = machine(host).await
    {
        let evidence = format!("{file}, and {machine}");
        return Err(Error::Absent { cloud: "Google Cloud", evidence });
    }
    let token = google::access_token(host).await?;
    Ok(RegistryLogin::password("oauth2accesstoken", token, "this machine's access to Google Cloud"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, ready};

    #[test]
    fn a_registry_whose_name_tells_nothing_is_not_logged_in_to() {
        let fake = Fake::new(&[("GITHUB_ACTIONS", "true"), ("GITHUB_TOKEN", "t")]);
        for registry in
            ["docker.io", "localhost:5000", "pkg.dev", "xgcr.io", "gcr.io.evil.org", "ghcr.io:443"]
        {
            let login = ready(registry_login(&fake.host(), registry, Keychain::Place));
            assert!(login.unwrap().is_none(), "{registry}");
        }
    }

    #[test]
    fn googles_registries_take_an_access_token() {
        let fake = Fake::new(&[("GCE_METADATA_HOST", "169.254.169.254")])
            .google(r#"{"access_token":"ya29.t","expires_in":3599}"#);
        for registry in ["gcr.io", "eu.gcr.io", "europe-docker.pkg.dev", "EU.GCR.IO"] {
            let login = ready(registry_login(&fake.host(), registry, Keychain::Place));
            let login = login.unwrap().unwrap();
            assert_eq!(login.username.as_deref(), Some("oauth2accesstoken"), "{registry}");
        }
    }

    #[test]
    fn away_from_the_cloud_the_error_says_what_was_looked_for() {
        let fake = Fake::new(&[("HOME", "/h"), ("NO_GCE_CHECK", "true")]);
        let error = ready(registry_login(&fake.host(), "gcr.io", Keychain::Place)).unwrap_err();
        let Error::Absent { cloud, evidence } = error else { panic!("{error:?}") };
        assert_eq!(cloud, "Google Cloud");
        assert!(evidence.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{evidence}");
        assert_eq!(fake.requests(), 0);
    }
}
