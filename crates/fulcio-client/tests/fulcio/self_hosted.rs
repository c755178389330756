//! Certificates of GitHubs and GitLabs that are not the public ones. The expectations are written by
//! hand from Fulcio's templates, `{{ .url }}/{{ .job_workflow_ref }}` and so on, with the `url` that
//! whoever runs such a Fulcio gives the template.

use fulcio_client::issued::compare;
use fulcio_client::predict::{Prediction, Profile};
use fulcio_client::{Configuration, Profiles};
use id_token::Claims;
use serde_json::{Value, json};
use x509::{Certificate, SubjectName};

use crate::issued;

const WORKFLOW: &str = "acme/app/.github/workflows/release.yml@refs/heads/main";

fn github(iss: &str) -> Value {
    json!({
        "iss": iss, "aud": "sigstore", "sub": "repo:acme/app:environment:production",
        "job_workflow_ref": WORKFLOW, "job_workflow_sha": "c0ffee", "event_name": "push",
        "sha": "decade", "workflow": "Release", "repository": "acme/app",
        "ref": "refs/heads/main", "runner_environment": "self-hosted", "repository_id": "42",
        "repository_owner": "acme", "repository_owner_id": "7", "workflow_ref": WORKFLOW,
        "workflow_sha": "decade", "run_id": "123", "run_attempt": "2",
        "repository_visibility": "internal", "environment": "production",
    })
}

fn gitlab(iss: &str, address: &str) -> Value {
    json!({
        "iss": iss, "aud": "sigstore", "sub": "project_path:acme/app:ref_type:tag:ref:v1",
        "ci_config_ref_uri": format!("{address}/acme/app//.gitlab-ci.yml@refs/tags/v1"),
        "ci_config_sha": "c0ffee", "runner_environment": "self-hosted", "project_path": "acme/app",
        "sha": "decade", "ref": "v1", "ref_type": "tag", "project_id": "42",
        "namespace_path": "acme", "namespace_id": "7", "pipeline_source": "push",
        "job_id": "123", "project_visibility": "private",
    })
}

fn claims(claims: Value) -> Claims {
    match claims {
        Value::Object(claims) => Claims::new(claims),
        _ => unreachable!("the claims above are an object"),
    }
}

/// What a Fulcio that lists the issuer, and nothing else, is predicted to issue, completed by a
/// file of profiles.
fn predicted(json: Value, profile: Option<Value>) -> Prediction {
    let claims = claims(json);
    let iss = claims.issuer().unwrap();
    let listed = json!({ "issuers": [{ "issuerUrl": iss, "audience": "sigstore",
        "challengeClaim": "sub", "issuerType": "ci-provider" }] });
    let listed = Configuration::from_json(listed.to_string().as_bytes()).unwrap();
    let profiles = match profile {
        None => Profiles::known(),
        Some(profile) => {
            let file = json!({ "issuers": [profile] }).to_string();
            Profiles::from_json(file.as_bytes()).unwrap()
        }
    };
    let issuer = listed.issuer_with(&profiles, iss).unwrap();
    Profile::of(&issuer, &claims).predict(&claims).unwrap()
}

/// The extensions by the last number of their object identifiers.
fn extensions(prediction: &Prediction) -> Vec<(u32, &str)> {
    let last = |oid: &str| oid.strip_prefix("1.3.6.1.4.1.57264.1.").unwrap().parse().unwrap();
    prediction.extensions.iter().map(|(oid, value)| (last(oid), value.as_str())).collect()
}

/// The whole certificate of a job on the GitHub at `url` with the issuer `iss`.
fn expect_github(prediction: &Prediction, iss: &str, url: &str) {
    let at = |path: &str| format!("{url}/{path}");
    let (workflow, repository, owner) = (at(WORKFLOW), at("acme/app"), at("acme"));
    let run = at("acme/app/actions/runs/123/attempts/2");
    assert_eq!(prediction.subject, SubjectName::Uri(workflow.clone()));
    assert_eq!(prediction.issuer, iss);
    assert_eq!(prediction.proof, "repo:acme/app:environment:production");
    assert_eq!(
        extensions(prediction),
        [
            (1, iss),
            (2, "push"),
            (3, "decade"),
            (4, "Release"),
            (5, "acme/app"),
            (6, "refs/heads/main"),
            (8, iss),
            (9, workflow.as_str()),
            (10, "c0ffee"),
            (11, "self-hosted"),
            (12, repository.as_str()),
            (13, "decade"),
            (14, "refs/heads/main"),
            (15, "42"),
            (16, owner.as_str()),
            (17, "7"),
            (18, workflow.as_str()),
            (19, "decade"),
            (20, "push"),
            (21, run.as_str()),
            (22, "internal"),
            (23, "production"),
            (24, "repo:acme/app:environment:production"),
        ]
    );
}

/// The whole certificate of a job on the GitLab at `url`, whose configuration lies at `address`.
fn expect_gitlab(prediction: &Prediction, iss: &str, url: &str, address: &str) {
    let at = |path: &str| format!("{url}/{path}");
    let (project, group, run) = (at("acme/app"), at("acme"), at("acme/app/-/jobs/123"));
    let configuration = format!("https://{address}/acme/app//.gitlab-ci.yml@refs/tags/v1");
    assert_eq!(prediction.subject, SubjectName::Uri(configuration.clone()));
    assert_eq!(
        extensions(prediction),
        [
            (1, iss),
            (8, iss),
            (9, configuration.as_str()),
            (10, "c0ffee"),
            (11, "self-hosted"),
            (12, project.as_str()),
            (13, "decade"),
            (14, "refs/tags/v1"),
            (15, "42"),
            (16, group.as_str()),
            (17, "7"),
            (18, configuration.as_str()),
            (19, "c0ffee"),
            (20, "push"),
            (21, run.as_str()),
            (22, "private"),
            (24, "project_path:acme/app:ref_type:tag:ref:v1"),
        ]
    );
}

