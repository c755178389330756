//! The object identifiers of Fulcio's certificates, in dotted form, and their names.

/// The arc under which Fulcio's extensions stand.
pub const FULCIO_ARC: &str = "1.3.6.1.4.1.57264.1";
/// Who issued the token, as raw bytes. Superseded by [`ISSUER_V2`].
pub const ISSUER: &str = "1.3.6.1.4.1.57264.1.1";
/// The event that started a GitHub workflow, as raw bytes.
pub const GITHUB_WORKFLOW_TRIGGER: &str = "1.3.6.1.4.1.57264.1.2";
/// The commit of a GitHub workflow, as raw bytes.
pub const GITHUB_WORKFLOW_SHA: &str = "1.3.6.1.4.1.57264.1.3";
/// The name of a GitHub workflow, as raw bytes.
pub const GITHUB_WORKFLOW_NAME: &str = "1.3.6.1.4.1.57264.1.4";
/// The repository of a GitHub workflow, as raw bytes.
pub const GITHUB_WORKFLOW_REPOSITORY: &str = "1.3.6.1.4.1.57264.1.5";
/// The git reference of a GitHub workflow, as raw bytes.
pub const GITHUB_WORKFLOW_REF: &str = "1.3.6.1.4.1.57264.1.6";
/// The type of the otherName that carries a user name; no extension.
pub const OTHER_NAME: &str = "1.3.6.1.4.1.57264.1.7";
/// Who issued the token.
pub const ISSUER_V2: &str = "1.3.6.1.4.1.57264.1.8";
/// The build instructions that did the signing.
pub const BUILD_SIGNER_URI: &str = "1.3.6.1.4.1.57264.1.9";
/// The version of the build instructions.
pub const BUILD_SIGNER_DIGEST: &str = "1.3.6.1.4.1.57264.1.10";
/// Whether the runner is the platform's or the user's own.
pub const RUNNER_ENVIRONMENT: &str = "1.3.6.1.4.1.57264.1.11";
/// The repository that was built.
pub const SOURCE_REPOSITORY_URI: &str = "1.3.6.1.4.1.57264.1.12";
/// The version of the source that was built.
pub const SOURCE_REPOSITORY_DIGEST: &str = "1.3.6.1.4.1.57264.1.13";
/// The git reference that was built.
pub const SOURCE_REPOSITORY_REF: &str = "1.3.6.1.4.1.57264.1.14";
/// The number of the repository, which outlives its name.
pub const SOURCE_REPOSITORY_IDENTIFIER: &str = "1.3.6.1.4.1.57264.1.15";
/// The owner of the repository.
pub const SOURCE_REPOSITORY_OWNER_URI: &str = "1.3.6.1.4.1.57264.1.16";
/// The number of the owner.
pub const SOURCE_REPOSITORY_OWNER_IDENTIFIER: &str = "1.3.6.1.4.1.57264.1.17";
/// The top-level build instructions.
pub const BUILD_CONFIG_URI: &str = "1.3.6.1.4.1.57264.1.18";
/// The version of the top-level build instructions.
pub const BUILD_CONFIG_DIGEST: &str = "1.3.6.1.4.1.57264.1.19";
/// What started the build.
pub const BUILD_TRIGGER: &str = "1.3.6.1.4.1.57264.1.20";
/// The run itself.
pub const RUN_INVOCATION_URI: &str = "1.3.6.1.4.1.57264.1.21";
/// Whether the repository was public when it was signed.
pub const SOURCE_REPOSITORY_VISIBILITY: &str = "1.3.6.1.4.1.57264.1.22";
/// Where the build is deployed.
pub const DEPLOYMENT_ENVIRONMENT: &str = "1.3.6.1.4.1.57264.1.23";
/// The token's subject, unchanged.
pub const TOKEN_SUBJECT: &str = "1.3.6.1.4.1.57264.1.24";

