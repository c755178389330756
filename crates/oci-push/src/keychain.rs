//! Where credentials are looked for: the files of Docker and Podman and the helpers they name.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use host::{Env, Host, Invocation, ProgramError, escape_remote};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::credentials::{Ambient, Credentials};
use crate::docker_config::{ConfigFile, Helper};
use crate::error::{CredentialsSource, Error};
use crate::event::Event;
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
            match run(host, &helper, &origin).await {
                Ok(None) => {}
                Ok(Some(credentials)) => {
                    let origin = format!("credentials from {}", helper.program());
                    return Ok(Lookup::new(Some(credentials), origin));
                }
                Err(error) if is_missing(&error) => {
                    let name = format!("{} (named by {origin})", helper.program());
                    let reason = host::with_causes(&error);
                    options.listener.tell(&Event::HelperNotUsed { helper: &name, reason: &reason });
                    missing = Some(format!("no credentials: {name} is not installed"));
                }
                Err(error) => return Err(error),
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

/// Asks a helper. `None` if it knows no credentials; every other failure is an error.
async fn run(host: &Host, helper: &Helper, file: &str) -> Result<Option<Credentials>, Error> {
    let program = helper.program();
    let failed = |reason: String, source: Option<CredentialsSource>| Error::Credentials {
        origin: format!("{program} (named by {file})"),
        reason,
        source,
    };
    let invocation = Invocation::new(&program, ["get"])
        .with_stdin(helper.server.clone())
        .without(id_token::SECRET_VARIABLES)
        .with_deadline(HELPER_DEADLINE)
        .with_output_cap(HELPER_OUTPUT_CAP);
    let output = host.programs.run(invocation).await.map_err(|source| {
        failed("the credential helper did not run".to_owned(), Some(source.into()))
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.code != Some(0) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        if [&stdout, &stderr].iter().any(|text| is_not_found(text)) {
            return Ok(None);
        }
        // Helpers report on stdout by convention; what looks like an answer is never shown.
        let said = match stdout.trim() {
            "" => stderr.trim(),
            text if text.contains(['{', '}']) => "",
            text => text,
        };
        let code = output.code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
        return Err(failed(format!("it ended with {code}: {}", escape_remote(said)), None));
    }
    let Ok(answer) = serde_json::from_str::<HelperAnswer>(&stdout) else {
        return Err(failed("its answer is not the JSON of a credential helper".to_owned(), None));
    };
    let password = SecretString::from(answer.secret);
    if answer.username.is_empty() && password.expose_secret().is_empty() {
        return Ok(None);
    }
    Ok(Some(Credentials::from_pair(answer.username, password)))
}

fn is_missing(error: &Error) -> bool {
    let Error::Credentials { source: Some(source), .. } = error else { return false };
    matches!(source, CredentialsSource::Program(ProgramError::NotFound { .. }))
}

fn is_not_found(text: &str) -> bool {
    text.contains("credentials not found") || text.contains("no credentials server URL")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

const HELPER_DEADLINE: Duration = Duration::from_secs(30);
const HELPER_OUTPUT_CAP: usize = 64 << 10;

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
