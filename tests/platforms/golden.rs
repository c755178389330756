//! Sample claims of each kind, and what becomes of them.

use serde_json::{Map, Value, json};
use x509::SubjectName;

use harness::{Setup, assert_certified, assert_reported};

const MAIN: &str = "refs/heads/main";

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

/// The claims of a GitHub job, changed.
fn github(changes: Value) -> Map<String, Value> {
    let mut claims = object(json!({
        "event_name": "push",
        "job_workflow_ref": format!("o/r/.github/workflows/rel.yml@{MAIN}"),
        "job_workflow_sha": "a1",
        "ref": MAIN,
        "repository": "o/r",
        "repository_id": "22",
        "repository_owner": "o",
        "repository_owner_id": "11",
        "repository_visibility": "public",
        "run_attempt": "1",
        "run_id": "7",
        "runner_environment": "github-hosted",
        "sha": "a1",
        "sub": format!("repo:o/r:ref:{MAIN}"),
        "workflow": "rel",
        "workflow_ref": format!("o/r/.github/workflows/rel.yml@{MAIN}"),
        "workflow_sha": "a1",
    }));
    claims.extend(object(changes));
    claims
}

fn gitlab(changes: Value) -> Map<String, Value> {
    let mut claims = object(json!({
        "ci_config_ref_uri": format!("gitlab.com/g/p//.gitlab-ci.yml@{MAIN}"),
        "ci_config_sha": "a1",
        "job_id": "3",
        "namespace_id": "1",
        "namespace_path": "g",
        "pipeline_source": "push",
        "project_id": "2",
        "project_path": "g/p",
        "project_visibility": "private",
        "ref": "main",
        "ref_type": "branch",
        "runner_environment": "gitlab-hosted",
        "sha": "a1",
        "sub": "project_path:g/p:ref_type:branch:ref:main",
    }));
    claims.extend(object(changes));
    claims.retain(|_, value| !value.is_null());
    claims
}

fn uri(text: &str) -> SubjectName {
    SubjectName::Uri(text.to_owned())
}

/// Case, issuer, claims, the certified name; or the reasons why there is none.
type Case =
    (&'static str, &'static str, Map<String, Value>, Result<SubjectName, &'static [&'static str]>);