/// The list of signed certificate timestamps (RFC 6962 3.3).
pub const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";
/// What marks a precertificate (RFC 6962 3.1).
pub const PRECERT_POISON: &str = "1.3.6.1.4.1.11129.2.4.3";
/// Extended key usage of a certificate that only signs precertificates (RFC 6962 3.1).
pub const PRECERT_SIGNING: &str = "1.3.6.1.4.1.11129.2.4.4";
/// Extended key usage: code signing.
pub const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
/// Extended key usage: timestamping.
pub const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const SUBJECT_ALT_NAME: &str = "2.5.29.17";

/// What Fulcio calls the extension `oid`: `SourceRepositoryURI` and the like.
pub fn name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        ISSUER => "Issuer",
        GITHUB_WORKFLOW_TRIGGER => "GithubWorkflowTrigger",
        GITHUB_WORKFLOW_SHA => "GithubWorkflowSHA",
        GITHUB_WORKFLOW_NAME => "GithubWorkflowName",
        GITHUB_WORKFLOW_REPOSITORY => "GithubWorkflowRepository",
        GITHUB_WORKFLOW_REF => "GithubWorkflowRef",
        ISSUER_V2 => "IssuerV2",
        BUILD_SIGNER_URI => "BuildSignerURI",
        BUILD_SIGNER_DIGEST => "BuildSignerDigest",
        RUNNER_ENVIRONMENT => "RunnerEnvironment",
        SOURCE_REPOSITORY_URI => "SourceRepositoryURI",
        SOURCE_REPOSITORY_DIGEST => "SourceRepositoryDigest",
        SOURCE_REPOSITORY_REF => "SourceRepositoryRef",
        SOURCE_REPOSITORY_IDENTIFIER => "SourceRepositoryIdentifier",
        SOURCE_REPOSITORY_OWNER_URI => "SourceRepositoryOwnerURI",
        SOURCE_REPOSITORY_OWNER_IDENTIFIER => "SourceRepositoryOwnerIdentifier",
        BUILD_CONFIG_URI => "BuildConfigURI",
        BUILD_CONFIG_DIGEST => "BuildConfigDigest",
        BUILD_TRIGGER => "BuildTrigger",
        RUN_INVOCATION_URI => "RunInvocationURI",
        SOURCE_REPOSITORY_VISIBILITY => "SourceRepositoryVisibilityAtSigning",
        DEPLOYMENT_ENVIRONMENT => "DeploymentEnvironment",
        TOKEN_SUBJECT => "TokenSubject",
        _ => return None,
    })
}

/// The key under which cosign prints the extension `oid`, for the five that it names.
pub fn cosign_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        GITHUB_WORKFLOW_TRIGGER => "githubWorkflowTrigger",
        GITHUB_WORKFLOW_SHA => "githubWorkflowSha",
        GITHUB_WORKFLOW_NAME => "githubWorkflowName",
        GITHUB_WORKFLOW_REPOSITORY => "githubWorkflowRepository",
        GITHUB_WORKFLOW_REF => "githubWorkflowRef",
        _ => return None,
    })
}

/// The one name of the extension `oid` in reports and errors: cosign's where it has one, else Fulcio's.
pub fn reported_name(oid: &str) -> Option<&'static str> {
    cosign_name(oid).or_else(|| name(oid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extension_of_the_arc_has_a_name_and_the_other_name_has_none() {
        for number in 1..=24 {
            let oid = format!("{FULCIO_ARC}.{number}");
            assert_eq!(name(&oid).is_some(), oid != OTHER_NAME, "{oid}");
        }
        assert_eq!(name("1.3.6.1.4.1.57264.1.25"), None);
        assert_eq!(name("1.3.6.1.4.1.57264.1.08"), None);
    }

    #[test]
    fn cosign_names_the_five_old_workflow_extensions() {
        let named = (1..=24).filter(|n| cosign_name(&format!("{FULCIO_ARC}.{n}")).is_some());
        assert_eq!(named.collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    }
}
