//! Images: signed by workloads and jobs, verified by strangers.

use serde_json::{Value, json};

use crate::harness::{World, by};

#[test]
fn a_spiffe_workload_signs_with_nothing_but_its_socket() {
    let world = World::new();
    let image = world.image("demo/app");
    let signed = world.workload().args(["sign", "-o", "json", &image]).run().ends(0);
    let [line] = signed.json().try_into().unwrap();
    assert_eq!(line["image"], json!(image));
    assert_eq!(line["digest"], json!(world.digest("demo/app")));
    assert_eq!(line["identity"], json!(world.workload_id()));
    assert_eq!(line["issuer"], json!(world.sandbox.spiffe_issuer()));
    assert_eq!(line["provider"], "spiffe");
    assert_eq!(line["attached"], "referrers");
    assert!(line["log_index"].is_u64() && line["timestamp"].is_string(), "{line}");
    assert!(line["bundle_digest"].as_str().unwrap().starts_with("sha256:"), "{line}");

    let verify = world.stranger().args(["verify", &image]).args(world.by_workload());
    let [found] = verify.run().ends(0).json().try_into().unwrap();
    let [found] = found.as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!(found["critical"]["identity"]["docker-reference"], json!(image));
    assert_eq!(found["critical"]["image"]["docker-manifest-digest"], line["digest"]);
    assert_eq!(found["critical"]["type"], "https://sigstore.dev/cosign/sign/v1");
    let optional = &found["optional"];
    assert_eq!(optional["Subject"], json!(world.workload_id()));
    assert_eq!(optional["Issuer"], json!(world.sandbox.spiffe_issuer()));
    assert_eq!(optional["BundleDigest"], line["bundle_digest"]);
    assert_eq!(optional["LogIndex"], line["log_index"]);
}

#[test]
fn a_github_job_signs_and_its_workflow_is_shown_and_demanded() {
    let world = World::new();
    let image = world.image("demo/app");
    world.job().args(["sign", &image]).run().ends(0);
    let verify = || world.stranger().args(["verify", &image]).args(world.by_job());
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
    let world = World::with(|config| config.referrers = false);
    let image = world.image("demo/app");
    let signed = world.workload().args(["sign", "-o", "json", &image]).run().ends(0);
    assert_eq!(signed.json()[0]["attached"], "fallback-tag");
    world.stranger().args(["verify", &image]).args(world.by_workload()).run().ends(0);
}

#[test]
fn a_rekor_v2_log_with_a_timestamp_authority_will_do() {
    let world = World::new();
    let image = world.image("demo/app");
    let config = world.sandbox.signing_config(sandbox::RekorVersion::V2);
    let signed = world
        .workload()
        .env("AMBISIGN_SIGNING_CONFIG", config)
        .args(["sign", "-o", "json", &image])
        .run()
        .ends(0);
    let line = &signed.json()[0];
    let log = line["log_url"].as_str().unwrap().trim_end_matches('/');
    assert_eq!(log, world.sandbox.endpoints().rekor_v2);
    let found = world.stranger().args(["verify", &image]).args(world.by_workload()).run().ends(0);
    let optional = &found.json()[0][0]["optional"];
    assert_eq!(optional["SigningTimeSource"], "timestamp-authority");
    assert_eq!(optional["SigningTime"], line["timestamp"]);
}

#[test]
fn many_images_share_one_certificate() {
    let world = World::new();
    let images: Vec<_> = (0..12).map(|number| world.image(&format!("demo/app{number}"))).collect();
    let signed = world.workload().args(["sign", "-d", "-o", "json"]).args(&images).run().ends(0);
    assert_eq!(signed.stderr.matches("certified").count(), 1, "{signed:#?}");
    let mut signed: Vec<_> =
        signed.json().iter().map(|line| line["image"].as_str().unwrap().to_owned()).collect();
    signed.sort();
    let mut expected = images.clone();
    expected.sort();
    assert_eq!(signed, expected);
    let verified =
        world.stranger().args(["verify"]).args(&images).args(world.by_workload()).run().ends(0);
    assert_eq!(verified.json().len(), 12);
}

