//! What goes wrong on platforms, and what the program says about it.

use std::time::{Duration, Instant};

use sandbox::Fault;

use harness::{Setup, has_namespaces};

/// Platform, fault, and what is said: what was expected, what was found, and the fix.
const CASES: &[(&str, Fault, &[&str])] = &[
    ("github", Fault::IdentityForbidden, &["403 Forbidden", "does not have permission"]),
    ("github", Fault::IdentityHtml, &["expected JSON, found", "Sign in"]),
    ("github", Fault::IdentityRedirects, &["307", "must not go elsewhere"]),
    ("github", Fault::TokenForAnother, &["`sigstore`", "`another`"]),
    ("github", Fault::TokenExpired, &["expired"]),
    ("codefresh", Fault::IdentityRedirects, &["307", "must not go elsewhere"]),
    ("codefresh", Fault::IdentityMissing, &["404 Not Found"]),
    ("buildkite", Fault::IdentityForbidden, &["403 Forbidden", "BUILDKITE_JOB_ID"]),
    ("buildkite-cli", Fault::HelperFails, &["403 Forbidden"]),
    ("circleci", Fault::HelperFails, &["unknown command", "too old"]),
    ("gce", Fault::IdentityMissing, &["404 Not Found", "attach a service account", "Cloud Build"]),
    ("gce", Fault::IdentityForbidden, &["403 Forbidden", "serviceAccountOpenIdTokenCreator"]),
    ("gce", Fault::IdentityHtml, &["the answer is not an identity token"]),
    ("gce", Fault::IdentityRedirects, &["307", "must not go elsewhere"]),
    ("gce", Fault::IdentityWithoutEmail, &["email"]),
    (
        "google-impersonation",
        Fault::IdentityForbidden,
        &["403 Forbidden", "roles/iam.serviceAccountOpenIdTokenCreator", "IAM Credentials API"],
    ),
    ("google-impersonation", Fault::IdentityWithoutEmail, &["email"]),
    (
        "kubernetes",
        Fault::IdentityForbidden,
        &["403 Forbidden", "serviceaccounts/token", "audience: sigstore"],
    ),
];

#[test]
fn each_fault_is_explained_with_its_evidence_and_fix() {
    for (name, fault, texts) in CASES {
        let setup = Setup::with_fault(*fault);
        let platform = setup.platform(name);
        if !platform.files.is_empty() && !has_namespaces() {
            continue;
        }
        eprintln!("{name} {fault}");
        let outcome = setup.on(&platform).sign();
        outcome.ends(1).says(texts);
    }
}

#[test]
fn a_service_that_is_not_ready_yet_is_asked_again() {
    let setup = Setup::with_fault(Fault::IdentityLate);
    for name in ["gce", "github", "codefresh"] {
        // The next platform finds its service ready: requests are counted for all together.
        let (outcome, report) = setup.on(&setup.platform(name)).identity();
        outcome.ends(0);
        assert!(report["certificate"]["subject"].is_string());
    }
}

#[test]
fn a_metadata_server_that_hangs_costs_seconds_and_is_named() {
    let setup = Setup::with_fault(Fault::IdentityHangs);
    let start = Instant::now();
    let outcome = setup.on(&setup.platform("gce")).sign();
    outcome.ends(1).says(&["no complete answer from http://localhost"]);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn a_github_job_without_permission_is_told_at_once() {
    let setup = Setup::new();
    let start = Instant::now();
    // Whoever asks the network is caught by this: no server listens there.
    let job = setup.program().env("GITHUB_ACTIONS", "true");
    let job = job.env("HTTP_PROXY", "http://127.0.0.1:1").env("HTTPS_PROXY", "http://127.0.0.1:1");
    let outcome = job.sign();
    outcome.ends(1).says(&["id-token: write", "forks", "ACTIONS_ID_TOKEN_REQUEST_URL"]);
    // It takes milliseconds; a busy machine may take its time to start a program.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn a_gitlab_job_without_a_token_is_shown_what_to_write() {
    let setup = Setup::new();
    let job = setup.program().env("GITLAB_CI", "true");
    let outcome = job.sign();
    outcome.ends(1).says(&["id_tokens:", "SIGSTORE_ID_TOKEN:", "aud: sigstore"]);
}

#[test]
fn programs_that_are_missing_are_named() {
    let setup = Setup::new();
    for (variable, program) in [("CIRCLECI", "circleci"), ("BUILDKITE", "buildkite-agent")] {
        let job = setup.program().env(variable, "true");
        let outcome = job.sign();
        outcome.ends(1).says(&[&format!("`{program}`"), "container"]);
    }
}

#[test]
fn a_pods_own_token_is_never_sent_to_fulcio() {
    if !has_namespaces() {
        return;
    }
    let setup = Setup::with_fault(Fault::IdentityForbidden);
    let pod = setup.platform("kubernetes");
    let (outcome, report) = setup.on(&pod).identity();
    outcome.ends(1);
    assert_eq!(report["chosen"], serde_json::Value::Null, "{report:#}");
}

#[test]
fn token_files_that_are_none_are_told_apart() {
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let fifo = directory.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for (path, texts) in [
        (file("large", &"e".repeat(65 << 10)), &["limit of 65536 bytes"][..]),
        (file("empty", "\n"), &["the identity token is empty"]),
        (file("junk", "hello"), &["three parts", "found 1"]),
        (fifo, &["took longer than 10 s"]),
        (directory.path().to_owned(), &["expected a regular file"]),
        (directory.path().join("missing"), &["does not exist"]),
    ] {
        let program = setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", &path);
        let outcome = program.sign();
        outcome.ends(1).says(texts).says(&["SIGSTORE_OIDC_TOKEN_FILE"]);
    }
}