#[test]
fn a_certificate_of_github_enterprise_server_names_the_server() {
    let iss = "https://github.acme.example/_services/token";
    expect_github(&predicted(github(iss), None), iss, "https://github.acme.example");
}

#[test]
fn a_certificate_of_github_with_data_residency_names_its_domain() {
    for iss in
        ["https://token.actions.acme.ghe.com", "https://token.actions.acme.ghe.com/enterprise"]
    {
        expect_github(&predicted(github(iss), None), iss, "https://acme.ghe.com");
    }
}

#[test]
fn a_certificate_of_a_gitlab_of_ones_own_names_that_gitlab() {
    let own = "https://gitlab.acme.example";
    let address = "gitlab.acme.example";
    expect_gitlab(&predicted(gitlab(own, address), None), own, own, address);
    // Below a path, and on a port.
    let (below, address) = ("https://acme.example:8443/git", "acme.example:8443/git");
    expect_gitlab(&predicted(gitlab(below, address), None), below, below, address);
}

/// A file of profiles tells what the template says, whatever the token looks like.
#[test]
fn the_url_of_a_profile_counts_more_than_what_the_token_looks_like() {
    let iss = "https://github.acme.example/_services/token";
    let profile = |url: &str| {
        json!({ "issuer_url": iss, "type": "ci-provider", "ci_provider": "github-workflow",
            "url": url })
    };
    let other = "https://code.acme.example:8443/github";
    expect_github(&predicted(github(iss), Some(profile(other))), iss, other);
    // A Fulcio whose template was left as it is for the public GitHub.
    let public = "https://github.com";
    expect_github(&predicted(github(iss), Some(profile(public))), iss, public);
    let own = "https://gitlab.acme.example";
    let profile = json!({ "issuer_url": "https://gitlab.acme.*", "type": "ci-provider",
        "ci_provider": "gitlab-pipeline", "url": "https://gitlab.com" });
    let prediction = predicted(gitlab(own, "gitlab.acme.example"), Some(profile));
    expect_gitlab(&prediction, own, "https://gitlab.com", "gitlab.acme.example");
}

#[test]
fn a_claim_of_that_name_counts_more_than_the_template() {
    let iss = "https://github.acme.example/_services/token";
    let mut token = github(iss);
    token["url"] = json!("https://elsewhere.example");
    expect_github(&predicted(token, None), iss, "https://elsewhere.example");
}

#[test]
fn the_issuers_of_the_public_instance_keep_its_one_template_for_each_platform() {
    for iss in [
        "https://token.actions.githubusercontent.com",
        "https://token.actions.githubusercontent.com/acme",
    ] {
        expect_github(&predicted(github(iss), None), iss, "https://github.com");
    }
    for host in ["gitlab.com", "gitlab.archlinux.org"] {
        let iss = format!("https://{host}");
        let prediction = predicted(gitlab(&iss, host), None);
        expect_gitlab(&prediction, &iss, "https://gitlab.com", host);
    }
}

/// What only looks like one of these addresses gets the public place.
#[test]
fn an_issuer_that_only_looks_self_hosted_is_not_taken_for_it() {
    for iss in [
        "https://token.actions.acme.ghe.com.evil.example",
        "https://token.actions.acme-ghe.com",
        "https://github.acme.example/_services/token/x",
        "http://127.0.0.1:8890/githubci",
    ] {
        expect_github(&predicted(github(iss), None), iss, "https://github.com");
    }
    let iss = "https://gitlab.acme.example";
    for address in ["gitlab.acme.example.evil", "gitlab.com"] {
        let prediction = predicted(gitlab(iss, address), None);
        expect_gitlab(&prediction, iss, "https://gitlab.com", address);
    }
}

/// The old types of Fulcio have no template that could be given a URL.
#[test]
fn the_types_from_before_templates_know_the_public_place_only() {
    let claims = claims(github("https://github.acme.example/_services/token"));
    let prediction = Profile::new("github-workflow".into()).predict(&claims).unwrap();
    assert_eq!(prediction.subject.as_str(), format!("https://github.com/{WORKFLOW}"));
}

/// The certificate of an issuer that nothing is known of is compared with what is guessed, and a
/// template that was not adapted is reported: its names are those of other people's repositories.
#[test]
fn a_certificate_that_names_the_public_github_for_a_job_elsewhere_is_told_apart() {
    let case = issued().into_iter().find(|case| case["case"] == "githubci").unwrap();
    let leaf = Certificate::from_pem(case["pem"].as_str().unwrap()).unwrap();
    let mut job = case["claims"].clone();
    job["iss"] = json!("https://github.acme.example/_services/token");
    let configuration = json!({ "issuers": [{ "issuerUrl": job["iss"], "audience": "sigstore",
        "challengeClaim": "sub", "issuerType": "ci-provider" }] });
    let configuration = Configuration::from_json(configuration.to_string().as_bytes()).unwrap();
    let difference = compare(&leaf, &claims(job), Some(&configuration)).unwrap().unwrap_err();
    let said = difference.to_string();
    assert!(said.starts_with("expected the subject uri https://github.acme.example/"), "{said}");
    assert!(said.contains("found uri https://github.com/"), "{said}");
}