#[test]
fn signing_again_adds_a_signature() {
    for referrers in [true, false] {
        let world = World::with(|config| config.referrers = referrers);
        let image = world.image("demo/app");
        world.workload().args(["sign", &image]).run().ends(0);
        world.job().args(["sign", &image]).run().ends(0);
        let any = ["--certificate-identity-regexp", ".*", "--certificate-oidc-issuer-regexp", ".*"];
        let found = world.stranger().args(["verify", &image]).args(any).run().ends(0);
        assert_eq!(found.json()[0].as_array().unwrap().len(), 2);
        world.stranger().args(["verify", &image]).args(world.by_job()).run().ends(0);
    }
}

#[test]
fn the_platforms_of_an_image_are_signed_when_asked_for() {
    for referrers in [true, false] {
        let world = World::with(|config| config.referrers = referrers);
        let image = world.image("demo/app");
        let signed = world.workload().args(["sign", "-r", "-d", "-o", "json", &image]).run();
        let signed = signed.ends(0);
        assert_eq!(signed.stderr.matches("certified").count(), 1, "{signed:#?}");
        let lines = signed.json();
        assert_eq!(lines.len(), 3, "the index and two platforms: {lines:?}");
        for line in lines {
            let name = format!("{}/demo/app@", world.sandbox.registry());
            let part = format!("{name}{}", line["digest"].as_str().unwrap());
            assert!(line["image"] == json!(part) || line["image"] == json!(image), "{line}");
            world.stranger().args(["verify", &part]).args(world.by_workload()).run().ends(0);
        }
    }
}

#[test]
fn one_image_named_many_times_is_logged_by_either_log() {
    let world = World::new();
    let image = world.image("demo/app");
    for version in [sandbox::RekorVersion::V1, sandbox::RekorVersion::V2] {
        let config = world.sandbox.signing_config(version);
        let sign = world.workload().env("AMBISIGN_SIGNING_CONFIG", config);
        sign.args(["sign", &image, &image, &image]).run().ends(0);
    }
}

#[test]
fn one_image_named_many_times_loses_no_signature() {
    let world = World::with(|config| config.referrers = false);
    let image = world.image("demo/app");
    let images = std::iter::repeat_n(&image, 6);
    world.workload().args(["sign"]).args(images).run().ends(0);
    let found = world.stranger().args(["verify", &image]).args(world.by_workload()).run().ends(0);
    assert_eq!(found.json()[0].as_array().unwrap().len(), 6);
}

#[test]
fn processes_at_the_same_time_lose_no_signature() {
    let world = World::with(|config| config.referrers = false);
    let image = world.image("demo/app");
    let children: Vec<_> =
        (0..6).map(|_| world.workload().args(["sign", &image]).spawn()).collect();
    for child in children {
        crate::harness::Outcome::new(child.wait_with_output().unwrap()).ends(0);
    }
    let found = world.stranger().args(["verify", &image]).args(world.by_workload()).run().ends(0);
    assert_eq!(found.json()[0].as_array().unwrap().len(), 6);
}

#[test]
fn an_image_is_named_by_its_digest_as_well() {
    let world = World::new();
    world.image("demo/app");
    let image = format!("{}/demo/app@{}", world.sandbox.registry(), world.digest("demo/app"));
    world.workload().args(["sign", &image]).run().ends(0);
    let text = world.stranger().args(["verify", "-o", "text", &image]).args(world.by_workload());
    let text = text.run().ends(0);
    assert!(text.stdout.contains(&world.workload_id()), "{text:#?}");
}

