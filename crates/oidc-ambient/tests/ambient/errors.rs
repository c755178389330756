//! Errors say what was expected, what was found, and how to fix it.

use oidc_ambient::Error;

use crate::fake::{FakeHost, jwt, token_of};

/// What the search ends with, or what it passed over last: provider, reason, fix.
fn complaint(fake: &FakeHost) -> (String, String, String) {
    let (provider, broken) = match fake.detect() {
        Err(Error::Broken { provider, broken }) => (provider, broken),
        Err(Error::Nothing { broken, .. }) => broken.last().cloned().unwrap(),
        other => panic!("expected a failure, found {other:?}"),
    };
    assert!(!broken.evidence.is_empty());
    (provider, broken.reason, broken.hint.unwrap_or_default())
}

/// Asserts that the failure names all of `reason` and its fix all of `fix`.
fn says(fake: &FakeHost, provider: &str, reason: &[&str], fix: &[&str]) {
    let (by, said, hint) = complaint(fake);
    assert_eq!(by, provider, "{said}");
    for part in reason {
        assert!(said.contains(part), "expected `{part}` in `{said}`");
    }
    for part in fix {
        assert!(hint.contains(part), "expected `{part}` in `{hint}`");
    }
}

fn github() -> FakeHost {
    FakeHost::new(&[
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://gh.example/t?x=1"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-secret"),
    ])
}

fn google() -> FakeHost {
    FakeHost::default().file("/sys/class/dmi/id/product_name", "Google")
}

const IDENTITY: &str =
    "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/identity";
const TOKEN: &str =
    "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token";

#[test]
fn a_github_job_without_its_variables() {
    let fix = ["permissions: {id-token: write}", "caller", "forks", "container"];
    let fake = FakeHost::new(&[("GITHUB_ACTIONS", "true")]);
    says(&fake, "github-actions", &["`id-token: write`", "are not set"], &fix);
}

#[test]
fn a_gitlab_job_without_a_declared_token() {
    let fix = ["id_tokens:", "SIGSTORE_ID_TOKEN:", "aud: sigstore"];
    says(
        &FakeHost::new(&[("GITLAB_CI", "true")]),
        "gitlab",
        &["SIGSTORE_ID_TOKEN is not set"],
        &fix,
    );
}

#[test]
fn a_buildkite_agent_that_cannot_reach_the_jobs_log() {
    let text = "could not redact: no Job API socket";
    let fake = FakeHost::new(&[("BUILDKITE", "true")]).program("buildkite-agent", 1, "", text);
    let fix = ["BUILDKITE_AGENT_JOB_API_SOCKET", "SKIP_TOKEN_REDACTION"];
    says(&fake, "buildkite-agent", &[text], &fix);
}

#[test]
fn a_circleci_program_that_is_missing_or_too_old() {
    let job = FakeHost::new(&[("CIRCLECI", "true")]);
    says(&job, "circleci", &["`circleci` is not here"], &["in the job itself"]);
    let old = job.clone().program("circleci", 1, "", "unknown command \"oidc\"");
    says(&old, "circleci", &["unknown command"], &["circleci run oidc get"]);
    let fork = job.program("circleci", 1, "", "no token for this build");
    says(&fork, "circleci", &["ended with code 1"], &["forked"]);
}

#[test]
fn a_google_machine_whose_identity_is_not_there() {
    let fake = google().service(IDENTITY, 404, "not found");
    let fix = ["attach a service account", "that you specify", "GOOGLE_SERVICE_ACCOUNT_NAME"];
    says(&fake, "google-workload-identity", &["404 Not Found"], &fix);
}

