//! Ways to the registry.

use harness::{HostileServer, Program, Reply, Setup};

#[test]
fn a_registry_behind_a_proxy_is_signed_and_verified_and_loopback_needs_none() {
    let setup = Setup::new();
    setup.image("demo/app");
    let proxy = HostileServer::before(setup.sandbox.registry(), |_| Reply::Forward);
    let url = format!("http://{}", proxy.address());
    let image = "registry.test/demo/app:v1";
    let through = |program: Program| {
        let program = program.env("HTTP_PROXY", &url).env("HTTPS_PROXY", &url);
        program.env("AMBISIGN_ALLOW_HTTP_REGISTRY", "true")
    };
    through(setup.workload()).args(["sign", image]).run().ends(0);
    assert!(proxy.requests().len() > 3, "the registry's requests go through the proxy");
    let before = proxy.requests().len();
    let verify = || setup.program().args(["verify", image]).args(setup.by_workload());
    through(verify()).run().ends(0);
    assert!(proxy.requests().len() > before);
    // The same image by its real address: nothing more than a name was changed on the way.
    let direct = format!("{}/demo/app:v1", setup.sandbox.registry());
    let count = proxy.requests().len();
    let verify = setup.program().args(["verify", &direct]).args(setup.by_workload());
    through(verify).env("NO_PROXY", "127.0.0.1").run().ends(0);
    assert_eq!(proxy.requests().len(), count);
}

#[test]
fn a_proxy_that_is_down_is_named() {
    let setup = Setup::new();
    let verify = setup.program().args(["verify", "registry.test/demo/app:v1"]);
    let verify = verify.args(setup.by_workload()).env("HTTPS_PROXY", "http://127.0.0.1:1");
    verify.run().ends(1).says(&["could not be verified", "proxy"]);
}

#[test]
fn the_registry_of_the_signatures_may_be_insecure_as_the_images_is() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let verify = setup.program().args(["verify", &image, "--allow-insecure-registry"]);
    let verify = verify.env("COSIGN_REPOSITORY", "signatures.test:1/all");
    let outcome = verify.env("AMBISIGN_TIMEOUT", "20s").args(setup.by_workload()).run().ends(1);
    outcome.says(&[
        &format!("the identity of the registry {} is not checked", setup.sandbox.registry()),
        "the identity of the registry signatures.test:1 is not checked",
    ]);
}

#[test]
fn a_log_of_version_2_that_a_flag_names_is_explained() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let config = setup.sandbox.signing_config(sandbox::RekorVersion::V2);
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    let url = config["rekorTlogUrls"][0]["url"].as_str().unwrap();
    let sign = setup.workload().args(["sign-blob", "--rekor-url", url]).arg(&file);
    sign.run().ends(1).says(&["404", "Rekor version 2", "--signing-config"]);
}

#[test]
fn a_service_on_another_machine_is_asked_over_https_unless_plain_http_is_allowed() {
    let setup = Setup::new();
    let file = setup.write("app.tar", "content");
    let proxy =
        HostileServer::before(authority(&setup.sandbox.endpoints().fulcio), |_| Reply::Forward);
    let sign = |program: Program| {
        let program = program.env("HTTP_PROXY", format!("http://{}", proxy.address()));
        program.arg("sign-blob").arg(&file).args(["--fulcio-url", "http://fulcio.test"])
    };
    let refused = sign(setup.workload()).run();
    refused
        .ends(1)
        .says(&["plain http to http://fulcio.test is refused", "--allow-insecure-service"]);
    assert_eq!(proxy.requests().len(), 0);
    let allowed = sign(setup.workload()).args(["--allow-insecure-service"]).run();
    allowed.ends(0).says(&["warning: plain http to services is allowed"]);
    assert!(proxy.requests().iter().any(|it| it.is("POST", "/api/v2/signingCert")));
}

/// What a TUF mirror sends decides what is trusted.
#[test]
fn a_tuf_mirror_on_another_machine_is_asked_over_https_unless_plain_http_is_allowed() {
    let setup = Setup::new();
    let proxy = HostileServer::before(authority(setup.sandbox.tuf_url()), |_| Reply::Forward);
    let initialize = |mirror: &str| {
        let program = Program::new(&setup.path(""));
        let program = program.env("HTTP_PROXY", format!("http://{}", proxy.address()));
        program.args(["initialize", "--mirror", mirror, "--root"]).arg(setup.sandbox.tuf_root())
    };
    let refused = initialize("http://tuf.test").run().ends(1);
    refused.says(&["plain http to http://tuf.test is refused", "--allow-insecure-service"]);
    assert_eq!(proxy.requests().len(), 0);
    assert!(!setup.path(".config/ambisign/tuf").exists(), "the refused mirror is not remembered");
    // Loopback is free, and needs no proxy.
    initialize(setup.sandbox.tuf_url()).run().ends(0);
    assert_eq!(proxy.requests().len(), 0);
    let allowed = initialize("http://tuf.test").args(["--allow-insecure-service"]).run().ends(0);
    allowed.says(&["warning: plain http to services is allowed"]);
    assert!(proxy.requests().iter().any(|it| it.is("GET", "/timestamp.json")));
}

#[test]
fn the_token_service_of_a_github_job_is_not_asked_over_plain_http() {
    let setup = Setup::new();
    let file = setup.write("app.tar", "content");
    let token_service = HostileServer::new(|_| Reply::refusal(500, "UNKNOWN"));
    let job = setup.job().env("ACTIONS_ID_TOKEN_REQUEST_URL", "http://vstoken.test/token?x=1");
    let job = job.env("HTTP_PROXY", format!("http://{}", token_service.address()));
    let refused = job.arg("sign-blob").arg(&file).run();
    refused.ends(1).says(&["plain http to http://vstoken.test is refused"]);
    assert_eq!(token_service.requests().len(), 0);
}

/// `HOST:PORT` of a URL.
fn authority(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}