#[test]
fn annotations_are_signed_and_demanded() {
    let world = World::new();
    let image = world.image("demo/app");
    world
        .workload()
        .args(["sign", "-a", "env=prod,q=a=b", "-a", "Subject=me", &image])
        .run()
        .ends(0);
    let verify = |annotation: &str| {
        let verify = world.stranger().args(["verify", "-a", annotation, &image]);
        verify.args(world.by_workload()).run()
    };
    let found = verify("env=prod").ends(0);
    let optional = &found.json()[0][0]["optional"];
    assert_eq!(optional["env"], "prod");
    assert_eq!(optional["q"], "a=b");
    assert_eq!(optional["Subject"], json!(world.workload_id()), "what is verified wins");
    verify("env=test").ends(12).says(&["env", "test", "prod"]);
}

#[test]
fn what_is_not_uploaded_is_written_and_the_image_stays_unsigned() {
    let world = World::new();
    let image = world.image("demo/app");
    let bundle = world.path("app.json");
    let signed = world
        .workload()
        .args(["sign", "--upload=false", "-o", "json", &image, "--bundle"])
        .arg(&bundle)
        .run()
        .ends(0);
    assert_eq!(signed.json()[0]["attached"], Value::Null);
    let bundle: Value = serde_json::from_slice(&std::fs::read(bundle).unwrap()).unwrap();
    assert_eq!(bundle["mediaType"], "application/vnd.dev.sigstore.bundle.v0.3+json");
    world.stranger().args(["verify", &image]).args(world.by_workload()).run().ends(10);
}

#[test]
fn the_statement_names_the_repository() {
    let world = World::new();
    let image = world.image("demo/app");
    let bundle = world.path("app.json");
    world.workload().args(["sign", &image, "--bundle"]).arg(&bundle).run().ends(0);
    let bundle = bundle::Bundle::from_json(&std::fs::read(bundle).unwrap()).unwrap();
    let bundle::Content::Envelope(envelope) = bundle.content() else { panic!("no envelope") };
    let statement: Value = serde_json::from_slice(&envelope.payload).unwrap();
    let repository = format!("{}/demo/app", world.sandbox.registry());
    assert_eq!(statement["subject"][0]["name"], json!(repository));
    assert_eq!(statement["predicate"], json!({}));
}

#[test]
fn several_images_are_each_reported_and_the_worst_code_wins() {
    let world = World::new();
    let signed = world.image("demo/signed");
    let unsigned = world.image("demo/unsigned");
    let missing = format!("{}/demo/missing:v1", world.sandbox.registry());
    world
        .workload()
        .args(["sign", &missing, &signed])
        .run()
        .ends(11)
        .says(&["demo/missing:v1 was not signed", "does not exist"]);
    let verified = world
        .stranger()
        .args(["verify", &missing, &unsigned, &signed])
        .args(world.by_workload())
        .run()
        .ends(10)
        .says(&["demo/missing:v1", "no signatures found", "demo/unsigned:v1"]);
    assert_eq!(verified.json().len(), 1);
    let stranger = by("somebody", "https://issuer.example");
    world.stranger().args(["verify", &missing, &unsigned, &signed]).args(stranger).run().ends(12);
}

#[test]
fn a_given_token_signs_and_a_person_may_be_the_signer() {
    let world = World::new();
    let image = world.image("demo/app");
    let token = world.sandbox.email_token("jane@example.org").unwrap();
    let file = world.write("token", format!("{token}\n"));
    let issuer = world.sandbox.endpoints().oidc.clone();
    let signed = [
        world.stranger().args(["sign", "--identity-token", &token, &image]).run(),
        world.stranger().args(["sign", &image, "--identity-token"]).arg(&file).run(),
        world.stranger().env("COSIGN_IDENTITY_TOKEN", &token).args(["sign", &image]).run(),
        world.stranger().env("SIGSTORE_ID_TOKEN", &token).args(["sign", "-d", &image]).run(),
        world.stranger().env("SIGSTORE_OIDC_TOKEN_FILE", &file).args(["sign", &image]).run(),
        world
            .stranger()
            .args(["sign", "--identity-token", "-", &image])
            .run_with_stdin(token.as_bytes()),
    ];
    let count = signed.len();
    for signed in signed {
        signed.ends(0).hides(&token);
    }
    let verify = world.stranger().args(["verify", &image]).args(by("jane@example.org", &issuer));
    let found = verify.run().ends(0);
    assert_eq!(found.json()[0].as_array().unwrap().len(), count);
}

