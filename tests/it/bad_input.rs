//! What can be wrong, told apart, before a certificate is asked for or anything is logged.

use sandbox::Fault;
use serde_json::{Map, json};

use harness::{Program, Setup};

#[test]
fn an_image_that_does_not_exist_is_known_before_a_certificate_is_asked_for() {
    let setup = Setup::with_fault(Fault::FulcioError);
    setup.image("demo/app");
    for image in ["demo/app:nope", "demo/nope:v1"] {
        let image = format!("{}/{image}", setup.sandbox.registry());
        setup.workload().args(["sign", &image]).run().ends(11).says(&["does not exist"]);
        let verify = setup.program().args(["verify", &image]).args(setup.by_workload());
        verify.run().ends(11).says(&["does not exist"]);
    }
}

#[test]
fn a_registry_that_refuses_the_push_is_known_before_a_certificate_is_asked_for() {
    // The image is pushed before the registry starts to refuse.
    let directory = tempfile::tempdir().unwrap();
    let configure = |config: &mut sandbox::Config| {
        config.directory = directory.path().to_owned();
        config.keep_images = true;
    };
    let image = Setup::with(configure).image("demo/app");
    let setup = Setup::with(|config| {
        configure(config);
        config.faults = [Fault::RegistryDeniesPush, Fault::FulcioError].into();
    });
    let (_, name) = image.split_once('/').unwrap();
    let image = format!("{}/{name}", setup.sandbox.registry());
    setup.workload().args(["sign", &image]).run().ends(1).says(&[
        "was not signed",
        "push",
        "packages: write",
    ]);
}

#[test]
fn a_secret_of_another_kind_is_never_printed() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let secret = format!("1/2.{}", "x".repeat(300));
    for (secret, kind) in [
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "a GitHub token"),
        ("ya29.a0AfH6SMBx/short", "a Google access token"),
        ("glpat-xxxx/../yyyy", "GitLab"),
        ("hunter2", "text of 7 bytes"),
        (&*secret, "text of 304 bytes"),
    ] {
        let sign = setup.program().arg("sign-blob").arg(&file);
        sign.args(["--identity-token", secret]).run().ends(1).hides(secret).says(&[kind]);
        let sign = setup.program().arg("sign-blob").arg(&file);
        sign.env("AMBISIGN_IDENTITY_TOKEN", secret).run().ends(1).hides(secret);
        let login = ["--fulcio-auth-flow", "device", "--oidc-client-secret-file", secret];
        let sign = setup.program().arg("sign-blob").arg(&file).args(login);
        sign.run()
            .ends(2)
            .hides(secret)
            .says(&["--oidc-client-secret-file names no existing file"]);
    }
}

#[test]
fn a_variable_that_is_set_counts() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    let verify = || setup.program().args(["verify", &image]);
    let bytes = OsStr::from_bytes(b"/nowhere/\xff");
    for name in ["AMBISIGN_TRUSTED_ROOT", "COSIGN_CERTIFICATE_IDENTITY", "SIGSTORE_ID_TOKEN"] {
        let verify = verify().env(name, bytes).args(setup.by_workload());
        verify.run().ends(2).says(&[&format!("the variable {name} is not UTF-8")]);
    }
    let [_, identity, _, issuer] = setup.by_workload();
    let one = verify().args(["--certificate-identity", &identity]);
    one.env("COSIGN_CERTIFICATE_OIDC_ISSUER", "").run().ends(2).says(&[
        "--certificate-oidc-issuer",
        "the value is empty",
        "set by the variable COSIGN_CERTIFICATE_OIDC_ISSUER",
    ]);
    let empty = ["--certificate-identity", "", "--certificate-oidc-issuer", &issuer];
    verify().args(empty).run().ends(2).says(&["the value is empty"]);
    let sign = setup.workload().args(["sign", &image]);
    sign.env("AMBISIGN_IDENTITY_TOKEN", "").run().ends(2).says(&["--identity-token"]);
}

