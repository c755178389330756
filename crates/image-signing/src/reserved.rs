//! Names that a signer's annotations must not have, because verified facts are reported under them.

use x509::oid;

/// Whether `name` is one under which a verified fact is reported. Upper and lower case count as
/// the same, with and without underscores: many JSON readers do not tell them apart, and earlier
/// versions wrote `LogURL`.
pub(crate) fn is_reserved(name: &str) -> bool {
    let plain = name.replace('_', "");
    let is = |fact: &str| fact.replace('_', "").eq_ignore_ascii_case(&plain);
    let extension = |number: u8| {
        let oid = format!("{}.{number}", oid::FULCIO_ARC);
        [oid::name(&oid), oid::cosign_name(&oid)].into_iter().flatten().any(is)
    };
    FACTS.into_iter().any(is)
        || (1..=LAST_EXTENSION).any(extension)
        || name.starts_with(oid::FULCIO_ARC)
}

/// The facts that are not extensions of the certificate: ours and cosign's.
const FACTS: [&str; 11] = [
    "Bundle",
    "bundle_digest",
    "Issuer",
    "log_index",
    "log_url",
    "public_key",
    "RFC3161Timestamp",
    "signing_time",
    "signing_time_source",
    "Subject",
    "Unknown",
];

/// More than Fulcio has defined; those without a name do not matter.
const LAST_EXTENSION: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_verified_facts_are_reserved_in_any_case() {
        for name in [
            "SourceRepositoryURI",
            "sourcerepositoryuri",
            "RunnerEnvironment",
            "TokenSubject",
            "githubWorkflowSha",
            "Subject",
            "issuer",
            "bundle_digest",
            "BundleDigest",
            "LogURL",
            "1.3.6.1.4.1.57264.1.99",
        ] {
            assert!(is_reserved(name), "{name}");
        }
    }

    #[test]
    fn other_names_are_free() {
        for name in ["env", "build", "subjects", "org.opencontainers.image.source", ""] {
            assert!(!is_reserved(name), "{name}");
        }
    }
}
