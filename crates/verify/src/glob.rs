//! Patterns of repositories.

/// A pattern in which `*` stands for any text without a slash and `**` for any text.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    pattern: String,
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.is_empty() || pattern.contains(['@', '?', '[', '{']) {
            return Err(format!(
                "expected a repository such as ghcr.io/acme/* without tag or digest, found \
                 {pattern:?}"
            ));
        }
        if pattern.len() > LONGEST {
            return Err(format!("expected a pattern of at most {LONGEST} bytes"));
        }
        Ok(Self { pattern: pattern.to_owned() })
    }

    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the pattern matches the whole of `text`. Takes time in proportion to the product of
    /// both lengths.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let text = text.as_bytes();
        // Whether the part of the pattern read so far matches the first `n` bytes.
        let mut reached = vec![false; text.len() + 1];
        if let Some(start) = reached.first_mut() {
            *start = true;
        }
        let mut pattern = self.pattern.as_bytes();
        while let Some((first, rest)) = pattern.split_first() {
            let deep = *first == b'*' && rest.first() == Some(&b'*');
            pattern = if deep { rest.get(1..).unwrap_or_default() } else { rest };
            let mut before = false;
            for (n, here) in reached.iter_mut().enumerate() {
                let byte = n.checked_sub(1).and_then(|last| text.get(last));
                let was = *here;
                *here = match (first, byte) {
                    (b'*', None) => was,
                    // One byte more, or none at all.
                    (b'*', Some(byte)) => was || (before && (deep || *byte != b'/')),
                    (_, None) => false,
                    (literal, Some(byte)) => before && literal == byte,
                };
                // A star continues from where it is now, a literal from where it was.
                before = if *first == b'*' { *here } else { was };
            }
        }
        reached.last().copied().unwrap_or_default()
    }

    /// How many bytes of `text` or of the pattern must change for a match: 0 for one that matches.
    /// Looks at the first bytes of a long text only, and takes time as [`Glob::matches`].
    pub(crate) fn distance(&self, text: &str) -> usize {
        let text = text.as_bytes().get(..LONGEST).unwrap_or(text.as_bytes());
        // The changes after which the part of the pattern read so far matches the first `n` bytes.
        let mut costs: Vec<usize> = (0..=text.len()).collect();
        let mut pattern = self.pattern.as_bytes();
        while let Some((first, rest)) = pattern.split_first() {
            let deep = *first == b'*' && rest.first() == Some(&b'*');
            pattern = if deep { rest.get(1..).unwrap_or_default() } else { rest };
            let mut before = (usize::MAX, usize::MAX);
            for (n, here) in costs.iter_mut().enumerate() {
                let byte = n.checked_sub(1).and_then(|last| text.get(last));
                let was = *here;
                let (left, diagonal) = before;
                *here = match (first, byte) {
                    (b'*', None) => was,
                    (b'*', Some(byte)) => was.min(left + usize::from(!deep && *byte == b'/')),
                    (_, None) => was + 1,
                    (literal, Some(byte)) => {
                        (diagonal + usize::from(literal != byte)).min(was + 1).min(left + 1)
                    }
                };
                before = (*here, was);
            }
        }
        costs.last().copied().unwrap_or_default()
    }
}

/// Whether `pattern` matches `repository`. Docker Hub has two names, which are equal.
pub(crate) fn matches(pattern: &Glob, repository: &str) -> bool {
    let other = match (repository.strip_prefix(HUB), repository.strip_prefix(HUB_INDEX)) {
        (Some(path), _) => Some(format!("{HUB_INDEX}{path}")),
        (None, Some(path)) => Some(format!("{HUB}{path}")),
        (None, None) => None,
    };
    pattern.matches(repository) || other.is_some_and(|other| pattern.matches(&other))
}

const LONGEST: usize = 1024;
const HUB: &str = "docker.io/";
const HUB_INDEX: &str = "index.docker.io/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stops_at_slashes_and_two_do_not() {
        let matches = |pattern: &str, text: &str| Glob::new(pattern).unwrap().matches(text);
        for (pattern, text) in [
            ("ghcr.io/acme/*", "ghcr.io/acme/app"),
            ("ghcr.io/acme/*", "ghcr.io/acme/"),
            ("ghcr.io/**", "ghcr.io/acme/team/app"),
            ("**/app", "ghcr.io/acme/app"),
            ("*/acme/*-prod", "ghcr.io/acme/a-b-prod"),
            ("**", ""),
            ("a*b*c", "abbcbc"),
            ("a", "a"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("ghcr.io/acme/*", "ghcr.io/acme/team/app"),
            ("ghcr.io/acme/*", "ghcrxio/acme/app"),
            ("*", "a/b"),
            ("a*b*c", "abbcb"),
            ("a", "ab"),
            ("a", ""),
            ("a/*/b", "a/b"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn the_distance_to_a_pattern_is_what_must_change_for_a_match() {
        for (pattern, text, distance) in [
            ("ghcr.io/acme/*", "ghcr.io/acme/app", 0),
            ("ghcr.io/acme/*", "ghcr.io/acme/team/app", 1),
            ("ghcr.io/acme/**", "ghcr.io/acme/team/app", 0),
            ("ghcr.io/acme/app", "ghcr.io/acme/aps", 1),
            ("ghcr.io/acme/app", "ghcr.io/acme/ap", 1),
            ("abc", "", 3),
            ("**", "", 0),
        ] {
            let glob = Glob::new(pattern).unwrap();
            assert_eq!(glob.distance(text), distance, "{pattern} {text}");
            assert_eq!(glob.matches(text), distance == 0, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product_of_the_lengths() {
        let glob = Glob::new(&"*a".repeat(500)).unwrap();
        assert!(!glob.matches(&"a".repeat(20_000).replace("aaaa", "aaa/")));
    }
}