#[test]
fn the_command_line_wins_over_the_environment_and_ours_over_cosigns() {
    let world = World::new();
    let image = world.image("demo/app");
    world.workload().args(["sign", &image]).run().ends(0);
    let [_, identity, _, issuer] = world.by_workload();
    let verify = || {
        let verify = world.stranger().args(["verify", &image]);
        verify.env("COSIGN_CERTIFICATE_OIDC_ISSUER", &issuer)
    };
    verify().env("COSIGN_CERTIFICATE_IDENTITY", &identity).run().ends(0);
    let ours = || verify().env("AMBISIGN_CERTIFICATE_IDENTITY", "me");
    ours().env("COSIGN_CERTIFICATE_IDENTITY", &identity).run().ends(12);
    ours().args(["--certificate-identity", &identity]).run().ends(0);
}

#[test]
fn an_attestation_alone_is_no_signature() {
    let world = World::new();
    let image = world.image("demo/app");
    let attestation = statement_bundle("https://slsa.dev/provenance/v1");
    world.attach(&image, &attestation);
    let verify = || world.stranger().args(["verify", &image]).args(world.by_workload()).run();
    verify().ends(10).says(&["no signatures found", "an attestation is there"]);
    world.workload().args(["sign", &image]).run().ends(0);
    verify().ends(0);
}

#[test]
fn a_signature_by_a_key_lacks_the_certificate() {
    let world = World::new();
    let image = world.image("demo/app");
    world.attach(&image, &statement_bundle(bundle::SIGN_PREDICATE_TYPE));
    let verify = || world.stranger().args(["verify", &image]).args(world.by_workload()).run();
    verify().ends(13).says(&["expected a bundle with a certificate"]);
    world.workload().args(["sign", &image]).run().ends(0);
    verify().ends(0);
}

#[test]
fn a_bundle_of_another_image_is_refused() {
    let world = World::new();
    let (image, other) = (world.image("demo/app"), world.image("demo/other"));
    let bundle = world.path("other.json");
    world.workload().args(["sign", &other, "--bundle"]).arg(&bundle).run().ends(0);
    world.attach(&image, &std::fs::read(bundle).unwrap());
    let verify = world.stranger().args(["verify", &image]).args(world.by_workload());
    verify.run().ends(12).says(&["subject: the statement is about sha256:"]);
}

#[test]
fn a_signature_that_was_not_logged_is_accepted_only_when_asked_for() {
    let world = World::new();
    let image = world.image("demo/app");
    let signed = world.workload().args(["sign", "--tlog-upload=false", "-o", "json", &image]);
    let signed = signed.run().ends(0).says(&["--insecure-ignore-tlog"]);
    assert_eq!(signed.json()[0]["log_url"], Value::Null);
    let verify = || world.stranger().args(["verify", &image]).args(world.by_workload());
    verify().run().ends(12).says(&["transparency log", "--insecure-ignore-tlog"]);
    verify().args(["--insecure-ignore-tlog"]).run().ends(0).says(&["warning:"]);
}

/// A bundle by nobody, over a statement of this kind.
fn statement_bundle(predicate_type: &str) -> Vec<u8> {
    let subject = bundle::Subject {
        digests: [("sha256".to_owned(), "00".repeat(32))].into(),
        ..bundle::Subject::default()
    };
    let envelope = bundle::Envelope {
        payload: bundle::Statement::new(vec![subject], predicate_type, json!({})).to_json(),
        payload_type: bundle::INTOTO_PAYLOAD_TYPE.to_owned(),
        signatures: vec![bundle::EnvelopeSignature { sig: vec![1], keyid: None }],
    };
    let material = bundle::VerificationMaterial::PublicKey { hint: Some("key".to_owned()) };
    let content = bundle::Content::Envelope(envelope);
    bundle::Bundle::new(material, content, Vec::new(), Vec::new()).unwrap().to_json().into_bytes()
}
