//! CI providers: how Fulcio makes a certificate from the claims of a job's token.
//!
//! The rules are data, in the words of Fulcio's own configuration: the name of a claim, or a text
//! in which `{{ .claim }}` stands for one that must be there and `{{ index . "claim" }}` for one
//! that may be missing.

use serde_json::{Map, Value};

use crate::ca::{Identity, San};

/// A continuous-integration service whose tokens Fulcio understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CiProvider {
    /// As Fulcio's configuration names its template.
    template: &'static str,
    rules: &'static Rules,
}

/// The rules of one provider.
#[derive(Debug, PartialEq, Eq)]
struct Rules {
    /// Claims that count as present unless the token has them.
    defaults: &'static [(&'static str, &'static str)],
    san: &'static str,
    extensions: &'static [(u32, &'static str)],
}

impl CiProvider {
    /// Buddy.
    pub const BUDDY: Self = Self { template: "buddy-pipeline", rules: &BUDDY };
    /// Buildkite.
    pub const BUILDKITE: Self = Self { template: "buildkite-job", rules: &BUILDKITE };
    /// CircleCI.
    pub const CIRCLECI: Self = Self { template: "circleci-job", rules: &CIRCLECI };
    /// Codefresh.
    pub const CODEFRESH: Self = Self { template: "codefresh-workflow", rules: &CODEFRESH };
    /// GitHub Actions.
    pub const GITHUB: Self = Self { template: "github-workflow", rules: &GITHUB };
    /// GitLab CI.
    pub const GITLAB: Self = Self { template: "gitlab-pipeline", rules: &GITLAB };

    /// As Fulcio's configuration names its template: `github-workflow`.
    pub fn template(self) -> &'static str {
        self.template
    }

    /// What the certificate says for a token with these claims, or Fulcio's words for why there is
    /// none. `issuer` appears in one of them.
    pub(super) fn render(
        self,
        claims: &Map<String, Value>,
        issuer: &str,
    ) -> Result<Identity, String> {
        let rules = self.rules;
        let lookup = |name: &str| match claims.get(name) {
            Some(value) => Some(text(value)),
            None => rules
                .defaults
                .iter()
                .find(|(default, _)| *default == name)
                .map(|(_, value)| (*value).to_owned()),
        };
        let san = San::Uri(fill(rules.san, &lookup)?);
        let mut extensions = Vec::with_capacity(rules.extensions.len());
        for (arc, rule) in rules.extensions {
            let value = if *rule == GITLAB_REF {
                gitlab_ref(&lookup)?
            } else if rule.contains("{{") || *rule == CIRCLECI_RUNNER {
                fill(rule, &lookup)?
            } else {
                lookup(rule).ok_or_else(|| absent(rule, *arc, issuer))?
            };
            extensions.push((*arc, value));
        }
        Ok(Identity { san, extensions })
    }

    /// As [`render`](Self::render), for the issuer types that were there before CI providers:
    /// they know no deployment environment, and Buildkite's knows nothing but the name.
    pub(super) fn render_as_old_type(self, claims: &Map<String, Value>) -> Option<Identity> {
        let mut identity = self.render(claims, "").ok()?;
        if self == Self::BUILDKITE {
            identity.extensions.clear();
        }
        identity.extensions.retain(|(arc, _)| *arc != DEPLOYMENT_ENVIRONMENT);
        identity.extensions.iter().all(|(_, value)| !value.is_empty()).then_some(identity)
    }
}

const DEPLOYMENT_ENVIRONMENT: u32 = 23;

/// Stands for the one rule with a condition: a branch's or a tag's full name.
const GITLAB_REF: &str = "{{ gitlab ref }}";

/// CircleCI's configuration says `""` and gets just that.
const CIRCLECI_RUNNER: &str = "\"\"";

