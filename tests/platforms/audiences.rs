//! Which audience the program asks for, and which machine's identity it takes.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use harness::{HostileServer, Reply, Setup};

/// A sandbox whose Fulcio wants another audience of the tokens of `issuer`.
fn private(issuer: &str, audience: &str) -> Setup {
    let (issuer, audience) = (issuer.to_owned(), audience.to_owned());
    Setup::with(|config| drop(config.audiences.insert(issuer, audience)))
}

#[test]
fn a_token_has_the_audience_that_the_fulcio_in_use_wants_of_its_issuer() {
    for (job, issuer, audience) in [
        ("github", "github", "acme"),
        ("azure-pipelines", "azure", "api://AzureADTokenExchange"),
        ("azure-app-service", "azure", "api://acme-signing"),
        ("semaphore", "semaphore", "https://acme.semaphoreci.com"),
        ("vercel", "vercel", "https://vercel.com/acme"),
    ] {
        let setup = private(issuer, audience);
        let job = setup.platform(job);
        let (outcome, report) = setup.on(&job).identity();
        outcome.ends(0);
        assert_eq!(report["chosen"]["claims"]["aud"], audience, "{report:#}");
        assert_eq!(report["fulcio"]["accepts"], Value::Bool(true), "{report:#}");
        setup.certificate(setup.on(&job));
    }
}

#[test]
fn a_token_in_a_variable_is_taken_when_it_is_for_the_client_id_of_a_private_fulcio() {
    let setup = private("email", "acme-client");
    let claims = json!({ "sub": "1", "email": "a@b.example", "email_verified": true });
    let issuer = setup.sandbox.issuer("email").unwrap();
    let claims = claims.as_object().unwrap();
    let token = issuer.mint(&json!("acme-client"), claims, SystemTime::now()).unwrap();
    let program = || setup.program().env("SIGSTORE_ID_TOKEN", &token);
    let (outcome, report) = program().identity();
    outcome.ends(0);
    assert_eq!(report["certificate"]["subject"], "a@b.example", "{report:#}");
    setup.certificate(program());
    setup.certificate(setup.program().args(["--identity-token", &token]));
}

#[test]
fn the_audience_of_the_flag_is_asked_for_and_checked() {
    let setup = private("github", "acme");
    let job = || setup.on(&setup.platform("github"));
    for program in [
        job().args(["--oidc-audience", "other"]),
        job().env("AMBISIGN_OIDC_AUDIENCE", "other"),
        job().env("COSIGN_OIDC_AUDIENCE", "other"),
    ] {
        let (outcome, report) = program.identity();
        outcome.ends(1).says(&["for another audience: expected acme, found other"]);
        assert_eq!(report["chosen"]["claims"]["aud"], "other", "{report:#}");
    }
    job().args(["--oidc-audience", "other"]).sign().ends(1).says(&["expected acme, found other"]);
    setup.certificate(job().args(["--oidc-audience", "acme"]));
    // A Fulcio that cannot be asked is not asked to decide.
    let nowhere = ["--fulcio-url", "http://127.0.0.1:1", "--oidc-audience", "other"];
    let (outcome, report) = job().args(nowhere).identity();
    outcome.ends(0);
    assert_eq!(report["chosen"]["claims"]["aud"], "other", "{report:#}");
    job().args(["--oidc-audience", ""]).sign().ends(2).says(&["must not be empty"]);
}

#[test]
fn the_configuration_of_fulcio_is_requested_once() {
    let setup = private("github", "acme");
    let fulcio = setup.sandbox.endpoints().fulcio.clone();
    let address = fulcio.trim_start_matches("http://").trim_end_matches('/');
    let fulcio = HostileServer::before(address, |_| Reply::Forward);
    let url = format!("http://{}", fulcio.address());
    let job = setup.on(&setup.platform("github")).args(["--fulcio-url", &url]);
    setup.certificate(job);
    let requests = fulcio.requests();
    let asked = requests.iter().filter(|it| it.target.starts_with("/api/v2/configuration")).count();
    assert_eq!(asked, 1, "{} requests", requests.len());
}

#[test]
fn stray_keys_of_aws_do_not_beat_an_identity_that_fulcio_accepts() {
    let setup = Setup::new();
    let machine = || setup.on(&setup.platform("gce")).envs(&setup.platform("aws").env);
    let (outcome, report) = machine().identity();
    outcome.ends(0);
    assert_eq!(report["chosen"]["provider"], "google-workload-identity", "{report:#}");
    let mut sources = report["sources"].as_array().unwrap().iter();
    let aws = sources.find(|source| source["provider"] == "aws").unwrap();
    assert!(aws["reason"].as_str().unwrap().contains("does not list the issuer"), "{aws:#}");
    let text = machine().command("identity").run().ends(0).stdout;
    assert!(text.contains("does not list the issuer"), "{text}");
    setup.certificate(machine());
    // It still signs where it is named.
    let (_, report) = machine().args(["--oidc-provider", "aws"]).identity();
    assert_eq!(report["chosen"]["provider"], "aws", "{report:#}");
}

#[test]
fn all_that_is_wrong_with_a_given_token_is_told_at_once() {
    let setup = Setup::new();
    let claims = json!({ "sub": "1", "email": "a@b.example", "email_verified": true });
    let issuer = setup.sandbox.issuer("email").unwrap();
    let before = SystemTime::now() - Duration::from_secs(86_400);
    let token = issuer.mint(&json!("other"), claims.as_object().unwrap(), before).unwrap();
    for program in [
        setup.program().args(["--identity-token", &token]),
        setup.program().env("SIGSTORE_ID_TOKEN", &token),
    ] {
        program.sign().ends(1).says(&["audience", "other", "expired", "hint: "]);
    }
}

#[test]
fn a_metadata_service_that_refuses_connections_costs_no_seconds() {
    let setup = Setup::new();
    let machine = setup.program().env("NO_GCE_CHECK", "").env("GCE_METADATA_HOST", "127.0.0.1:1");
    let start = Instant::now();
    machine.command("identity").run().ends(1);
    // It takes 0.2 s; a busy machine may take its time to start a program.
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
