//! The CI platforms whose certificates Fulcio makes by templates, and these templates, as the
//! configuration of the public instance has them.

use id_token::Claims;
use x509::oid;

use crate::claims::text;

/// A CI platform that Fulcio has a template for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CiProvider {
    /// Buddy.
    Buddy,
    /// Buildkite.
    Buildkite,
    /// CircleCI.
    CircleCi,
    /// Codefresh.
    Codefresh,
    /// GitHub Actions.
    GitHub,
    /// GitLab CI.
    GitLab,
}

impl CiProvider {
    pub(crate) const ALL: [Self; 6] =
        [Self::Buddy, Self::Buildkite, Self::CircleCi, Self::Codefresh, Self::GitHub, Self::GitLab];

    /// As Fulcio's configuration names its template: `github-workflow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Buddy => "buddy-pipeline",
            Self::Buildkite => "buildkite-job",
            Self::CircleCi => "circleci-job",
            Self::Codefresh => "codefresh-workflow",
            Self::GitHub => "github-workflow",
            Self::GitLab => "gitlab-pipeline",
        }
    }

    /// The platform whose template has that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.as_str() == name)
    }

    /// Whose token it is, as Fulcio's configuration does not tell: by the public issuers, else by
    /// claims that no other platform has.
    ///
    /// Forgejo's tokens look like GitHub's at first sight and are not: they lack the claims that
    /// GitHub's template needs, so that it cannot be theirs.
    pub fn guess(claims: &Claims) -> Option<Self> {
        let is_under = |root: &str| {
            let rest = claims.issuer().and_then(|issuer| issuer.strip_prefix(root));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let all = |names: &[&str]| names.iter().all(|name| claims.get(name).is_some());
        let any = |names: &[&str]| names.iter().any(|name| claims.get(name).is_some());
        let circle = || claims.as_object().keys().any(|name| name.starts_with(CIRCLE));
        if is_under("https://token.actions.githubusercontent.com")
            || any(&["job_workflow_ref", "job_workflow_sha"])
            || all(&["repository_visibility", "runner_environment", "repository_owner_id"])
        {
            Some(Self::GitHub)
        } else if is_under("https://gitlab.com")
            || any(&["ci_config_ref_uri", "ci_config_sha"])
            || all(&["project_path", "namespace_path"])
        {
            Some(Self::GitLab)
        } else if is_under("https://agent.buildkite.com")
            || all(&["organization_slug", "pipeline_slug"])
        {
            Some(Self::Buildkite)
        } else if is_under("https://oidc.circleci.com") || circle() {
            Some(Self::CircleCi)
        } else if is_under("https://oidc.codefresh.io")
            || all(&["account_id", "pipeline_id"])
            || all(&["account_name", "pipeline_name"])
        {
            Some(Self::Codefresh)
        } else if all(&["workspace_domain", "project_name"])
            || all(&["workspace_domain", "execution_id"])
        {
            Some(Self::Buddy)
        } else {
            None
        }
    }

    /// Where an instance of this platform lies that is not the public one, as the token tells it.
    /// Whoever runs a Fulcio for such an instance has to write it into the template.
    ///
    /// GitHub Enterprise Server is `https://HOST` with the issuer `https://HOST/_services/token`,
    /// data residency `https://SUB.ghe.com` with `https://token.actions.SUB.ghe.com`. A GitLab's
    /// issuer is its address, which its configurations lie under.
    pub(crate) fn guess_url(self, claims: &Claims) -> Option<String> {
        let issuer = claims.issuer()?;
        match self {
            Self::GitHub => {
                let data_residency = || {
                    let host = issuer.strip_prefix("https://token.actions.")?.split('/').next()?;
                    host.ends_with(".ghe.com").then(|| format!("https://{host}"))
                };
                let server = issuer.strip_suffix("/_services/token");
                server.map(str::to_owned).or_else(data_residency)
            }
            Self::GitLab => {
                let instance = issuer.trim_end_matches('/');
                let (_, address) = instance.split_once("://")?;
                let configuration = claims.get("ci_config_ref_uri")?.as_str()?;
                let is_below = configuration.strip_prefix(address)?.starts_with('/');
                is_below.then(|| instance.to_owned())
            }
            Self::Buddy | Self::Buildkite | Self::CircleCi | Self::Codefresh => None,
        }
    }

    /// Whether its template has the value that says where the platform is.
    pub(crate) fn has_url(self) -> bool {
        self.template().defaults.iter().any(|(name, _)| URLS.contains(name))
    }

    /// Makes the subject's URI and the extensions in order. An extension with an empty value is
    /// left out. `url` says where the platform is, if not in its public place.
    ///
    /// # Errors
    /// The name of the first claim that is needed and missing.
    pub(crate) fn render(self, url: Option<&str>, claims: &Claims) -> Result<Rendered, String> {
        let (template, values) = (self.template(), Values { url, claims });
        let subject = template.render(template.subject, &values)?;
        let mut extensions = Vec::new();
        for (oid, source) in template.extensions {
            let value = template.render(source, &values)?;
            if !value.is_empty() {
                extensions.push((*oid, value));
            }
        }
        Ok(Rendered { subject, extensions })
    }

    fn template(self) -> &'static Template {
        match self {
            Self::Buddy => &BUDDY,
            Self::Buildkite => &BUILDKITE,
            Self::CircleCi => &CIRCLECI,
            Self::Codefresh => &CODEFRESH,
            Self::GitHub => &GITHUB,
            Self::GitLab => &GITLAB,
        }
    }
}

