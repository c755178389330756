//! The paths of the distribution protocol, and its names.

/// What a path below `/v2/` means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Blob { repository: &'a str, digest: &'a str },
    Catalog,
    Manifest { repository: &'a str, reference: &'a str },
    Referrers { repository: &'a str, digest: &'a str },
    Root,
    Tags { repository: &'a str },
    Upload { repository: &'a str, id: &'a str },
    Uploads { repository: &'a str },
}

impl<'a> Route<'a> {
    /// Reads from the right, because a repository's name may hold any of the words.
    pub(super) fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix("/v2")?;
        let path = match path {
            "" | "/" => return Some(Self::Root),
            "/_catalog" => return Some(Self::Catalog),
            path => path.strip_prefix('/')?,
        };
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags { repository });
        }
        if let Some(repository) = path.strip_suffix("/blobs/uploads/") {
            return Some(Self::Uploads { repository });
        }
        if let Some(repository) = path.strip_suffix("/blobs/uploads") {
            return Some(Self::Uploads { repository });
        }
        let (rest, last) = path.rsplit_once('/')?;
        if let Some(repository) = rest.strip_suffix("/blobs/uploads") {
            return Some(Self::Upload { repository, id: last });
        }
        let (repository, kind) = rest.rsplit_once('/')?;
        match kind {
            "blobs" => Some(Self::Blob { repository, digest: last }),
            "manifests" => Some(Self::Manifest { repository, reference: last }),
            "referrers" => Some(Self::Referrers { repository, digest: last }),
            _ => None,
        }
    }

    /// The repository it is about.
    pub(super) fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Catalog | Self::Root => None,
            Self::Blob { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::Referrers { repository, .. }
            | Self::Tags { repository }
            | Self::Upload { repository, .. }
            | Self::Uploads { repository } => Some(repository),
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` in each segment, 255 bytes together.
pub(super) fn is_repository(name: &str) -> bool {
    name.len() <= 255 && name.split('/').all(is_segment)
}

fn is_segment(segment: &str) -> bool {
    let mut separators = String::new();
    let mut started = false;
    for character in segment.chars() {
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            let joined = matches!(separators.as_str(), "" | "." | "_" | "__")
                || separators.chars().all(|separator| separator == '-');
            if !joined || (!started && !separators.is_empty()) {
                return false;
            }
            started = true;
            separators.clear();
        } else if matches!(character, '.' | '_' | '-') {
            separators.push(character);
        } else {
            return false;
        }
    }
    started && separators.is_empty()
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(super) fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// `sha256:` or `sha512:` and lower-case hex of the right length.
pub(super) fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else { return false };
    let length = match algorithm {
        "sha256" => 64,
        "sha512" => 128,
        _ => return false,
    };
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    hex.len() == length && hex.bytes().all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_from_the_right() {
        let parse = Route::parse;
        assert_eq!(parse("/v2/"), Some(Route::Root));
        assert_eq!(parse("/v2/_catalog"), Some(Route::Catalog));
        assert_eq!(
            parse("/v2/a/manifests/b/manifests/latest"),
            Some(Route::Manifest { repository: "a/manifests/b", reference: "latest" })
        );
        assert_eq!(parse("/v2/a/b/blobs/uploads/"), Some(Route::Uploads { repository: "a/b" }));
        assert_eq!(
            parse("/v2/a/blobs/uploads/7"),
            Some(Route::Upload { repository: "a", id: "7" })
        );
        assert_eq!(parse("/v2/a/tags/list"), Some(Route::Tags { repository: "a" }));
        assert_eq!(parse("/v2/a/other/x"), None);
        assert_eq!(parse("/v1/a/manifests/x"), None);
    }

    #[test]
    fn names_follow_the_grammar() {
        for name in ["a", "demo/app", "a.b/c_d/e__f/g--h/0"] {
            assert!(is_repository(name), "{name}");
        }
        for name in ["", "A", "a//b", "a.", "-a", "a..b", "a___b", "a._b", "a/", "ä"] {
            assert!(!is_repository(name), "{name}");
        }
        assert!(is_tag("v1.0-rc_1") && is_tag("_") && !is_tag("") && !is_tag(".a"));
        assert!(!is_tag(&"a".repeat(129)));
        assert!(is_digest(&format!("sha256:{}", "0f".repeat(32))));
        assert!(!is_digest(&format!("sha256:{}", "0F".repeat(32))));
        assert!(!is_digest(&format!("sha512:{}", "0f".repeat(32))));
        assert!(!is_digest("md5:00") && !is_digest("latest"));
    }
}
