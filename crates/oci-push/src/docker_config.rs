//! `config.json` of Docker and `auth.json` of Podman: one format, two ways to write its keys.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use host::{Env, FileError};
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::repository::Repository;

/// One credential file.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ConfigFile {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
    #[serde(rename = "HttpHeaders")]
    http_headers: Option<BTreeMap<String, SecretString>>,
}

/// A helper program to ask, and what for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Helper {
    suffix: String,
    /// What it reads: a host, or the URL under which Docker Hub is known to helpers.
    pub(crate) server: String,
}

impl Helper {
    pub(crate) fn program(&self) -> String {
        format!("docker-credential-{}", self.suffix)
    }
}

impl ConfigFile {
    /// Reads the file at `path`; `None` if there is none.
    pub(crate) async fn load(env: &dyn Env, path: &Path) -> Result<Option<Self>, Error> {
        let failed = |reason: String, source: Option<FileError>| Error::Credentials {
            origin: path.display().to_string(),
            reason,
            source: source.map(Into::into),
        };
        let bytes = match env.read(path, FILE_CAP).await {
            Ok(bytes) => bytes,
            Err(FileError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed("the file cannot be read".to_owned(), Some(error))),
        };
        if bytes.trim_ascii().is_empty() {
            return Ok(None);
        }
        // The parser's own words may quote a secret.
        let config: Self = serde_json::from_slice(&bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            failed(format!("it is not a Docker configuration: line {line}, column {column}"), None)
        })?;
        let helpers = config.cred_helpers.iter().flat_map(BTreeMap::values);
        let wrong = |suffix: &&String| !suffix.is_empty() && !is_suffix(suffix);
        if helpers.chain(&config.creds_store).any(|suffix| wrong(&suffix)) {
            let reason = "it names a credential helper that is not a plain program name";
            return Err(failed(reason.to_owned(), None));
        }
        Ok(Some(config))
    }

    /// What every request to a registry is to carry. A header that ambisign sets itself, or that no
    /// request may have, is left out.
    pub(crate) fn headers(&self) -> HeaderMap {
        let pairs = self.http_headers.iter().flatten().filter_map(|(name, value)| {
            let name = HeaderName::try_from(name.as_str()).ok()?;
            let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
            value.set_sensitive(true);
            (!OWN_HEADERS.contains(&name)).then_some((name, value))
        });
        pairs.collect()
    }

    /// The helpers to ask for `repository`, in order: the most specific of `credHelpers`, then
    /// `credsStore` unless an entry of the file is more specific than a host.
    pub(crate) fn helpers(&self, repository: &Repository) -> Vec<Helper> {
        let helper =
            |suffix: &String| Helper { suffix: suffix.clone(), server: server(repository) };
        let mut helpers = Vec::new();
        let own = self.cred_helpers.as_ref().and_then(|map| lookup(map, &scopes(repository)));
        helpers.extend(own.filter(|suffix| !suffix.is_empty()).map(helper));
        let path_scoped = self.entry(&path_scopes(repository)).is_some();
        let store = self.creds_store.as_ref().filter(|suffix| !suffix.is_empty() && !path_scoped);
        helpers.extend(store.map(helper));
        helpers
    }

    /// What the file itself holds for `repository`. The longest key that is a prefix of its name
    /// wins.
    pub(crate) fn stored(
        &self,
        repository: &Repository,
        origin: &str,
    ) -> Result<Option<Credentials>, Error> {
        let Some(entry) = self.entry(&scopes(repository)) else {
            return Ok(None);
        };
        entry.credentials().map_err(|reason| Error::Credentials {
            origin: origin.to_owned(),
            reason: format!("the entry for {repository} {reason}"),
            source: None,
        })
    }

    /// The entry of the first of `scopes` that has a non-empty one.
    fn entry(&self, scopes: &[String]) -> Option<&Entry> {
        let auths = self.auths.as_ref()?;
        scopes.iter().find_map(|scope| {
            let entries = auths.iter().filter(|(key, _)| normal(key) == *scope);
            entries.filter_map(|(_, entry)| entry.as_ref()).find(|entry| !entry.is_empty())
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: Option<SecretString>,
    username: Option<String>,
    password: Option<SecretString>,
    identitytoken: Option<SecretString>,
    registrytoken: Option<SecretString>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        let secrets = [&self.auth, &self.password, &self.identitytoken, &self.registrytoken];
        secrets.into_iter().all(|secret| given(secret.as_ref()).is_none())
    }

    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        if let Some(token) = given(self.registrytoken.as_ref()) {
            return Ok(Some(Credentials::RegistryToken(token.clone())));
        }
        if let Some(token) = given(self.identitytoken.as_ref()) {
            return Ok(Some(Credentials::IdentityToken(token.clone())));
        }
        if let (Some(username), Some(password)) = (&self.username, given(self.password.as_ref())) {
            return Ok(Some(Credentials::from_pair(username.clone(), password.clone())));
        }
        let Some(auth) = given(self.auth.as_ref()) else {
            return Ok(None);
        };
        let decoded = LENIENT
            .decode(auth.expose_secret().trim())
            .map_err(|_| "has an `auth` that is not base64")?;
        let decoded =
            String::from_utf8(decoded).map_err(|_| "has an `auth` that is not UTF-8 inside")?;
        let (username, password) =
            decoded.split_once(':').ok_or("has an `auth` without a colon inside")?;
        // Old versions of Docker padded with NUL.
        let password = SecretString::from(password.trim_end_matches('\0'));
        Ok(Some(Credentials::from_pair(username.to_owned(), password)))
    }
}