static BUDDY: Rules = Rules {
    defaults: &[],
    san: "{{ .base_url }}/{{ .workspace_domain }}/{{ .project_name }}/pipelines/pipeline/{{ .pipeline_id }}",
    extensions: &[
        (
            9,
            "{{ .base_url }}/{{ .workspace_domain }}/{{ .project_name }}/pipelines/pipeline/{{ .pipeline_id }}",
        ),
        (11, "runner_environment"),
        (12, "{{ .base_url }}/{{ .workspace_domain }}/{{ .project_name }}"),
        (13, "revision"),
        (14, "ref"),
        (16, "{{ .base_url }}/{{ .workspace_domain }}"),
        (20, "triggered_on"),
        (
            21,
            "{{ .base_url }}/{{ .workspace_domain }}/{{ .project_name }}/pipelines/pipeline/{{ .pipeline_id }}/execution/{{ .execution_id }}",
        ),
    ],
};

static BUILDKITE: Rules = Rules {
    defaults: &[("url", "https://buildkite.com")],
    san: "{{ .url }}/{{ .organization_slug }}/{{ .pipeline_slug }}",
    extensions: &[
        (11, "runner_environment"),
        (13, "build_commit"),
        (20, "build_source"),
        (
            21,
            "{{ .url }}/{{ .organization_slug }}/{{ .pipeline_slug }}/builds/{{ .build_number }}#{{ .job_id }}",
        ),
    ],
};

static CIRCLECI: Rules = Rules {
    defaults: &[],
    san: "https://circleci.com/api/v2/projects/{{ index . \"oidc.circleci.com/project-id\" }}/pipeline-definitions/{{ index . \"oidc.circleci.com/pipeline-definition-id\" }}",
    extensions: &[
        (
            9,
            "https://circleci.com/api/v2/projects/{{ index . \"oidc.circleci.com/project-id\" }}/pipeline-definitions/{{ index . \"oidc.circleci.com/pipeline-definition-id\" }}",
        ),
        (11, CIRCLECI_RUNNER),
        (12, "{{ index . \"oidc.circleci.com/vcs-origin\" }}"),
        (14, "{{ index . \"oidc.circleci.com/vcs-ref\" }}"),
        (
            18,
            "https://circleci.com/api/v2/pipeline/{{ index . \"oidc.circleci.com/pipeline-id\" }}/config",
        ),
        (
            21,
            "https://app.circleci.com//workflow/{{ index . \"oidc.circleci.com/workflow-id\" }}/job/{{ index . \"oidc.circleci.com/job-id\" }}",
        ),
    ],
};

static CODEFRESH: Rules = Rules {
    defaults: &[("platform_url", "https://g.codefresh.io")],
    san: "{{ .platform_url }}/{{ .account_name }}/{{ .pipeline_name }}:{{ .account_id }}/{{ .pipeline_id }}",
    extensions: &[
        (9, "{{ .platform_url }}/build/{{ .workflow_id }}"),
        (11, "runner_environment"),
        (12, "scm_repo_url"),
        (14, "scm_ref"),
        (18, "{{ .platform_url }}/api/pipelines/{{ .pipeline_id }}"),
        (21, "{{ .platform_url }}/build/{{ .workflow_id }}"),
    ],
};

static GITHUB: Rules = Rules {
    defaults: &[("url", "https://github.com"), ("environment", "")],
    san: "{{ .url }}/{{ .job_workflow_ref }}",
    extensions: &[
        (2, "event_name"),
        (3, "sha"),
        (4, "workflow"),
        (5, "repository"),
        (6, "ref"),
        (9, "{{ .url }}/{{ .job_workflow_ref }}"),
        (10, "job_workflow_sha"),
        (11, "runner_environment"),
        (12, "{{ .url }}/{{ .repository }}"),
        (13, "sha"),
        (14, "ref"),
        (15, "repository_id"),
        (16, "{{ .url }}/{{ .repository_owner }}"),
        (17, "repository_owner_id"),
        (18, "{{ .url }}/{{ .workflow_ref }}"),
        (19, "workflow_sha"),
        (20, "event_name"),
        (21, "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}/attempts/{{ .run_attempt }}"),
        (22, "repository_visibility"),
        (DEPLOYMENT_ENVIRONMENT, "environment"),
    ],
};

