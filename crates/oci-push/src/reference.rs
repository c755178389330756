//! Image references: the names that people type.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::error::Error;
use crate::repository::{Repository, parse_repository, shown};

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

const DEFAULT_TAG: &str = "latest";

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
            ("r.example/a_-b", "is not a valid part"),
            ("r.example/a___b", "is not a valid part"),
            ("r.example/-a", "is not a valid part"),
            ("r.example/ä", "is not a valid part"),
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
}
