//! The process environment as a whole.

/// The name of a variable that this program may read as text and whose value is not UTF-8. It
/// would count as another text, and so could select another identity or another trusted root.
pub(crate) fn unreadable() -> Option<String> {
    std::env::vars_os().find_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let is_path = PATHS.contains(&name.as_str());
        let upper = name.to_ascii_uppercase();
        let is_text = PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) && !is_path;
        (is_text && value.to_str().is_none()).then_some(name)
    })
}

/// Of this program, of the platforms whose identities it uses, and of proxies. The others that it
/// reads, such as HOME, are paths: used byte for byte.
const PREFIXES: [&str; 24] = [
    "AMBISIGN_",
    "COSIGN_",
    "SIGSTORE_",
    "SPIFFE_",
    "TUF_",
    "ACTIONS_",
    "AWS_",
    "AZURE_",
    "AZURESUBSCRIPTION_",
    "BITBUCKET_STEP_",
    "BUILDKITE_AGENT_",
    "CF_OIDC_",
    "CIRCLE_OIDC_",
    "CLOUDSDK_",
    "GCE_METADATA_",
    "GOOGLE_",
    "IDENTITY_",
    "KUBERNETES_SERVICE_",
    "SYSTEM_ACCESSTOKEN",
    "SYSTEM_OIDC",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];
/// Paths among them.
const PATHS: [&str; 4] =
    ["CLOUDSDK_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS", "TUF_ROOT", "TUF_ROOT_JSON"];
