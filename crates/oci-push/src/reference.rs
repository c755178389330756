//! Image references: what people type, made exact.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::{Digest, Error};

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

    /// Whether the registry is on this very machine, so that plain http gives nothing away.
    pub fn is_loopback(&self) -> bool {
        is_loopback(host_of(&self.registry))
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

/// An image: a repository with a tag, a digest, or both.
///
/// ```
/// let image: oci_push::Reference = "ubuntu:24.04".parse()?;
/// assert_eq!(image.to_string(), "index.docker.io/library/ubuntu:24.04");
/// # Ok::<_, oci_push::Error>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reference {
    repository: Repository,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The manifest `digest` in `repository`.
    pub fn by_digest(repository: Repository, digest: Digest) -> Self {
        Self { repository, tag: None, digest: Some(digest) }
    }

    /// Registry and name.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The tag; `latest` if neither tag nor digest was given. With a digest beside it, the digest
    /// decides and the tag is only a remark.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What stands behind `/manifests/`: the digest, else the tag.
    pub(crate) fn manifest_name(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => DEFAULT_TAG,
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |reason: &str| Error::Reference { text: shown(text), reason: reason.to_owned() };
        let (name, digest) = match text.split_once('@') {
            Some((_, digest)) if digest.contains('@') => {
                return Err(bad("it contains more than one @"));
            }
            Some((name, digest)) => {
                let digest = digest.parse().map_err(|error| match error {
                    Error::Reference { reason, .. } => bad(&reason),
                    other => other,
                })?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        // A colon after the last slash begins a tag; one before it, a port.
        let last = name.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match name[last..].find(':') {
            Some(colon) if !name.contains("://") => {
                (&name[..last + colon], Some(&name[last + colon + 1..]))
            }
            _ => (name, None),
        };
        let repository = parse_repository(name, text)?;
        if let Some(tag) = tag {
            check_tag(tag).map_err(bad)?;
        }
        let tag = match (tag, &digest) {
            (None, None) => Some(DEFAULT_TAG),
            (tag, _) => tag,
        };
        Ok(Self { repository, tag: tag.map(str::to_owned), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether `host` (no port, no brackets) can only be this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

/// The host of `host`, `host:port`, `[v6]` or `[v6]:port`, without brackets.
pub(crate) fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    authority.split(':').next().unwrap_or(authority)
}

/// Parses `name`, which is `text` or its part before tag and digest.
fn parse_repository(name: &str, text: &str) -> Result<Repository, Error> {
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
    let (registry, path) = if DOCKER_HUB_ALIASES.contains(&registry.as_str()) {
        let path = if path.contains('/') { path } else { format!("library/{path}") };
        (DOCKER_HUB.to_owned(), path)
    } else {
        (registry, path)
    };
    check_path(&path).map_err(|reason| bad(&reason))?;
    if registry.len() + 1 + path.len() > NAME_LIMIT {
        return Err(bad("registry and repository together are longer than 255 characters"));
    }
    Ok(Repository { registry, path })
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
                "{} is not a part of a repository name: lower-case letters and digits, with one \
                 of . _ __ or dashes between them",
                shown(component)
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

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn check_tag(tag: &str) -> Result<(), &'static str> {
    let first = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = tag.bytes();
    match bytes.next() {
        None => return Err("the tag after the colon is empty"),
        Some(byte) if !first(byte) => {
            return Err("a tag begins with a letter, a digit or an underscore");
        }
        Some(_) => {}
    }
    if !bytes.all(|byte| first(byte) || matches!(byte, b'.' | b'-')) {
        return Err("a tag consists of letters, digits, dots, dashes and underscores");
    }
    if tag.len() > 128 {
        return Err("a tag has at most 128 characters");
    }
    Ok(())
}

fn shown(text: &str) -> String {
    text.chars().take(300).collect()
}

const DEFAULT_TAG: &str = "latest";
const DOCKER_HUB: &str = "index.docker.io";
const DOCKER_HUB_ALIASES: [&str; 3] = ["docker.io", DOCKER_HUB, DOCKER_HUB_API];
const DOCKER_HUB_API: &str = "registry-1.docker.io";
const NAME_LIMIT: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<Reference>().unwrap().to_string()
    }

    #[test]
    fn short_names_are_docker_hubs() {
        for (text, expected) in [
            ("ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("docker.io/ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("index.docker.io/library/ubuntu:22.04", "index.docker.io/library/ubuntu:22.04"),
            ("registry-1.docker.io/library/ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("foo/bar", "index.docker.io/foo/bar:latest"),
            ("docker.io/a", "index.docker.io/library/a:latest"),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_first_part_with_a_dot_a_port_or_the_name_localhost_is_a_registry() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, expected) in [
            ("localhost/foo", "localhost/foo:latest".to_owned()),
            ("ghcr.io/a/b-c__d.e", "ghcr.io/a/b-c__d.e:latest".to_owned()),
            ("GHCR.io/a/b", "ghcr.io/a/b:latest".to_owned()),
            ("[::1]:5000/a/b:x", "[::1]:5000/a/b:x".to_owned()),
            (
                &format!("localhost:5000/foo/bar:x@{digest}"),
                format!("localhost:5000/foo/bar:x@{digest}"),
            ),
            (&format!("r.example/a@{digest}"), format!("r.example/a@{digest}")),
        ] {
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn the_digest_decides_over_the_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let reference: Reference = format!("r.example/a:t@{digest}").parse().unwrap();
        assert_eq!(reference.tag(), Some("t"));
        assert_eq!(reference.manifest_name(), digest);
        let sha512 = format!("r.example/a@sha512:{}", "0".repeat(128));
        assert!(sha512.parse::<Reference>().is_ok());
    }

    #[test]
    fn what_is_no_reference_is_explained() {
        let long_tag = format!("a:{}", "t".repeat(129));
        let long_name = format!("r.example/{}", "a".repeat(250));
        for (text, part) in [
            ("", "no repository name"),
            (":x", "no repository name"),
            ("127.0.0.1:5011/Demo/App:v1", "lower case: demo/app"),
            ("UP/case:x", "lower case: up/case"),
            ("https://ghcr.io/a/b", "leave out the https://"),
            ("https://ghcr.io:443/a/b:x", "leave out the https://"),
            ("a b", "white space"),
            ("a\u{1b}[2J", "control character"),
            ("r.example//b", "empty part"),
            ("r.example/", "empty part"),
            ("/a", "empty part"),
            ("r.example/a_-b", "is not a part"),
            ("r.example/a___b", "is not a part"),
            ("r.example/-a", "is not a part"),
            ("r.example/ä", "is not a part"),
            ("r.example/a:", "tag after the colon is empty"),
            ("r.example/a:.b", "begins with"),
            ("r.example/a:b+c", "consists of"),
            (&long_tag, "at most 128"),
            (&long_name, "longer than 255"),
            ("r.example:x/a", "port"),
            ("r.example:0/a", "port"),
            ("r.example:70000/a", "port"),
            ("r..example/a", "host name"),
            ("user@r.example/a", "<algorithm>:<hex>"),
            ("[::1/a", "closing bracket"),
            ("[x:y]/a", "IPv6"),
            ("r.example/a@sha256:abc", "64 hex"),
            ("r.example/a@sha256:abc@x", "more than one @"),
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert!(matches!(error, Error::Reference { .. }), "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

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