#[test]
fn a_platforms_variable_that_is_not_utf8_is_wrong_usage_and_a_path_is_used_as_it_is() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let setup = Setup::new();
    let bytes = OsStr::from_bytes(b"x\xff");
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "AZURE_CLIENT_ID",
        "GOOGLE_SERVICE_ACCOUNT_NAME",
        "KUBERNETES_SERVICE_HOST",
        "SPIFFE_ENDPOINT_SOCKET",
        "HTTPS_PROXY",
        "https_proxy",
    ] {
        let identity = setup.program().arg("identity").env(name, bytes).run().ends(2);
        identity.says(&[&format!("the variable {name} is not UTF-8")]);
    }
    // The files are looked for where the bytes lead.
    let home = setup.directory().join(bytes);
    std::fs::create_dir(&home).unwrap();
    let initialize = ["initialize", "--mirror", setup.sandbox.tuf_url(), "--root"];
    for name in ["HOME", "XDG_CACHE_HOME", "TUF_ROOT"] {
        let program = Program::new(setup.directory()).args(initialize);
        program.arg(setup.sandbox.tuf_root()).env(name, &home).run().ends(0);
    }
    for cache in [".cache/ambisign/tuf", "ambisign/tuf", "."] {
        let locks = std::fs::read_dir(home.join(cache)).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(locks.filter(|path| path.to_string_lossy().ends_with(".lock")).count(), 1);
    }
}

#[test]
fn bad_tokens_are_told_apart_and_never_printed() {
    let setup = Setup::with_fault(Fault::FulcioError);
    let file = setup.write("a", "content");
    let sign = |token: &str| {
        let sign = setup.program().args(["sign-blob", "--identity-token", token]).arg(&file);
        sign.run().ends(1).hides(token)
    };
    let issuer = |name: &str| setup.sandbox.issuer(name).unwrap();
    let email = |aud: &str, exp: u64| {
        let claims = json!({
            "iss": issuer("email").url(), "sub": "1", "email": "a@example.org",
            "email_verified": true, "aud": aud, "iat": 1, "exp": exp,
        });
        issuer("email").sign(claims.as_object().unwrap()).unwrap()
    };
    sign(&email("sigstore", 600)).says(&["expired"]);
    sign(&email("somebody", u64::from(u32::MAX))).says(&["somebody", "sigstore"]);
    let unlisted = json!({
        "iss": "https://unlisted.example", "sub": "1", "aud": "sigstore", "exp": u32::MAX,
    });
    sign(&issuer("email").sign(unlisted.as_object().unwrap()).unwrap())
        .says(&["https://unlisted.example"]);
    sign("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0").says(&["three parts"]);
    sign("eyJhbGciOiJFUzI1NiJ9.!!!.AAAA").says(&["base64url"]);
    assert!(!setup.path("a.sigstore.json").exists());
}

#[test]
fn a_token_in_the_wrong_place_of_the_command_line_is_not_repeated() {
    let setup = Setup::new();
    let token = setup.sandbox.email_token("jane@example.org").unwrap();
    setup.program().args(["sign", "--yess", &token, "image"]).run().ends(2).hides(&token);
    setup.program().args(["sign", &token]).run().hides(&token);
    setup.program().args([&token]).run().ends(2).hides(&token);
}

#[test]
fn what_the_sources_hand_out_is_checked_too() {
    for (fault, text) in [(Fault::TokenExpired, "expired"), (Fault::TokenForAnother, "another")] {
        let setup = Setup::with_fault(fault);
        let image = setup.image("demo/app");
        for program in [setup.workload(), setup.job()] {
            program.args(["sign", &image]).run().ends(1).says(&[text]);
        }
    }
}

#[test]
fn a_job_without_its_permission_is_told_so_at_once() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let job = setup.program().env("GITHUB_ACTIONS", "true");
    job.args(["sign", &image]).run().ends(1).says(&["id-token: write"]);
}