fn given(secret: Option<&SecretString>) -> Option<&SecretString> {
    secret.filter(|secret| !secret.expose_secret().is_empty())
}

/// The names under which `repository` may be known, the most specific first: `host/a/b`,
/// `host/a`, `host`.
fn scopes(repository: &Repository) -> Vec<String> {
    let mut scopes = path_scopes(repository);
    scopes.push(repository.registry().to_owned());
    scopes
}

fn path_scopes(repository: &Repository) -> Vec<String> {
    let full = repository.to_string();
    let host = repository.registry().len();
    let ends = full.match_indices('/').map(|(index, _)| index).filter(|&index| index > host);
    let mut scopes: Vec<String> = ends.map(|end| full[..end].to_owned()).collect();
    scopes.push(full);
    scopes.reverse();
    scopes
}

fn lookup<'a>(map: &'a BTreeMap<String, String>, scopes: &[String]) -> Option<&'a String> {
    scopes.iter().find_map(|scope| {
        map.iter().find(|(key, _)| normal(key) == *scope).map(|(_, suffix)| suffix)
    })
}

/// A key without scheme and API version, with Docker Hub's several names made one.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let with_scheme = bare.is_some();
    let bare = bare.unwrap_or(key);
    let trimmed = bare.trim_end_matches('/');
    // Only a URL has an API version: `host/v1` alone may be a repository.
    let trimmed = if with_scheme || trimmed.len() < bare.len() {
        let version = trimmed.strip_suffix("/v1").or_else(|| trimmed.strip_suffix("/v2"));
        version.filter(|host| !host.contains('/')).unwrap_or(trimmed)
    } else {
        trimmed
    };
    let (host, path) = trimmed.split_once('/').unwrap_or((trimmed, ""));
    let host = match host.to_ascii_lowercase().as_str() {
        "docker.io" | "registry-1.docker.io" => "index.docker.io".to_owned(),
        other => other.to_owned(),
    };
    if path.is_empty() { host } else { format!("{host}/{path}") }
}

/// What a helper is asked for.
fn server(repository: &Repository) -> String {
    if repository.is_docker_hub() {
        return DOCKER_HUB_SERVER.to_owned();
    }
    repository.registry().to_owned()
}

