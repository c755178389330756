//! Claims as Fulcio reads them: it is written in Go, and a value there is not quite what it is
//! elsewhere.

use id_token::Claims;
use serde_json::Value;

/// A claim as the text that stands in a template. Numbers lose their fractions; what is neither
/// text nor number is printed as Go prints it.
pub(crate) fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.get(name).map(|value| match value {
        Value::Number(_) => whole(value).unwrap_or_default().to_string(),
        value => printed(value),
    })
}

/// Seconds since 1970, from a number or a number in quotes.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| Some(truncated(number.as_f64()?))),
        Value::String(text) => text.parse().ok().or_else(|| Some(truncated(text.parse().ok()?))),
        _ => None,
    }
}

/// A claim for an error: short, escaped, and told apart from an absent one.
pub(crate) fn shown(value: Option<&Value>) -> String {
    match value {
        None => "none".into(),
        Some(Value::String(text)) if text.is_empty() => "an empty text".into(),
        Some(Value::String(text)) => host::escape_remote(text),
        Some(value) => host::escape_remote(&value.to_string()),
    }
}

fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" "))
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{name}:{}", printed(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        value => value.to_string(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "that is the point, and it saturates")]
fn truncated(number: f64) -> i64 {
    number as i64
}

/// What certificates of GitHub's own type are made from.
pub(crate) const GITHUB_CLAIMS: [&str; 16] = [
    "job_workflow_ref",
    "sha",
    "event_name",
    "repository",
    "workflow",
    "ref",
    "job_workflow_sha",
    "runner_environment",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "workflow_ref",
    "workflow_sha",
    "run_id",
    "run_attempt",
];

/// The same of GitLab's.
pub(crate) const GITLAB_CLAIMS: [&str; 12] = [
    "ci_config_ref_uri",
    "ci_config_sha",
    "runner_environment",
    "project_path",
    "sha",
    "ref",
    "project_id",
    "namespace_path",
    "namespace_id",
    "pipeline_source",
    "job_id",
    "project_visibility",
];

/// The same of Buildkite's.
pub(crate) const BUILDKITE_CLAIMS: [&str; 2] = ["organization_slug", "pipeline_slug"];

/// The same of Codefresh's.
pub(crate) const CODEFRESH_CLAIMS: [&str; 5] =
    ["account_id", "account_name", "pipeline_id", "pipeline_name", "workflow_id"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let Value::Object(object) = json!({
            "text": "t", "number": 10, "float": 1.9, "bool": false, "null": null,
            "list": ["a", 1], "map": {"b": 1, "a": "x"},
        }) else {
            panic!()
        };
        let claims = Claims::new(object);
        for (name, expected) in [
            ("text", "t"),
            ("number", "10"),
            ("float", "1"),
            ("bool", "false"),
            ("null", "<nil>"),
            ("list", "[a 1]"),
            ("map", "map[a:x b:1]"),
        ] {
            assert_eq!(text(&claims, name).as_deref(), Some(expected));
        }
        assert_eq!(text(&claims, "absent"), None);
    }

    #[test]
    fn a_time_may_have_a_fraction_or_quotes() {
        assert_eq!(whole(&json!(1.5)), Some(1));
        assert_eq!(whole(&json!("12")), Some(12));
        assert_eq!(whole(&json!(1e300)), Some(i64::MAX));
        assert_eq!(whole(&json!("soon")), None);
        assert_eq!(whole(&json!(null)), None);
    }
}
