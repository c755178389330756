//! Whether this is a CI job.

use host::Env;

/// The variable that says that this is a CI job, where no user can answer a question.
pub fn ci_marker(env: &dyn Env) -> Option<&'static str> {
    let is_set = |name: &&str| {
        env.var(name).is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "False"))
    };
    MARKERS.into_iter().find(is_set)
}

/// Whether the runner of this job obeys GitHub's workflow commands, such as `::add-mask::`, which hides
/// a token in its log.
pub fn masks_tokens(env: &dyn Env) -> bool {
    let runners = ["GITHUB_ACTIONS", "FORGEJO_ACTIONS", "GITEA_ACTIONS"];
    runners.iter().any(|name| env.var(name).as_deref() == Some("true"))
}

const MARKERS: [&str; 18] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "BUILDKITE",
    "CIRCLECI",
    "CF_BUILD_ID",
    "BUDDY",
    "TF_BUILD",
    "BITBUCKET_BUILD_NUMBER",
    "SEMAPHORE",
    "TFC_RUN_ID",
    "VERCEL",
    "JENKINS_URL",
    "TEAMCITY_VERSION",
    "HARNESS_BUILD_ID",
    "SPACELIFT_OIDC_TOKEN",
    "DRONE",
    "CODEBUILD_BUILD_ID",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_that_says_no_is_none() {
        assert_eq!(ci_marker(&[("CI", "true"), ("DRONE", "true")]), Some("CI"));
        assert_eq!(
            ci_marker(&[("CI", "false"), ("JENKINS_URL", "https://ci/")]),
            Some("JENKINS_URL")
        );
        assert_eq!(ci_marker(&[("CI", "0"), ("USER", "me")]), None);
    }
}