#[test]
fn a_google_token_without_an_e_mail_address() {
    let token = jwt(r#"{"iss":"https://accounts.google.com","aud":"sigstore","exp":2000}"#);
    let fake = google().service(IDENTITY, 200, &token);
    let fix = ["format=full", "includeEmail"];
    says(&fake, "google-workload-identity", &["expected", "`email`, found none"], &fix);
}

#[test]
fn an_account_that_may_not_be_impersonated() {
    let body = r#"{"error":{"code":403,"status":"PERMISSION_DENIED","message":"no permission"}}"#;
    let fake = FakeHost::new(&[("GOOGLE_SERVICE_ACCOUNT_NAME", "s@p")])
        .service(TOKEN, 200, r#"{"access_token":"ya29"}"#)
        .service("https://iamcredentials.", 403, body);
    let fix = ["roles/iam.serviceAccountOpenIdTokenCreator", "enable the IAM Credentials API"];
    says(&fake, "google-impersonate", &["403 Forbidden: `no permission`"], &fix);
}

#[test]
fn a_kubernetes_token_for_the_api_server() {
    let own = jwt(
        r#"{"aud":["https://kubernetes.default.svc"],"exp":2000,"sub":"system:serviceaccount:n:s",
            "kubernetes.io":{"namespace":"n"}}"#,
    );
    let file = FakeHost::default().file("/var/run/sigstore/cosign/oidc-token", &own);
    let reason =
        ["expected a token for the audience `sigstore`", "`https://kubernetes.default.svc`"];
    says(&file, "filesystem", &reason, &["mount a projected", "audience `sigstore`"]);
    let secrets = "/var/run/secrets/kubernetes.io/serviceaccount";
    let pod = FakeHost::new(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("NO_GCE_CHECK", "true")])
        .file(&format!("{secrets}/token"), &own)
        .file(&format!("{secrets}/ca.crt"), "PEM")
        .service("https://10.0.0.1", 403, r#"{"message":"forbidden"}"#);
    says(&pod, "kubernetes", &reason, &["audience: sigstore", "serviceaccounts/token"]);
}

#[test]
fn an_audience_that_does_not_match_is_shown_whole() {
    let token = jwt(r#"{"aud":["a","b"],"exp":2000}"#);
    let fake = FakeHost::new(&[("SIGSTORE_ID_TOKEN", &token)]);
    says(&fake, "envvar", &["audience `sigstore`, found `a`, `b`"], &["where it is issued"]);
}

#[test]
fn a_token_that_has_expired() {
    let token = jwt(r#"{"aud":"sigstore","iat":600,"exp":900}"#);
    let fake = FakeHost::new(&[("SIGSTORE_ID_TOKEN", &token)]);
    let reason = ["expired 100 s ago", "a life of 300 s"];
    says(&fake, "envvar", &reason, &["right before it is needed", "clock"]);
}

#[test]
fn platforms_with_a_fixed_audience_name_the_alternative() {
    let fixed = jwt(r#"{"aud":"https://acme.example","exp":2000}"#);
    for (provider, variables) in [
        ("vercel", [("VERCEL", "1"), ("VERCEL_OIDC_TOKEN", fixed.as_str())]),
        ("semaphore", [("SEMAPHORE", "true"), ("SEMAPHORE_OIDC_TOKEN", &fixed)]),
        ("bitbucket", [("BITBUCKET_BUILD_NUMBER", "1"), ("BITBUCKET_STEP_OIDC_TOKEN", &fixed)]),
        ("hcp-terraform", [("TFC_RUN_ID", "1"), ("TFC_WORKLOAD_IDENTITY_TOKEN", &fixed)]),
    ] {
        let reason = ["expected", "`sigstore`", "found `https://acme.example`"];
        says(&FakeHost::new(&variables), provider, &reason, &["private"]);
    }
    let azure = FakeHost::new(&[("SYSTEM_OIDCREQUESTURI", "https://x/")]);
    says(&azure, "azure-pipelines", &["api://AzureADTokenExchange"], &["private Fulcio"]);
}

#[test]
fn a_metadata_service_that_hangs_or_answers_html_or_redirects() {
    let say = |fake: &FakeHost, reason: &[&str]| {
        says(fake, "google-workload-identity", reason, &["metadata service"]);
    };
    say(&google(), &["no complete answer"]);
    say(&google().service(IDENTITY, 200, "<html>login</html>"), &["not an identity token"]);
    say(&google().service(IDENTITY, 302, ""), &["302", "redirect"]);
}

#[test]
fn a_service_that_is_down_says_so_and_shows_no_secret() {
    let fake = github().service("https://gh.example/", 503, "try later");
    says(&fake, "github-actions", &["503", "`try later`"], &["run the job again"]);
    assert!(!format!("{:?}", fake.detect()).contains("request-secret"));
    says(&github(), "github-actions", &["no complete answer"], &["can reach the host"]);
}

#[test]
fn a_token_of_65_kib_is_refused_wherever_it_is() {
    let large = "a".repeat(65 << 10);
    let variable = FakeHost::new(&[("SIGSTORE_ID_TOKEN", &large)]);
    says(&variable, "envvar", &["66560 bytes", "65536"], &["JWT itself"]);
    let file = FakeHost::new(&[("SIGSTORE_OIDC_TOKEN_FILE", "/t")]).file("/t", &large);
    says(&file, "filesystem", &["larger than the limit of 65536"], &["a JWT alone"]);
    let declared =
        github().service("https://gh.example/", 200, &format!(r#"{{"value":"{large}"}}"#));
    says(&declared, "github-actions", &["66560 bytes"], &[]);
}

#[test]
fn odd_tokens_that_fulcio_takes_are_taken() {
    let es256 =
        token_of("es256").replace(token_of("x").split('.').next().unwrap(), "eyJhbGciOiJFUzI1NiJ9");
    for token in [
        jwt(r#"{"aud":["sigstore","other"],"exp":2000}"#),
        jwt(r#"{"aud":"sigstore","exp":1001}"#),
        jwt(r#"{"aud":"sigstore","exp":2000,"sub":"repo:o@11/r@22:environment:prod"}"#),
        es256,
    ] {
        let found = FakeHost::new(&[("SIGSTORE_ID_TOKEN", &token)]).detect().unwrap();
        assert_eq!(found.token.reveal(), token);
    }
}
