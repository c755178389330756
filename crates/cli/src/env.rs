//! The process environment as a whole.

/// The name of a variable that this program may read and whose value is not UTF-8. It would count
/// as unset, and so could select another identity or another trusted root.
pub(crate) fn unreadable() -> Option<String> {
    std::env::vars_os().find_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let ours = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        (ours && value.to_str().is_none()).then_some(name)
    })
}

const PREFIXES: [&str; 5] = ["AMBISIGN_", "COSIGN_", "SIGSTORE_", "SPIFFE_", "TUF_"];
