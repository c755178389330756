//! What a text that should be a token looks like, in words that do not show it.

use serde_json::Value;

/// What is around a token that would be one without it, and how to remove it.
pub(crate) fn wrapping(text: &str) -> Option<&'static str> {
    if text.starts_with(['"', '\'', '`', '\u{201c}']) {
        return Some("in quotation marks: remove them");
    }
    let lower: String = text.chars().take(24).collect::<String>().to_ascii_lowercase();
    let value = lower.strip_prefix("authorization:").map_or(lower.as_str(), str::trim_start);
    if value.starts_with("bearer ") || value.starts_with("bearer:") {
        return Some("after `Bearer`: give the token alone");
    }
    if text.starts_with('{') {
        return Some(in_object(text));
    }
    if text.starts_with('[') {
        return Some("in a JSON list: give the token alone");
    }
    let (name, value) = text.split_once('=')?;
    let is_name = name.len() <= LONGEST_NAME
        && !name.starts_with("ey")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && value.trim_start_matches(['"', '\'']).starts_with("ey"))
        .then_some("after `NAME=`: give the value alone")
}

/// Names the field of the usual answers that holds the token.
fn in_object(text: &str) -> &'static str {
    let object: Option<Value> = serde_json::from_str(text).ok();
    let holds = |field: &str| {
        let value = object.as_ref().and_then(|object| object.get(field)?.as_str());
        value.is_some_and(|value| value.split('.').count() == 3)
    };
    FIELDS
        .into_iter()
        .find_map(|(field, told)| holds(field).then_some(told))
        .unwrap_or("in a JSON object: give the token alone")
}

/// The kind of a secret that tells by its first letters what it is.
pub(crate) fn known(text: &str) -> Option<&'static str> {
    PREFIXES.into_iter().find_map(|(prefix, kind)| text.starts_with(prefix).then_some(kind))
}

/// What `text` looks like.
pub(crate) fn kind(text: &str) -> &'static str {
    if let Some(kind) = known(text) {
        return kind;
    }
    if text.starts_with("ey") && text.split('.').count() == 5 {
        return "an encrypted token (JWE)";
    }
    if ["/", "./", "../", "~/"].into_iter().any(|start| text.starts_with(start)) {
        return "a path";
    }
    if text.starts_with('<') { "HTML or XML" } else { "text" }
}

/// A field of an answer, and what to do about it.
const FIELDS: [(&str, &str); 5] = [
    ("id_token", "in a JSON object: give the string of its field `id_token`"),
    ("value", "in a JSON object: give the string of its field `value`"),
    ("token", "in a JSON object: give the string of its field `token`"),
    ("access_token", "in a JSON object: give the string of its field `access_token`"),
    ("oidcToken", "in a JSON object: give the string of its field `oidcToken`"),
];

const PREFIXES: [(&str, &str); 16] = [
    ("ghp_", "a GitHub token"),
    ("gho_", "a GitHub token"),
    ("ghu_", "a GitHub token"),
    ("ghs_", "a GitHub token"),
    ("ghr_", "a GitHub token"),
    ("github_pat_", "a GitHub token"),
    ("glpat-", "a GitLab token"),
    ("glcbt-", "a GitLab token"),
    ("ya29.", "a Google access token"),
    ("AKIA", "an AWS access key ID"),
    ("ASIA", "an AWS access key ID"),
    ("dckr_pat_", "a Docker access token"),
    ("hvs.", "a Vault token"),
    ("xox", "a Slack token"),
    ("npm_", "an npm token"),
    ("-----BEGIN ", "PEM text"),
];

/// Of a variable.
const LONGEST_NAME: usize = 64;