fn cases() -> Vec<Case> {
    let spiffe = |sub: &str| object(json!({ "sub": sub }));
    let workflow = |path: &str| Ok(uri(&format!("https://github.com/{path}")));
    let email = |address: &str| Ok(SubjectName::Email(address.to_owned()));
    let account = "ci@p.iam.gserviceaccount.com";
    vec![
        (
            "GitHub, classic sub",
            "github",
            github(json!({})),
            workflow("o/r/.github/workflows/rel.yml@refs/heads/main"),
        ),
        (
            "GitHub, immutable sub",
            "github",
            github(json!({ "sub": "repo:o@11/r@22:environment:prod", "environment": "prod" })),
            workflow("o/r/.github/workflows/rel.yml@refs/heads/main"),
        ),
        (
            "GitHub reusable",
            "github",
            github(json!({
                "job_workflow_ref": "lib/wf/.github/workflows/sign.yml@refs/tags/v1",
                "workflow_ref": format!("o/r/.github/workflows/ci.yml@{MAIN}"),
            })),
            workflow("lib/wf/.github/workflows/sign.yml@refs/tags/v1"),
        ),
        (
            "GitLab",
            "gitlab",
            gitlab(json!({})),
            Ok(uri("https://gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main")),
        ),
        (
            "GitLab, a tag",
            "gitlab",
            gitlab(json!({ "ref": "v1", "ref_type": "tag" })),
            Ok(uri("https://gitlab.com/g/p//.gitlab-ci.yml@refs/heads/main")),
        ),
        (
            "GitLab external config",
            "gitlab",
            gitlab(json!({ "ci_config_ref_uri": null, "ci_config_sha": null })),
            Err(&["ci_config_ref_uri"]),
        ),
        (
            "Buildkite",
            "buildkite",
            object(json!({
                "build_commit": "a1",
                "build_number": 7,
                "build_source": "webhook",
                "job_id": "j",
                "organization_slug": "acme",
                "pipeline_slug": "app",
                "runner_environment": "self-hosted",
                "sub": "organization:acme:pipeline:app:ref:refs/heads/main:commit:a1:step:s",
            })),
            Ok(uri("https://buildkite.com/acme/app")),
        ),
        (
            "Google SA",
            "email",
            object(json!({ "sub": "112", "email": account, "email_verified": true })),
            email(account),
        ),
        (
            "Google, format=standard",
            "email",
            object(json!({ "sub": "112", "azp": "112" })),
            Err(&["email"]),
        ),
        (
            "EKS",
            "kubernetes",
            object(json!({
                "kubernetes.io": { "namespace": "build", "serviceaccount": { "name": "signer" } },
                "sub": "system:serviceaccount:build:signer",
            })),
            Ok(uri("https://kubernetes.io/namespaces/build/serviceaccounts/signer")),
        ),
        (
            "SPIFFE",
            "spiffe",
            spiffe("spiffe://example.org/signer"),
            Ok(uri("spiffe://example.org/signer")),
        ),
        (
            "SPIFFE, sub-domain",
            "spiffe",
            spiffe("spiffe://prod.example.org/x"),
            Err(&["prod.example.org", "example.org"]),
        ),
        (
            "Dex/GitHub login",
            "dex",
            object(json!({
                "sub": "CgU1MTA3OBIaaHR0cHM6Ly9naXRodWIuY29tL2xvZ2luL29hdXRo",
                "email": "person@example.com",
                "email_verified": true,
                "federated_claims": {
                    "connector_id": "https://github.com/login/oauth",
                    "user_id": "51078",
                },
            })),
            email("person@example.com"),
        ),
    ]
}

#[test]
fn sample_claims_are_certified_as_predicted_or_refused_with_the_reason() {
    let setup = Setup::new();
    for (name, issuer, claims, expected) in cases() {
        eprintln!("{name}");
        let token = setup.sandbox.token(issuer, &claims).unwrap();
        let program = || setup.program().env("SIGSTORE_ID_TOKEN", &token);
        let (outcome, report) = program().identity();
        let url = setup.sandbox.issuer(issuer).unwrap().url().to_owned();
        match expected {
            Ok(subject) => {
                outcome.ends(0);
                let prediction = setup.prediction(&url, &claims).unwrap();
                assert_eq!(prediction.subject, subject, "{name}");
                assert_reported(&report, &prediction);
                let certificate = setup.certificate(program());
                assert_certified(&certificate, &prediction);
                let vouched = if issuer == "dex" { "https://github.com/login/oauth" } else { &url };
                assert_eq!(certificate.oidc_issuer().unwrap().as_deref(), Some(vouched));
                let token_subject = claims["sub"].as_str().unwrap();
                let extensions = certificate.fulcio_extensions().unwrap();
                let last = extensions.last().unwrap();
                assert_eq!(last.value, token_subject, "{name}: .24 is the token's subject");
            }
            Err(reasons) => {
                outcome.ends(1).says(reasons);
                assert_eq!(report["certificate"], Value::Null);
                program().sign().ends(1).says(reasons);
            }
        }
    }
}

#[test]
fn the_reference_of_a_gitlab_pipeline_gets_its_prefix() {
    let setup = Setup::new();
    for (changes, expected) in [
        (json!({}), "refs/heads/main"),
        (json!({ "ref": "v1", "ref_type": "tag" }), "refs/tags/v1"),
    ] {
        let token = setup.sandbox.token("gitlab", &gitlab(changes)).unwrap();
        let program = setup.program().env("SIGSTORE_ID_TOKEN", &token);
        let certificate = setup.certificate(program);
        let extensions = certificate.fulcio_extensions().unwrap();
        let reference = extensions.iter().find(|it| it.oid.ends_with(".57264.1.14")).unwrap();
        assert_eq!(reference.value, expected);
    }
}
