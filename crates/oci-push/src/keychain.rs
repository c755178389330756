//! Where credentials are looked for: the files of Docker and Podman and the helpers they name.

use std::path::PathBuf;
use std::time::SystemTime;

use host::{Env, Host};
use http::HeaderMap;

use crate::credentials::{Ambient, Credentials};
use crate::docker_config::ConfigFile;
use crate::error::Error;
use crate::event::Event;
use crate::helpers::{Asked, Helpers};
use crate::options::Options;
use crate::repository::Repository;

/// The result of a search.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    pub(crate) credentials: Option<Credentials>,
    /// Where they are from, or where none were found. Shown in errors.
    pub(crate) origin: String,
    /// When they are to be searched for again.
    pub(crate) until: Option<SystemTime>,
}

impl Lookup {
    pub(crate) fn new(credentials: Option<Credentials>, origin: impl Into<String>) -> Self {
        Self { credentials, origin: origin.into(), until: None }
    }
}

/// Searches the files in order and runs the helpers they name; then asks for what the place has by
/// itself.
///
/// A helper that is not installed is told to the listener of `options` and passed over: the registry may answer
/// without credentials, and if not, its refusal names the helper.
pub(crate) async fn find(
    host: &Host,
    options: &Options,
    helpers: &Helpers,
    repository: &Repository,
) -> Result<Lookup, Error> {
    let paths = files(&*host.env);
    let mut missing: Option<String> = None;
    for path in &paths {
        let Some(config) = ConfigFile::load(&*host.env, path).await? else {
            continue;
        };
        let origin = path.display().to_string();
        for helper in config.helpers(repository) {
            match helpers.ask(host, &helper, &origin).await? {
                Asked::Nothing => {}
                Asked::Credentials(credentials) => {
                    let origin = format!("credentials from {}", helper.program());
                    return Ok(Lookup::new(Some(credentials), origin));
                }
                Asked::NotInstalled { reason, is_new } => {
                    let name = format!("{} (named by {origin})", helper.program());
                    if is_new {
                        let event = Event::HelperNotUsed { helper: &name, reason: &reason };
                        options.listener.tell(&event);
                    }
                    missing = Some(format!("no credentials: {name} is not installed"));
                }
            }
        }
        if let Some(credentials) = config.stored(repository, &origin)? {
            let origin = format!("credentials from {origin}");
            return Ok(Lookup::new(Some(credentials), origin));
        }
    }
    let ambient = match &options.ambient {
        Some(ambient) => ambient.find(repository.registry()).await,
        None => Ok(None),
    };
    let reason = match ambient {
        Ok(Some(Ambient { credentials, origin, lifetime })) => {
            let until = host.clock.now().checked_add(lifetime);
            let origin = format!("credentials from {origin}");
            return Ok(Lookup { until, ..Lookup::new(Some(credentials), origin) });
        }
        Ok(None) => None,
        Err(reason) => Some(reason),
    };
    let origin = match (missing, paths.as_slice()) {
        (Some(missing), _) => missing,
        (None, []) => "no credentials: neither HOME nor a credential file is set".to_owned(),
        (None, paths) => {
            let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            format!("no credentials found in {}", paths.join(", "))
        }
    };
    let origin = match reason {
        Some(reason) => format!("{origin}; {reason}"),
        None => origin,
    };
    Ok(Lookup::new(None, origin))
}

/// The headers that Docker's file says every request to a registry is to carry. A file that cannot be
/// read has none here: it is an error once credentials are needed.
pub(crate) async fn headers(env: &dyn Env) -> HeaderMap {
    let Some(path) = files(env).into_iter().find(|path| path.ends_with("config.json")) else {
        return HeaderMap::new();
    };
    let config = ConfigFile::load(env, &path).await.ok().flatten();
    config.map(|config| config.headers()).unwrap_or_default()
}

/// Docker's file first, as cosign has it. Unlike there, a file without an entry for the registry
/// does not hide the next.
fn files(env: &dyn Env) -> Vec<PathBuf> {
    let path = |name: &str| env.path(name);
    let home = path("HOME").or_else(|| path("USERPROFILE"));
    let in_home = |directory: &str| home.as_ref().map(|home| home.join(directory));
    let containers = |directory: PathBuf| directory.join("containers").join("auth.json");
    let docker = path("DOCKER_CONFIG").or_else(|| in_home(".docker"));
    let config = path("XDG_CONFIG_HOME").or_else(|| in_home(".config"));
    let mut files: Vec<PathBuf> = [
        docker.map(|directory| directory.join("config.json")),
        path("REGISTRY_AUTH_FILE"),
        path("XDG_RUNTIME_DIR").map(containers),
        config.map(containers),
    ]
    .into_iter()
    .flatten()
    .collect();
    files.dedup();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_searched_in_cosigns_order() {
        let env =
            [("HOME", "/h"), ("REGISTRY_AUTH_FILE", "/r/auth.json"), ("XDG_RUNTIME_DIR", "/x")];
        let expected = [
            "/h/.docker/config.json",
            "/r/auth.json",
            "/x/containers/auth.json",
            "/h/.config/containers/auth.json",
        ];
        assert_eq!(files(&env), expected.map(PathBuf::from));
        let env = [("HOME", "/h"), ("DOCKER_CONFIG", "/d"), ("XDG_CONFIG_HOME", "/c")];
        let expected = ["/d/config.json", "/c/containers/auth.json"];
        assert_eq!(files(&env), expected.map(PathBuf::from));
        assert!(files(&[("X", "y")]).is_empty());
    }
}