static GITLAB: Rules = Rules {
    defaults: &[("url", "https://gitlab.com"), ("environment", "")],
    san: "https://{{ .ci_config_ref_uri }}",
    extensions: &[
        (9, "https://{{ .ci_config_ref_uri }}"),
        (10, "ci_config_sha"),
        (11, "runner_environment"),
        (12, "{{ .url }}/{{ .project_path }}"),
        (13, "sha"),
        (14, GITLAB_REF),
        (15, "project_id"),
        (16, "{{ .url }}/{{ .namespace_path }}"),
        (17, "namespace_id"),
        (18, "https://{{ .ci_config_ref_uri }}"),
        (19, "ci_config_sha"),
        (20, "pipeline_source"),
        (21, "{{ .url }}/{{ .project_path }}/-/jobs/{{ .job_id }}"),
        (22, "project_visibility"),
        (DEPLOYMENT_ENVIRONMENT, "environment"),
    ],
};

fn gitlab_ref(lookup: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let branch = fill("{{ .ref_type }}", lookup)? == "branch";
    fill(if branch { "refs/heads/{{ .ref }}" } else { "refs/tags/{{ .ref }}" }, lookup)
}

/// Fills a template in. The error is that of Go's text/template with `missingkey=error`.
fn fill(template: &str, lookup: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{ ") {
        filled.push_str(before);
        let offset = template.len() - after.len();
        let (action, after) = after.split_once(" }}").unwrap_or((after, ""));
        if let Some(name) = action.strip_prefix("index . ") {
            filled.push_str(&lookup(name.trim_matches('"')).unwrap_or_default());
        } else {
            let name = action.trim_start_matches('.');
            let value = lookup(name).ok_or_else(|| {
                format!(
                    "template: :1:{offset}: executing \"\" at <.{name}>: \
                     map has no entry for key \"{name}\""
                )
            })?;
            filled.push_str(&value);
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn absent(claim: &str, arc: u32, issuer: &str) -> String {
    let name = match arc {
        10 => "BuildSignerDigest",
        11 => "RunnerEnvironment",
        12 => "SourceRepositoryURI",
        13 => "SourceRepositoryDigest",
        14 => "SourceRepositoryRef",
        15 => "SourceRepositoryIdentifier",
        17 => "SourceRepositoryOwnerIdentifier",
        19 => "BuildConfigDigest",
        20 => "BuildTrigger",
        22 => "SourceRepositoryVisibilityAtSigning",
        _ => "Extension",
    };
    format!(
        "value <{claim}> not present in either claims or defaults. \
         {{\n\t\"ExtensionName\": \"{name}\",\n\t\"Issuer\": \"{issuer}\"\n}}"
    )
}

/// A claim as Go prints it: numbers as integers, strings bare.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(pairs: &[(&str, &str)]) -> Map<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
    }

    #[test]
    fn a_claim_that_a_template_needs_is_missed_in_gos_words() {
        let error = CiProvider::GITLAB.render(&Map::new(), "https://gitlab").unwrap_err();
        assert_eq!(
            error,
            "template: :1:11: executing \"\" at <.ci_config_ref_uri>: \
             map has no entry for key \"ci_config_ref_uri\""
        );
        let error = CiProvider::GITHUB.render(&Map::new(), "https://github").unwrap_err();
        assert!(error.starts_with("template: :1:14: "), "{error}");
    }

    #[test]
    fn a_claim_that_is_copied_whole_is_missed_in_fulcios_words() {
        let claims = claims(&[("organization_slug", "o"), ("pipeline_slug", "p")]);
        let error = CiProvider::BUILDKITE.render(&claims, "https://iss").unwrap_err();
        assert_eq!(
            error,
            "value <runner_environment> not present in either claims or defaults. \
             {\n\t\"ExtensionName\": \"RunnerEnvironment\",\n\t\"Issuer\": \"https://iss\"\n}"
        );
    }

    #[test]
    fn a_token_overrides_a_default() {
        let claims = claims(&[("url", "https://github.corp"), ("job_workflow_ref", "o/r@m")]);
        let lookup = |name: &str| claims.get(name).map(text);
        assert_eq!(fill(GITHUB.san, &lookup).unwrap(), "https://github.corp/o/r@m");
    }

    #[test]
    fn numbers_are_written_as_integers_and_missing_indexed_claims_as_nothing() {
        let lookup = |name: &str| (name == "n").then(|| text(&Value::from(7)));
        assert_eq!(fill("a{{ .n }}b{{ index . \"x/y\" }}c", &lookup).unwrap(), "a7bc");
    }
}
