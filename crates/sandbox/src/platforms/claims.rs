//! What the tokens of each platform say, beside the registered claims.

use serde_json::{Map, Value, json};

use crate::github::GithubJob;

/// The service account of the machine.
pub(crate) const MACHINE: &str = "machine@sandbox-project.iam.gserviceaccount.com";

/// The service account that the machine may impersonate.
pub(crate) const SIGNER: &str = "signer@sandbox-project.iam.gserviceaccount.com";

/// Namespace and name of the pod's service account.
pub(crate) const SERVICE_ACCOUNT: (&str, &str) = ("build", "signer");

/// What the token of an issuer says unless it is asked for something else: enough for a
/// certificate, where Fulcio issues one.
pub(crate) fn default(issuer: &str, job: &GithubJob, workload: &str) -> Map<String, Value> {
    match issuer {
        "github" => github(job),
        "forgejo" => forgejo(),
        "gitlab" => gitlab(),
        "buildkite" => buildkite(),
        "circleci" => circleci(),
        "codefresh" => codefresh(),
        "buddy" => buddy(),
        "kubernetes" => kubernetes(),
        "chainguard" => chainguard(),
        "email" => person(),
        "dex" => {
            let mut claims = person();
            let connector = json!({ "connector_id": "https://github.com/login/oauth" });
            claims.insert("federated_claims".to_owned(), connector);
            claims
        }
        "spiffe" => subject(workload),
        "uri" => subject("http://localhost/users/someone"),
        _ => subject("someone"),
    }
}

pub(crate) fn github(job: &GithubJob) -> Map<String, Value> {
    job.claims()
}

/// Forgejo's look like GitHub's and lack those that GitHub's certificate is made of.
pub(crate) fn forgejo() -> Map<String, Value> {
    object(json!({
        "actor": "octocat",
        "actor_id": "12",
        "event_name": "push",
        "ref": "refs/heads/main",
        "ref_protected": "false",
        "ref_type": "branch",
        "repository": "acme/app",
        "repository_id": "22",
        "repository_owner": "acme",
        "repository_owner_id": "11",
        "run_attempt": "1",
        "run_id": "7",
        "run_number": "3",
        "sha": COMMIT,
        "sub": "repo:acme/app:ref:refs/heads/main",
        "workflow": "release.yml",
        "workflow_ref": "acme/app/.forgejo/workflows/release.yml@refs/heads/main",
    }))
}

pub(crate) fn gitlab() -> Map<String, Value> {
    object(json!({
        "ci_config_ref_uri": "gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main",
        "ci_config_sha": COMMIT,
        "environment": "production",
        "environment_protected": "false",
        "deployment_tier": "production",
        "job_id": "302",
        "namespace_id": "72",
        "namespace_path": "acme",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "project_id": "20",
        "project_path": "acme/app",
        "project_visibility": "public",
        "ref": "main",
        "ref_path": "refs/heads/main",
        "ref_protected": "true",
        "ref_type": "branch",
        "runner_environment": "gitlab-hosted",
        "runner_id": 1,
        "sha": COMMIT,
        "sub": "project_path:acme/app:ref_type:branch:ref:main",
        "user_email": "someone@example.com",
        "user_id": "1",
        "user_login": "someone",
    }))
}

pub(crate) fn buildkite() -> Map<String, Value> {
    object(json!({
        "agent_id": "0184990a-4782-42b5-afc1-16715b10b8ff",
        "build_branch": "main",
        "build_commit": COMMIT,
        "build_number": 10,
        "build_source": "ui",
        "job_id": BUILDKITE_JOB,
        "organization_slug": "acme",
        "pipeline_slug": "app",
        "runner_environment": "buildkite-hosted",
        "step_key": "build",
        "sub": format!(
            "organization:acme:pipeline:app:ref:refs/heads/main:commit:{COMMIT}:step:build"
        ),
    }))
}

