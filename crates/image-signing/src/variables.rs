//! Which variables of the environment are read, and which are texts.

/// Whether the variable `name` is read as text by this crate or by one below it: those of this project,
/// of the platforms whose identities it uses, and of proxies. Others that are read, such as `HOME`, are
/// paths: used byte for byte.
///
/// A value of a text that is not UTF-8 counts as another text, and so could select another identity or
/// another trusted root: a program should refuse it.
pub fn is_text_variable(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    TEXTS.split_whitespace().any(|prefix| upper.starts_with(prefix)) && !PATHS.contains(&name)
}

/// The variables that are read by this crate and by those below it, and what each is for.
pub fn variables() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../data/variables.txt").lines().filter(|it| !it.starts_with('#'));
    let rows = lines.filter_map(|line| line.split_once(": "));
    rows.flat_map(|(names, meaning)| names.split(' ').map(move |name| (name, meaning)))
}

/// How their names begin.
const TEXTS: &str = "AMBISIGN_ COSIGN_ SIGSTORE_ SPIFFE_ TUF_ ACTIONS_ AWS_ AZURE_ \
    AZURESUBSCRIPTION_ BITBUCKET_STEP_ BUILDKITE_AGENT_ CF_OIDC_ CIRCLE_OIDC_ CLOUDSDK_ \
    GCE_METADATA_ GOOGLE_ IDENTITY_ KUBERNETES_SERVICE_ SYSTEM_ACCESSTOKEN SYSTEM_OIDC \
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY";
/// Paths among them.
const PATHS: [&str; 4] =
    ["CLOUDSDK_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS", "TUF_ROOT", "TUF_ROOT_JSON"];
