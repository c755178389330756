//! The variables in which jobs keep identity tokens.

/// Variables that hold an identity token, or a credential that such tokens are given for. A helper
/// program gets none of them, unless it is the one that is to use it: [`secret_variables_but`].
/// `*SUFFIX` means all variables whose name ends so.
pub const SECRET_VARIABLES: [&str; 23] = [
    // What GitLab jobs call their tokens.
    "*_ID_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "AMBISIGN_IDENTITY_TOKEN",
    "BITBUCKET_STEP_OIDC_TOKEN",
    "BUILDKITE_AGENT_ACCESS_TOKEN",
    "CF_OIDC_REQUEST_TOKEN",
    "CIRCLE_OIDC_TOKEN",
    "CIRCLE_OIDC_TOKEN_V2",
    "COSIGN_IDENTITY_TOKEN",
    "IDENTITY_HEADER",
    "ID_TOKEN",
    "NOMAD_TOKEN",
    "NOMAD_TOKEN_sigstore",
    "PLUGIN_OIDC_TOKEN_ID",
    "SEMAPHORE_OIDC_TOKEN",
    "SIGSTORE_IDENTITY_TOKEN",
    "SIGSTORE_ID_TOKEN",
    "SPACELIFT_OIDC_TOKEN",
    "SYSTEM_ACCESSTOKEN",
    "TFC_WORKLOAD_IDENTITY_TOKEN",
    "TFC_WORKLOAD_IDENTITY_TOKEN_SIGSTORE",
    "VERCEL_OIDC_TOKEN",
];

/// [`SECRET_VARIABLES`] without those of `needed`, for [`host::Invocation::without`]. What is needed
/// of a whole group of them is named in [`host::Invocation::keeping`].
pub fn secret_variables_but(needed: &[&str]) -> impl Iterator<Item = &'static str> {
    SECRET_VARIABLES.into_iter().filter(|name| !needed.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_keeps_only_the_secret_that_it_needs() {
        let without: Vec<_> = secret_variables_but(&["BUILDKITE_AGENT_ACCESS_TOKEN"]).collect();
        assert_eq!(without.len(), SECRET_VARIABLES.len() - 1);
        assert!(without.contains(&"ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
        assert!(!without.contains(&"BUILDKITE_AGENT_ACCESS_TOKEN"));
    }
}