fn is_suffix(suffix: &str) -> bool {
    suffix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

const DOCKER_HUB_SERVER: &str = "https://index.docker.io/v1/";
/// They say how a request is framed, where it goes and who sends it.
const OWN_HEADERS: [HeaderName; 5] =
    [AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING];
const FILE_CAP: usize = 4 << 20;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> ConfigFile {
        serde_json::from_str(json).unwrap()
    }

    fn stored(json: &str, repository: &str) -> Option<(String, String)> {
        let found = config(json).stored(&repository.parse().unwrap(), "file").unwrap();
        found.map(|credentials| match credentials {
            Credentials::Basic { username, password } => {
                (username, password.expose_secret().to_owned())
            }
            Credentials::IdentityToken(token) => {
                ("identity".to_owned(), token.expose_secret().to_owned())
            }
            Credentials::RegistryToken(token) => {
                ("registry".to_owned(), token.expose_secret().to_owned())
            }
        })
    }

    fn pair(username: &str, password: &str) -> Option<(String, String)> {
        Some((username.to_owned(), password.to_owned()))
    }

    #[test]
    fn every_form_of_an_entry_is_read() {
        for (entry, expected) in [
            (r#"{"auth":"dTpwOnE="}"#, pair("u", "p:q")),
            (r#"{"auth":"dTpwOnE"}"#, pair("u", "p:q")),
            (r#"{"username":"u","password":"p"}"#, pair("u", "p")),
            (r#"{"auth":"dTpwOnE=","identitytoken":"i"}"#, pair("identity", "i")),
            (r#"{"auth":"dTpwOnE=","registrytoken":"r"}"#, pair("registry", "r")),
            (r#"{"username":"<token>","password":"i"}"#, pair("identity", "i")),
            (r#"{}"#, None),
            ("null", None),
        ] {
            let json = format!(r#"{{"auths":{{"r.example":{entry}}}}}"#);
            assert_eq!(stored(&json, "r.example/a"), expected, "{entry}");
        }
    }

    #[test]
    fn keys_are_known_with_and_without_scheme_and_version() {
        for key in [
            "r.example:5000",
            "https://r.example:5000",
            "https://r.example:5000/",
            "http://r.example:5000/v1/",
            "https://r.example:5000/v2/",
            "https://r.example:5000/v2",
            "R.example:5000",
        ] {
            let json = format!(r#"{{"auths":{{"{key}":{{"auth":"dTpw"}}}}}}"#);
            assert_eq!(stored(&json, "r.example:5000/a"), pair("u", "p"), "{key}");
            assert_eq!(stored(&json, "r.example/a"), None, "{key}");
        }
    }

    #[test]
    fn docker_hub_is_found_under_all_its_names() {
        for key in ["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"] {
            let json = format!(r#"{{"auths":{{"{key}":{{"auth":"dTpw"}}}}}}"#);
            assert_eq!(stored(&json, "ubuntu"), pair("u", "p"), "{key}");
        }
    }

    #[test]
    fn the_longest_path_wins_and_another_path_does_not_count() {
        let json = r#"{"auths":{
            "r.example":{"username":"host","password":"p"},
            "r.example/team":{"username":"team","password":"p"},
            "r.example/team/app":{"username":"app","password":"p"}}}"#;
        assert_eq!(stored(json, "r.example/team/app"), pair("app", "p"));
        assert_eq!(stored(json, "r.example/team/other"), pair("team", "p"));
        assert_eq!(stored(json, "r.example/teams"), pair("host", "p"));
        let only = r#"{"auths":{"r.example/team":{"username":"team","password":"p"}}}"#;
        assert_eq!(stored(only, "r.example/other"), None);
        assert_eq!(stored(only, "r.example/team/v1"), pair("team", "p"));
    }

    #[test]
    fn helpers_are_asked_in_order_and_for_the_host() {
        let helpers = |json: &str, repository: &str| -> Vec<(String, String)> {
            let helpers = config(json).helpers(&repository.parse().unwrap());
            helpers.into_iter().map(|helper| (helper.program(), helper.server)).collect()
        };
        let json = r#"{"credHelpers":{"r.example":"one"},"credsStore":"two"}"#;
        let both = [
            ("docker-credential-one".to_owned(), "r.example".to_owned()),
            ("docker-credential-two".to_owned(), "r.example".to_owned()),
        ];
        assert_eq!(helpers(json, "r.example/a/b"), both);
        let hub = ("docker-credential-two".to_owned(), "https://index.docker.io/v1/".to_owned());
        assert_eq!(helpers(json, "ubuntu"), [hub]);
        let scoped = r#"{"auths":{"r.example/a":{"auth":"dTpw"}},"credsStore":"two"}"#;
        assert!(helpers(scoped, "r.example/a/b").is_empty());
        assert_eq!(helpers(scoped, "r.example/b").len(), 1);
    }

    #[test]
    fn a_broken_entry_is_an_error_that_shows_nothing_of_it() {
        for auth in ["!!hunter2!!", "aHVudGVyMg=="] {
            let json = format!(r#"{{"auths":{{"r.example":{{"auth":"{auth}"}}}}}}"#);
            let repository = "r.example/a".parse().unwrap();
            let error = config(&json).stored(&repository, "file").unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains(auth), "{error}");
        }
    }

    #[test]
    fn a_broken_file_is_an_error_that_shows_nothing_of_it() {
        let read = |content: &str| {
            let env = host::FakeEnv::new().with_file("/c.json", content);
            let mut load = Box::pin(ConfigFile::load(&env, Path::new("/c.json")));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            match load.as_mut().poll(&mut context) {
                std::task::Poll::Ready(result) => result,
                std::task::Poll::Pending => panic!("a fake never waits"),
            }
        };
        for content in [
            r#"{"auths":"hunter2"}"#,
            "hunter2",
            r#"{"auths":{"a":{"auth":"hunter2""#,
            r#"{"credsStore":"../hunter2"}"#,
        ] {
            let error = read(content).err().unwrap();
            assert!(error.to_string().contains("/c.json"), "{error}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
        }
        assert!(read(" \n").unwrap().is_none());
        assert!(read("{}").unwrap().is_some());
    }
}