/// What a template makes of claims.
pub(crate) struct Rendered {
    /// The URI that names the identity.
    pub(crate) subject: String,
    /// Object identifiers and values.
    pub(crate) extensions: Vec<(&'static str, String)>,
}

/// What a template is filled with.
struct Values<'a> {
    url: Option<&'a str>,
    claims: &'a Claims,
}

/// A claim is `{name}`, and an error where it is missing, or `{name?}`, and then empty.
struct Template {
    defaults: &'static [(&'static str, &'static str)],
    subject: &'static str,
    extensions: &'static [(&'static str, &'static str)],
}

impl Template {
    fn render(&self, source: &str, values: &Values<'_>) -> Result<String, String> {
        let mut rendered = String::new();
        let mut rest = source;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            rendered.push_str(before);
            rendered.push_str(&self.value(name, values)?);
            rest = after;
        }
        rendered.push_str(rest);
        Ok(rendered)
    }

    fn value(&self, name: &str, values: &Values<'_>) -> Result<String, String> {
        let claims = values.claims;
        match name {
            GITLAB_REF => {
                let is_branch = self.value("ref_type", values)? == "branch";
                return Ok(if is_branch { "refs/heads/" } else { "refs/tags/" }.into());
            }
            CIRCLECI_RUNNER => {
                // The two quotes are what the template writes, and so what the certificate has.
                let rerun = text(claims, "oidc.circleci.com/ssh-rerun");
                let is_rerun = rerun.as_deref() == Some("true");
                return Ok(if is_rerun { "ssh-rerun" } else { "\"\"" }.into());
            }
            _ => {}
        }
        let (name, is_optional) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
        let default = self.defaults.iter().find(|(known, _)| *known == name);
        match (text(claims, name), default) {
            (Some(value), _) => Ok(value),
            (None, Some((name, default))) => {
                let url = values.url.filter(|_| URLS.contains(name));
                Ok(url.unwrap_or(default).to_owned())
            }
            (None, None) if is_optional => Ok(String::new()),
            (None, None) => Err(name.to_owned()),
        }
    }
}

/// What templates call the place of the platform.
const URLS: [&str; 2] = ["url", "platform_url"];
const CIRCLE: &str = "oidc.circleci.com/";
/// Not a claim: the beginning of a git reference that GitLab leaves out.
const GITLAB_REF: &str = "=gitlab-ref";
/// Not a claim: whether others could have changed the job.
const CIRCLECI_RUNNER: &str = "=circleci-runner";

static GITHUB: Template = Template {
    defaults: &[("url", "https://github.com"), ("environment", "")],
    subject: "{url}/{job_workflow_ref}",
    extensions: &[
        (oid::GITHUB_WORKFLOW_TRIGGER, "{event_name}"),
        (oid::GITHUB_WORKFLOW_SHA, "{sha}"),
        (oid::GITHUB_WORKFLOW_NAME, "{workflow}"),
        (oid::GITHUB_WORKFLOW_REPOSITORY, "{repository}"),
        (oid::GITHUB_WORKFLOW_REF, "{ref}"),
        (oid::BUILD_SIGNER_URI, "{url}/{job_workflow_ref}"),
        (oid::BUILD_SIGNER_DIGEST, "{job_workflow_sha}"),
        (oid::RUNNER_ENVIRONMENT, "{runner_environment}"),
        (oid::SOURCE_REPOSITORY_URI, "{url}/{repository}"),
        (oid::SOURCE_REPOSITORY_DIGEST, "{sha}"),
        (oid::SOURCE_REPOSITORY_REF, "{ref}"),
        (oid::SOURCE_REPOSITORY_IDENTIFIER, "{repository_id}"),
        (oid::SOURCE_REPOSITORY_OWNER_URI, "{url}/{repository_owner}"),
        (oid::SOURCE_REPOSITORY_OWNER_IDENTIFIER, "{repository_owner_id}"),
        (oid::BUILD_CONFIG_URI, "{url}/{workflow_ref}"),
        (oid::BUILD_CONFIG_DIGEST, "{workflow_sha}"),
        (oid::BUILD_TRIGGER, "{event_name}"),
        (
            oid::RUN_INVOCATION_URI,
            "{url}/{repository}/actions/runs/{run_id}/attempts/{run_attempt}",
        ),
        (oid::SOURCE_REPOSITORY_VISIBILITY, "{repository_visibility}"),
        (oid::DEPLOYMENT_ENVIRONMENT, "{environment}"),
    ],
};

