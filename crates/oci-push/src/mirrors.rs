//! `registries.conf` of Podman, Skopeo and CRI-O: where copies of a repository are.

use std::path::PathBuf;

use host::Env;
use serde::Deserialize;

use crate::event::{Event, Listener};
use crate::repository::Repository;

/// The mirrors that this machine is configured for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Mirrors {
    registry: Vec<Entry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    prefix: Option<String>,
    location: Option<String>,
    mirror: Vec<Mirror>,
    #[serde(rename = "mirror-by-digest-only")]
    by_digest_only: bool,
}

#[derive(Debug, Deserialize)]
struct Mirror {
    location: String,
    /// `digest-only`, `tag-only` or `all`.
    #[serde(rename = "pull-from-mirror")]
    pull: Option<String>,
}

impl Mirrors {
    /// Of the user's file, else of the machine's. A file that cannot be read or understood has none,
    /// and `listener` is told: without mirrors the registry itself is asked.
    pub(crate) async fn load(env: &dyn Env, listener: &Listener) -> Self {
        for path in files(env) {
            let read = match env.read(&path, FILE_CAP).await {
                Err(host::FileError::NotFound { .. }) => continue,
                Err(error) => Err(host::with_causes(&error)),
                Ok(bytes) => toml::from_str(&String::from_utf8_lossy(&bytes)).map_err(|error| {
                    let line = error.span().map_or(1, |span| {
                        let before = bytes.get(..span.start).unwrap_or(&bytes);
                        before.iter().filter(|byte| **byte == b'\n').count() + 1
                    });
                    format!("line {line}: {}", host::escape_remote(error.message()))
                }),
            };
            return read.unwrap_or_else(|reason| {
                let file = path.display().to_string();
                listener.tell(&Event::MirrorsNotUsed { file: &file, reason: &reason });
                Self::default()
            });
        }
        Self::default()
    }

    /// The mirrors of `repository`, in their order: those of the entry with the longest prefix, without
    /// those that are not meant for what is asked for, `by_digest` or not.
    pub(crate) fn of(&self, repository: &Repository, by_digest: bool) -> Vec<Repository> {
        let name = repository.to_string();
        let entries = self.registry.iter().filter_map(|entry| {
            let prefix = entry.prefix.as_deref().or(entry.location.as_deref())?;
            Some((prefix, rest(&name, prefix)?, entry))
        });
        let Some((_, rest, entry)) = entries.max_by_key(|(prefix, ..)| prefix.len()) else {
            return Vec::new();
        };
        let serves = |mirror: &&Mirror| match mirror.pull.as_deref() {
            Some("digest-only") => by_digest,
            Some("tag-only") => !by_digest,
            Some("all") => true,
            _ => by_digest || !entry.by_digest_only,
        };
        let mirrors = entry.mirror.iter().filter(serves).take(MOST_MIRRORS);
        mirrors.filter_map(|mirror| format!("{}{rest}", mirror.location).parse().ok()).collect()
    }
}

/// What follows `prefix` in `name`, where it ends at the end of a part. `*.example.com` stands for
/// every host below.
fn rest<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    if let Some(domain) = prefix.strip_prefix("*.") {
        let (host, _) = name.split_once('/')?;
        let below = host.strip_suffix(domain)?.strip_suffix('.')?;
        return (!below.is_empty()).then(|| &name[host.len()..]);
    }
    name.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The first that exists counts.
fn files(env: &dyn Env) -> Vec<PathBuf> {
    if let Some(path) = env.path("CONTAINERS_REGISTRIES_CONF") {
        return vec![path];
    }
    let home = env.path("HOME").map(|home| home.join(".config/containers/registries.conf"));
    home.into_iter().chain([PathBuf::from("/etc/containers/registries.conf")]).collect()
}

/// The largest file that is read, in bytes.
const FILE_CAP: usize = 1 << 20;
const MOST_MIRRORS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = r#"
        unqualified-search-registries = ["docker.io"]

        [[registry]]
        prefix = "ghcr.io"
        location = "ghcr.io"
        [[registry.mirror]]
        location = "mirror.example/ghcr"
        [[registry.mirror]]
        location = "second.example:5000"
        insecure = true

        [[registry]]
        location = "ghcr.io/acme"
        [[registry.mirror]]
        location = "acme.example/images"
        pull-from-mirror = "digest-only"

        [[registry]]
        prefix = "*.example.org"
        [[registry.mirror]]
        location = "mirror.example/org"
    "#;

    fn names(mirrors: &Mirrors, image: &str, by_digest: bool) -> Vec<String> {
        let mirrors = mirrors.of(&image.parse().unwrap(), by_digest);
        mirrors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_entry_with_the_longest_prefix_names_the_mirrors() {
        let mirrors: Mirrors = toml::from_str(CONF).unwrap();
        let of = |name: &str| names(&mirrors, name, true);
        assert_eq!(of("ghcr.io/a/b"), ["mirror.example/ghcr/a/b", "second.example:5000/a/b"]);
        assert_eq!(of("ghcr.io/acme/app"), ["acme.example/images/app"]);
        assert_eq!(of("ghcr.io/acme-evil/app")[0], "mirror.example/ghcr/acme-evil/app");
        assert_eq!(of("r.example.org/app"), ["mirror.example/org/app"]);
        assert!(of("example.org/app").is_empty());
        assert!(of("localhost:5000/app").is_empty());
    }

    #[test]
    fn a_mirror_for_digests_alone_is_not_asked_for_tags() {
        let conf = r#"
            [[registry]]
            location = "r.example"
            mirror-by-digest-only = true
            [[registry.mirror]]
            location = "one.example"
            [[registry.mirror]]
            location = "two.example"
            pull-from-mirror = "tag-only"

            [[registry]]
            location = "s.example"
            [[registry.mirror]]
            location = "three.example"
            pull-from-mirror = "digest-only"
            [[registry.mirror]]
            location = "four.example"
        "#;
        let mirrors: Mirrors = toml::from_str(conf).unwrap();
        let of = |name: &str, by_digest| names(&mirrors, name, by_digest);
        assert_eq!(of("r.example/a", true), ["one.example/a"]);
        assert_eq!(of("r.example/a", false), ["two.example/a"]);
        assert_eq!(of("s.example/a", true), ["three.example/a", "four.example/a"]);
        assert_eq!(of("s.example/a", false), ["four.example/a"]);
    }
}