#[test]
fn no_identity_is_told_in_few_lines_and_with_what_to_do() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let outcome = setup.program().args(["sign", &image]).run().ends(1).says(&[
        "no ambient identity found",
        "identity sources is here",
        "hint: run where an identity exists",
        "`ambisign identity --verbose`",
    ]);
    assert!(outcome.stderr.lines().count() < 8, "{outcome:#?}");
    let only = ["sign", "--oidc-disable-ambient-providers", &image];
    setup.workload().args(only).run().ends(2).says(&["--identity-token"]);
    let named = ["sign", "--oidc-provider", "github-actions", &image];
    setup.workload().args(named).run().ends(1).says(&["github-actions"]);
}

#[test]
fn without_time_no_service_is_asked_and_nothing_is_signed() {
    let setup = Setup::with_fault(Fault::FulcioError);
    let image = setup.image("demo/app");
    let sign = |config: serde_json::Value| {
        let config = setup.write("config.json", config.to_string());
        let sign = setup.workload().args(["sign", &image, "--signing-config"]).arg(&config);
        sign.run().ends(1)
    };
    let config = setup.sandbox.signing_config(sandbox::RekorVersion::V2);
    let mut config: Map<_, _> = serde_json::from_slice(&std::fs::read(config).unwrap()).unwrap();
    config.insert("tsaUrls".to_owned(), json!([]));
    sign(json!(config)).says(&["no verifiable signature", "Rekor v2", "--timestamp-server-url"]);
    config.insert("rekorTlogUrls".to_owned(), json!([]));
    sign(json!(config)).says(&["no verifiable signature", "neither"]);
}

#[test]
fn a_root_of_another_instance_is_known_before_anything_is_logged() {
    let setup = Setup::with_fault(Fault::RekorError);
    let other = Setup::new();
    let image = setup.image("demo/app");
    let root = other.sandbox.trusted_root();
    let sign = setup.workload().args(["sign", &image, "--trusted-root"]).arg(&root);
    sign.run().ends(1).says(&["does not verify under the trusted root", "--trusted-root"]);
}

#[test]
fn a_timestamp_of_an_authority_that_is_not_trusted_is_known_before_anything_is_logged() {
    let setup = Setup::with_fault(Fault::RekorError);
    let other = Setup::new();
    let root = |setup: &Setup| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(setup.sandbox.trusted_root()).unwrap()).unwrap()
    };
    let mut mixed = root(&setup);
    mixed["timestampAuthorities"] = root(&other)["timestampAuthorities"].clone();
    let mixed = setup.write("root.json", mixed.to_string());
    let config = setup.sandbox.signing_config(sandbox::RekorVersion::V2);
    for sign in [
        setup.workload().args(["sign", &setup.image("demo/app")]),
        setup.workload().arg("sign-blob").arg(setup.write("a", "content")),
    ] {
        let sign = sign.arg("--trusted-root").arg(&mixed).arg("--signing-config").arg(&config);
        sign.run().ends(1).says(&["it is not by a trusted authority"]).hides("no log entry");
    }
}

#[test]
fn certificates_without_a_timestamp_do_where_no_transparency_log_is_trusted_and_nowhere_else() {
    let setup = Setup::with_fault(Fault::CertificatesUnlogged);
    let image = setup.image("demo/app");
    let sign = || setup.workload().args(["sign", &image]);
    sign().run().ends(1).says(&["does not verify under the trusted root", "found none"]);
    let verify = || setup.program().args(["verify", &image]).args(setup.by_workload());
    verify().run().ends(10);

    let text = std::fs::read_to_string(setup.sandbox.trusted_root()).unwrap();
    let mut root: serde_json::Value = serde_json::from_str(&text).unwrap();
    root.as_object_mut().unwrap().remove("ctlogs");
    let root = setup.write("root.json", root.to_string());
    sign().arg("--trusted-root").arg(&root).run().ends(0);
    let verify = || verify().arg("--trusted-root").arg(&root);
    verify().run().ends(12).says(&["--insecure-ignore-sct"]);
    verify().arg("--insecure-ignore-sct").run().ends(0);
}