static GITLAB: Template = Template {
    defaults: &[("url", "https://gitlab.com"), ("environment", "")],
    subject: "https://{ci_config_ref_uri}",
    extensions: &[
        (oid::BUILD_SIGNER_URI, "https://{ci_config_ref_uri}"),
        (oid::BUILD_SIGNER_DIGEST, "{ci_config_sha}"),
        (oid::RUNNER_ENVIRONMENT, "{runner_environment}"),
        (oid::SOURCE_REPOSITORY_URI, "{url}/{project_path}"),
        (oid::SOURCE_REPOSITORY_DIGEST, "{sha}"),
        (oid::SOURCE_REPOSITORY_REF, "{=gitlab-ref}{ref}"),
        (oid::SOURCE_REPOSITORY_IDENTIFIER, "{project_id}"),
        (oid::SOURCE_REPOSITORY_OWNER_URI, "{url}/{namespace_path}"),
        (oid::SOURCE_REPOSITORY_OWNER_IDENTIFIER, "{namespace_id}"),
        (oid::BUILD_CONFIG_URI, "https://{ci_config_ref_uri}"),
        (oid::BUILD_CONFIG_DIGEST, "{ci_config_sha}"),
        (oid::BUILD_TRIGGER, "{pipeline_source}"),
        (oid::RUN_INVOCATION_URI, "{url}/{project_path}/-/jobs/{job_id}"),
        (oid::SOURCE_REPOSITORY_VISIBILITY, "{project_visibility}"),
        (oid::DEPLOYMENT_ENVIRONMENT, "{environment}"),
    ],
};

static BUILDKITE: Template = Template {
    defaults: &[("url", "https://buildkite.com")],
    subject: "{url}/{organization_slug}/{pipeline_slug}",
    extensions: &[
        (oid::RUNNER_ENVIRONMENT, "{runner_environment}"),
        (oid::SOURCE_REPOSITORY_DIGEST, "{build_commit}"),
        (oid::BUILD_TRIGGER, "{build_source}"),
        (
            oid::RUN_INVOCATION_URI,
            "{url}/{organization_slug}/{pipeline_slug}/builds/{build_number}#{job_id}",
        ),
    ],
};

static CIRCLECI: Template = Template {
    defaults: &[],
    subject: "https://circleci.com/api/v2/projects/{oidc.circleci.com/project-id?}/pipeline-definitions/{oidc.circleci.com/pipeline-definition-id?}",
    extensions: &[
        (
            oid::BUILD_SIGNER_URI,
            "https://circleci.com/api/v2/projects/{oidc.circleci.com/project-id?}/pipeline-definitions/{oidc.circleci.com/pipeline-definition-id?}",
        ),
        (oid::RUNNER_ENVIRONMENT, "{=circleci-runner}"),
        (oid::SOURCE_REPOSITORY_URI, "{oidc.circleci.com/vcs-origin?}"),
        (oid::SOURCE_REPOSITORY_REF, "{oidc.circleci.com/vcs-ref?}"),
        (
            oid::BUILD_CONFIG_URI,
            "https://circleci.com/api/v2/pipeline/{oidc.circleci.com/pipeline-id?}/config",
        ),
        (
            oid::RUN_INVOCATION_URI,
            "https://app.circleci.com//workflow/{oidc.circleci.com/workflow-id?}/job/{oidc.circleci.com/job-id?}",
        ),
    ],
};

static CODEFRESH: Template = Template {
    defaults: &[("platform_url", "https://g.codefresh.io")],
    subject: "{platform_url}/{account_name}/{pipeline_name}:{account_id}/{pipeline_id}",
    extensions: &[
        (oid::BUILD_SIGNER_URI, "{platform_url}/build/{workflow_id}"),
        (oid::RUNNER_ENVIRONMENT, "{runner_environment?}"),
        (oid::SOURCE_REPOSITORY_URI, "{scm_repo_url?}"),
        (oid::SOURCE_REPOSITORY_REF, "{scm_ref?}"),
        (oid::BUILD_CONFIG_URI, "{platform_url}/api/pipelines/{pipeline_id}"),
        (oid::RUN_INVOCATION_URI, "{platform_url}/build/{workflow_id}"),
    ],
};

static BUDDY: Template = Template {
    defaults: &[],
    subject: "{base_url}/{workspace_domain}/{project_name}/pipelines/pipeline/{pipeline_id}",
    extensions: &[
        (
            oid::BUILD_SIGNER_URI,
            "{base_url}/{workspace_domain}/{project_name}/pipelines/pipeline/{pipeline_id}",
        ),
        (oid::RUNNER_ENVIRONMENT, "{runner_environment}"),
        (oid::SOURCE_REPOSITORY_URI, "{base_url}/{workspace_domain}/{project_name}"),
        (oid::SOURCE_REPOSITORY_DIGEST, "{revision?}"),
        (oid::SOURCE_REPOSITORY_REF, "{ref?}"),
        (oid::SOURCE_REPOSITORY_OWNER_URI, "{base_url}/{workspace_domain}"),
        (oid::BUILD_TRIGGER, "{triggered_on}"),
        (
            oid::RUN_INVOCATION_URI,
            "{base_url}/{workspace_domain}/{project_name}/pipelines/pipeline/{pipeline_id}/execution/{execution_id}",
        ),
    ],
};