pub(crate) fn circleci() -> Map<String, Value> {
    object(json!({
        "oidc.circleci.com/context-ids": [],
        "oidc.circleci.com/job-id": "3e000000-0000-4000-8000-000000000007",
        "oidc.circleci.com/org-id": "3ed6f5b3-0000-4000-8000-000000000001",
        "oidc.circleci.com/pipeline-definition-id": "77aa0000-0000-4000-8000-000000000005",
        "oidc.circleci.com/pipeline-id": "1c9e0000-0000-4000-8000-000000000004",
        "oidc.circleci.com/project-id": "5b2e6f7a-0000-4000-8000-000000000002",
        "oidc.circleci.com/ssh-rerun": false,
        "oidc.circleci.com/vcs-origin": "github.com/acme/app",
        "oidc.circleci.com/vcs-ref": "refs/heads/main",
        "oidc.circleci.com/workflow-id": "2d000000-0000-4000-8000-000000000006",
        "sub": "org/3ed6f5b3-0000-4000-8000-000000000001/project/5b2e6f7a-0000-4000-8000-\
                000000000002/user/8a0f2c00-0000-4000-8000-000000000003",
    }))
}

pub(crate) fn codefresh() -> Map<String, Value> {
    object(json!({
        "account_id": "628a80b693a15c0f9c13ab75",
        "account_name": "acme",
        "initiator": "someone",
        "pipeline_id": "65e0f8b4a1d2c3e4f5a6b7c8",
        "pipeline_name": "app/release",
        "platform_url": "https://g.codefresh.io",
        "runner_environment": "hybrid",
        "scm_ref": "main",
        "scm_repo_url": "https://github.com/acme/app",
        "scm_user_name": "someone",
        "sub": "account:628a80b693a15c0f9c13ab75:pipeline:65e0f8b4a1d2c3e4f5a6b7c8:initiator:\
                someone:scm_repo_url:https://github.com/acme/app:scm_ref:main",
        "workflow_id": "65e7ac21da5b1a2b3c4d5e6f",
    }))
}

pub(crate) fn buddy() -> Map<String, Value> {
    object(json!({
        "base_url": "https://app.buddy.works",
        "execution_id": "61",
        "pipeline_id": "7",
        "project_name": "app",
        "ref": "refs/heads/main",
        "revision": COMMIT,
        "runner_environment": "platform-hosted",
        "sub": "https://app.buddy.works/acme/app/pipelines/pipeline/7",
        "triggered_on": "ON_PUSH",
        "workspace_domain": "acme",
    }))
}

/// A token of Google for a service account, as the full format has it.
pub(crate) fn google(account: &str) -> Map<String, Value> {
    let id = account_id(account);
    let mut claims = object(json!({
        "azp": id,
        "email": account,
        "email_verified": true,
        "sub": id,
    }));
    if account == MACHINE {
        let machine = json!({ "compute_engine": {
            "instance_confidentiality": 0,
            "instance_creation_timestamp": 1_790_000_000,
            "instance_id": "4520031799277581759",
            "instance_name": "builder",
            "project_id": "sandbox-project",
            "project_number": 739_419_398_126_u64,
            "zone": "europe-west1-b",
        } });
        claims.insert("google".to_owned(), machine);
    }
    claims
}

/// Google's accounts have a number each.
pub(crate) fn account_id(account: &str) -> &'static str {
    if account == MACHINE { "112233445566778899002" } else { "112233445566778899003" }
}

pub(crate) fn kubernetes() -> Map<String, Value> {
    let (namespace, account) = SERVICE_ACCOUNT;
    object(json!({
        "kubernetes.io": {
            "namespace": namespace,
            "pod": { "name": "signer-0", "uid": "5e0bd49b-f040-43b0-99b7-22765a53f7f3" },
            "serviceaccount": { "name": account, "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" },
        },
        "sub": format!("system:serviceaccount:{namespace}:{account}"),
    }))
}

pub(crate) fn chainguard() -> Map<String, Value> {
    object(json!({ "sub": "4f6ee1c3b9a44a0a9b1c/8d2a1b" }))
}

pub(crate) fn person() -> Map<String, Value> {
    object(json!({
        "email": "someone@example.com",
        "email_verified": true,
        "sub": "112233445566778899001",
    }))
}

/// Platforms whose tokens are told apart by their subject only.
pub(crate) fn subject(subject: &str) -> Map<String, Value> {
    object(json!({ "sub": subject }))
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

pub(crate) const BUILDKITE_JOB: &str = "0184990a-477b-4fa8-9968-496074483cee";
const COMMIT: &str = "9f3182061f1e2cca4702c368cbc039b7dc9d4485";
