//! Predicate types of attestations, and the short names that `cosign --type` gives them.

/// The predicate type of `name`: one of [`SHORT_NAMES`], or a URI as it is. `None` for anything
/// else.
///
/// ```
/// use ambisign_bundle::predicate_type;
///
/// assert_eq!(predicate_type::resolve("spdx"), Some("https://spdx.dev/Document"));
/// assert_eq!(predicate_type::resolve("https://x.example/y"), Some("https://x.example/y"));
/// assert_eq!(predicate_type::resolve("spx"), None);
/// ```
pub fn resolve(name: &str) -> Option<&str> {
    let short = SHORT_NAMES.iter().find(|(short, _)| *short == name);
    short.map(|(_, uri)| *uri).or_else(|| name.contains(':').then_some(name))
}

/// The short names, sorted, each with its predicate type.
pub const SHORT_NAMES: &[(&str, &str)] = &[
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("link", "https://in-toto.io/Link/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_names_are_sorted_and_none_is_a_uri() {
        assert!(SHORT_NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(SHORT_NAMES.iter().all(|(name, uri)| !name.contains(':') && uri.contains(':')));
    }
}
