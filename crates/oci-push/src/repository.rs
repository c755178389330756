//! Repository names.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::error::Error;

/// A repository in a registry: `ghcr.io/owner/app`.
///
/// A name without a registry is Docker Hub's, and a single component there is in `library/`. The
/// three names of Docker Hub are one registry, written `index.docker.io` as cosign does.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Repository {
    registry: String,
    path: String,
}

impl Repository {
    /// Host and, if given, port: `ghcr.io`, `localhost:5000`, `[::1]:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The name within the registry: `owner/app`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether the registry is on this machine, so that plain http exposes nothing.
    pub fn is_loopback(&self) -> bool {
        host::is_loopback(host_of(&self.registry))
    }

    /// The host and port that serve the registry's API.
    pub(crate) fn api_authority(&self) -> &str {
        if self.is_docker_hub() { DOCKER_HUB_API } else { &self.registry }
    }

    pub(crate) fn is_docker_hub(&self) -> bool {
        self.registry == DOCKER_HUB
    }
}

impl FromStr for Repository {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse_repository(text, text)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`, without brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Parses `name`, which is `text` or its part before tag and digest.
pub(crate) fn parse_repository(name: &str, text: &str) -> Result<Repository, Error> {
    let bad = |reason: &str| Error::Reference { text: shown(text), reason: reason.to_owned() };
    if name.is_empty() {
        return Err(bad("it has no repository name"));
    }
    if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad("it contains white space or a control character"));
    }
    if let Some((scheme, _)) = name.split_once("://") {
        return Err(bad(&format!("leave out the {}://", shown(scheme))));
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (first.to_ascii_lowercase(), rest.to_owned()),
        Some(_) => (DOCKER_HUB.to_owned(), name.to_owned()),
        None => (DOCKER_HUB.to_owned(), format!("library/{name}")),
    };
    check_registry(&registry).map_err(bad)?;
    let registry = normal_registry(&registry);
    let path = match registry == DOCKER_HUB && !path.contains('/') {
        true => format!("library/{path}"),
        false => path,
    };
    check_path(&path).map_err(|reason| bad(&reason))?;
    if registry.len() + 1 + path.len() > NAME_LIMIT {
        return Err(bad("registry and repository together are longer than 255 characters"));
    }
    Ok(Repository { registry, path })
}

/// A registry's host in lower case, with Docker Hub's several names made one.
pub(crate) fn normal_registry(registry: &str) -> String {
    let registry = registry.to_ascii_lowercase();
    match DOCKER_HUB_ALIASES.contains(&registry.as_str()) {
        true => DOCKER_HUB.to_owned(),
        false => registry,
    }
}

fn is_registry(first: &str) -> bool {
    first.contains(['.', ':']) || first.eq_ignore_ascii_case("localhost")
}

fn check_registry(authority: &str) -> Result<(), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let Some((host, port)) = rest.split_once(']') else {
            return Err("the IPv6 address of the registry has no closing bracket");
        };
        if host.parse::<Ipv6Addr>().is_err() {
            return Err("the registry is not an IPv6 address between brackets");
        }
        (None, port)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        (Some(&authority[..end]), &authority[end..])
    };
    if let Some(host) = host {
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !host.split('.').all(label) {
            return Err("the part before the first slash is not a host name");
        }
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        Some(digits)
            if digits.bytes().all(|b| b.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|port| port != 0) =>
        {
            Ok(())
        }
        _ => Err("the registry's port is not a number from 1 to 65535"),
    }
}

fn check_path(path: &str) -> Result<(), String> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("repository names are lower case: {}", path.to_ascii_lowercase()));
    }
    for component in path.split('/') {
        if component.is_empty() {
            return Err("the repository name has an empty part between slashes".to_owned());
        }
        if !is_path_component(component) {
            return Err(format!(
                "{} is not a valid part of a repository name: expected lower-case letters and \
                 digits, with one of . _ __ or dashes between them",
                host::escape_remote(component)
            ));
        }
    }
    Ok(())
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !component.starts_with(word) || !component.ends_with(word) {
        return false;
    }
    component.split(word).filter(|separator| !separator.is_empty()).all(|separator| {
        matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-')
    })
}

pub(crate) fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

const DOCKER_HUB: &str = "index.docker.io";
const DOCKER_HUB_ALIASES: [&str; 3] = ["docker.io", DOCKER_HUB, DOCKER_HUB_API];
const DOCKER_HUB_API: &str = "registry-1.docker.io";
const NAME_LIMIT: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (text, expected) in [
            ("localhost:5000/a", true),
            ("registry.localhost/a", true),
            ("127.0.0.1:5000/a", true),
            ("127.8.9.1/a", true),
            ("[::1]:5000/a", true),
            ("localhost.example/a", false),
            ("127.0.0.1.example/a", false),
            ("10.0.0.1:5000/a", false),
            ("a", false),
        ] {
            assert_eq!(text.parse::<Repository>().unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn a_repository_takes_no_tag() {
        assert!("r.example/a:b".parse::<Repository>().is_err());
        assert!("http://bad".parse::<Repository>().is_err());
    }
}
