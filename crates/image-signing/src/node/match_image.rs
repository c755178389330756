//! The patterns by which kubelet's credential providers say which images they are for.

/// Whether `pattern` is for the repository `repository` (registry and path). The names of the
/// registries have as many parts, in which a `*` stands for any text without a dot; their ports are
/// equal; and the path begins with that of the pattern.
pub(crate) fn matches(pattern: &str, repository: &str) -> bool {
    let pattern = pattern.split_once("://").map_or(pattern, |(_, rest)| rest);
    let ((host, port, path), (wanted_host, wanted_port, wanted_path)) =
        (split(repository), split(pattern));
    let (parts, wanted) = (host.split('.'), wanted_host.split('.'));
    port == wanted_port
        && path.starts_with(wanted_path.trim_end_matches('/'))
        && parts.clone().count() == wanted.clone().count()
        && parts.zip(wanted).all(|(part, wanted)| part_matches(wanted, part))
}

fn split(text: &str) -> (&str, Option<&str>, &str) {
    let (authority, path) = text.find('/').map_or((text, ""), |at| text.split_at(at));
    match authority.split_once(':') {
        Some((host, port)) => (host, Some(port), path),
        None => (authority, None, path),
    }
}

/// Each piece between stars is found after the one before it.
fn part_matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(text) = text.strip_prefix(first).and_then(|text| text.strip_suffix(last)) else {
        return false;
    };
    let mut text = text;
    middle.split('*').all(|piece| match text.split_once(piece) {
        Some((_, after)) => {
            text = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_kubelet() {
        for (pattern, repository) in [
            ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.eu-west-1.amazonaws.com/app"),
            ("registry.io:8080/path", "registry.io:8080/path/app"),
            ("*.azurecr.io", "acme.azurecr.io/app"),
            ("https://gcr.io", "gcr.io/a/b"),
            ("*-docker.pkg.dev", "europe-docker.pkg.dev/a/b"),
            ("a*b*c.io", "axxbyyc.io/z"),
        ] {
            assert!(matches(pattern, repository), "{pattern} {repository}");
        }
        for (pattern, repository) in [
            ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.amazonaws.com/app"),
            ("*.io", "a.b.io/app"),
            ("registry.io", "registry.io:8080/app"),
            ("registry.io/other", "registry.io/path"),
            ("*.azurecr.io", "azurecr.io.evil/app"),
            ("a*b*c.io", "axxc.io/z"),
            ("*", "a.io/b"),
        ] {
            assert!(!matches(pattern, repository), "{pattern} {repository}");
        }
    }
}