#[test]
fn each_failing_service_is_named() {
    let faults = [
        (Fault::FulcioError, vec!["no certificate from http://localhost", "500"]),
        (Fault::RekorError, vec!["no log entry from http://localhost", "500"]),
        (Fault::TsaError, vec!["no timestamp from http://localhost", "500"]),
        (Fault::NoIdentity, vec!["spiffe", "no identity issued"]),
    ];
    std::thread::scope(|scope| {
        for (fault, texts) in faults {
            scope.spawn(move || {
                let setup = Setup::with_fault(fault);
                let image = setup.image("demo/app");
                setup.workload().args(["sign", &image]).run().ends(1).says(&texts);
                setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(10);
            });
        }
    });
}

#[test]
fn an_answer_that_is_lost_after_the_log_took_the_entry_loses_no_signature() {
    for version in [sandbox::RekorVersion::V1, sandbox::RekorVersion::V2] {
        let setup = Setup::with_fault(Fault::LogAnswerLost);
        let image = setup.image("demo/app");
        let config = setup.sandbox.signing_config(version);
        let signer = || setup.workload().env("AMBISIGN_SIGNING_CONFIG", &config);
        signer().args(["sign", &image]).run().ends(0);
        setup.program().args(["verify", &image]).args(setup.by_workload()).run().ends(0);

        let setup = Setup::with_fault(Fault::LogAnswerLost);
        let config = setup.sandbox.signing_config(version);
        let file = setup.write("a", "content");
        let signer = setup.workload().env("AMBISIGN_SIGNING_CONFIG", &config);
        signer.args(["sign-blob"]).arg(&file).run().ends(0);
    }
}

#[test]
fn a_registry_that_cannot_be_reached_is_not_an_unsigned_image() {
    let setup = Setup::new();
    let verify = setup.program().args(["verify", "127.0.0.1:1/demo/app:v1"]);
    verify.args(setup.by_workload()).run().ends(1).says(&["could not be verified", "127.0.0.1:1"]);
}

#[test]
fn another_signer_is_shown_with_flags_to_paste() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.workload().args(["sign", &image]).run().ends(0);
    // Both at once: the identity and its issuer.
    let flag = format!(
        "--certificate-identity {} --certificate-oidc-issuer {}",
        setup.workload_id(),
        setup.sandbox.spiffe_issuer()
    );
    let verify = setup.program().args(["verify", &image]).args(setup.by_job());
    verify.run().ends(12).says(&["is signed, but no signature is acceptable", &flag]);
}

#[test]
fn identity_shows_who_would_sign() {
    let setup = Setup::new();
    let shown = setup.workload().args(["identity", "-o", "json"]).run().ends(0);
    let shown = &shown.json()[0];
    assert_eq!(shown["chosen"]["provider"], "spiffe");
    assert_eq!(shown["chosen"]["claims"]["sub"], json!(setup.workload_id()));
    assert_eq!(shown["fulcio"]["accepts"], true);
    setup.program().args(["identity"]).run().ends(1);
    let unlisted = json!({
        "iss": "https://unlisted.example", "sub": "1", "aud": "sigstore", "exp": u32::MAX,
    });
    let issuer = setup.sandbox.issuer("email").unwrap();
    let token = issuer.sign(unlisted.as_object().unwrap()).unwrap();
    let refused = setup.program().env("SIGSTORE_ID_TOKEN", &token).args(["identity"]).run();
    let refused = refused.ends(1).says(&["https://unlisted.example"]).hides(&token);
    assert!(refused.stdout.contains("would refuse it"), "{refused:#?}");
}
