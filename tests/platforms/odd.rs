//! Tokens and places that no platform's documentation describes.

use serde_json::{Map, Value, json};

use harness::{Program, Setup};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other}"),
    }
}

/// A person's token, whose claims are changed.
fn token(setup: &Setup, changes: Value) -> String {
    let claims = json!({ "sub": "1", "email": "a@b.example", "email_verified": true });
    let mut claims = object(claims);
    claims.extend(object(changes));
    claims.retain(|_, value| *value != json!("absent"));
    setup.sandbox.token("email", &claims).unwrap()
}

fn with_token(setup: &Setup, token: &str) -> Program {
    setup.program().env("SIGSTORE_ID_TOKEN", token)
}

#[test]
fn a_claim_that_is_missing_is_named_with_its_fix() {
    let setup = Setup::new();
    let without = |platform: &str, claims: &[&str]| {
        let platform = setup.platform(platform);
        let issuer = platform.issuer.rsplit('/').next().unwrap();
        let mut rest = platform.claims.clone();
        rest.retain(|name, _| !claims.contains(&name.as_str()));
        setup.sandbox.token(issuer, &rest).unwrap()
    };
    for (token, texts) in [
        (
            without("gitlab", &["ci_config_ref_uri", "ci_config_sha"]),
            &["ci_config_ref_uri", "found none", "put a .gitlab-ci.yml into the project"][..],
        ),
        (
            without("gce", &["email", "email_verified"]),
            &["email", "found none", "`format=full`", "`includeEmail`"],
        ),
        (token(&setup, json!({ "email_verified": false })), &["email_verified", "found false"]),
        (token(&setup, json!({ "iss": null })), &["iss", "jwt_issuer"]),
        (token(&setup, json!({ "iss": 5 })), &["iss", "found 5"]),
        (
            token(&setup, json!({ "iss": "https://elsewhere.example" })),
            &["https://elsewhere.example", "the most alike are", "--fulcio-url"],
        ),
        (
            setup.sandbox.token("spiffe", &object(json!({ "sub": "spiffe://other/x" }))).unwrap(),
            &["sub", "the trust domain example.org", "spiffe://other/x", "trust domain"],
        ),
    ] {
        let (outcome, report) = with_token(&setup, &token).identity();
        let outcome = outcome.ends(1).says(texts);
        assert!(!outcome.stderr.contains("eyJ"), "{outcome:#?}");
        assert_eq!(report["fulcio"]["accepts"], Value::Bool(false));
        with_token(&setup, &token).sign().ends(1).says(texts);
    }
}

#[test]
fn odd_tokens_that_fulcio_takes_are_taken() {
    let setup = Setup::new();
    for changes in [
        json!({ "aud": ["other", "sigstore"] }),
        json!({ "sub": "absent" }),
        json!({ "note": "x".repeat(20_000) }),
        json!({ "nested": { "deep": [[[[[[1]]]]]] } }),
        json!({ "iat": "absent" }),
        json!({ "email_verified": "true" }),
    ] {
        let token = token(&setup, changes.clone());
        let (outcome, report) = with_token(&setup, &token).identity();
        outcome.ends(0);
        assert_eq!(report["certificate"]["subject"], "a@b.example", "{changes}");
        setup.certificate(with_token(&setup, &token));
    }
}

#[test]
fn what_is_no_token_is_told_apart_and_never_shown() {
    let setup = Setup::new();
    let good = token(&setup, json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    for (text, said) in [
        (parts[..2].join("."), "three parts"),
        ([parts[0], "", parts[1], parts[1], parts[2]].join("."), "found 5"),
        (format!("\"{good}\""), "in quotation marks"),
        (format!("Bearer {good}"), "after `Bearer`"),
        (format!("{{\"value\":\"{good}\"}}"), "field `value`"),
        (good.replace('.', ".\n"), "payload"),
        (format!("{}.{}.{}", parts[0], "bm90IGpzb24", parts[2]), "payload"),
        (format!("{}.{}.{}", parts[0], "WzFd", parts[2]), "payload"),
    ] {
        let outcome = with_token(&setup, &text).sign().ends(1).says(&["SIGSTORE_ID_TOKEN", said]);
        assert!(!outcome.stderr.contains(parts[1]), "{outcome:#?}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let program = setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", file.path());
        let outcome = program.sign().ends(1).says(&["SIGSTORE_OIDC_TOKEN_FILE", said]);
        assert!(!outcome.stderr.contains(parts[1]), "{outcome:#?}");
    }
}

#[test]
fn a_byte_order_mark_before_a_token_is_skipped() {
    let setup = Setup::new();
    let good = token(&setup, json!({}));
    with_token(&setup, &format!("\u{feff}{good}")).sign().ends(0);
}

#[test]
fn an_empty_token_is_none_in_a_variable_and_an_error_on_the_command_line() {
    let setup = Setup::new();
    let job = setup.on(&setup.platform("github"));
    let (outcome, report) = job.env("SIGSTORE_ID_TOKEN", "").identity();
    outcome.ends(0);
    assert_eq!(report["chosen"]["provider"], "github-actions");
    let job = setup.on(&setup.platform("github"));
    job.args(["--identity-token", ""]).sign().ends(2).says(&["--identity-token", "empty"]);
}

#[test]
fn a_job_with_half_of_its_variables_is_a_broken_job_and_no_machine_is_asked() {
    let setup = Setup::new();
    let github = setup.platform("github");
    for missing in ["ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"] {
        let program = setup.on(&setup.platform("gce")).envs(&github.env).env(missing, "");
        program.sign().ends(1).says(&[&format!("{missing} is not set"), "id-token: write"]);
    }
}

#[test]
fn of_two_jobs_at_once_the_first_in_the_fixed_order_is_taken() {
    // A GitHub runner on a machine of Buildkite's, and the other way round: the markers do not tell which, so
    // the order is fixed.
    let setup = Setup::new();
    let both = setup.on(&setup.platform("buildkite")).envs(&setup.platform("github").env);
    let (outcome, report) = both.identity();
    outcome.ends(0);
    assert_eq!(report["chosen"]["provider"], "github-actions");
    let state = |name: &str| {
        let sources = report["sources"].as_array().unwrap().iter();
        let mut named = sources.filter(|source| source["provider"] == name);
        named.next().unwrap()["state"].clone()
    };
    assert_eq!(state("buildkite-agent"), "available");
}

#[test]
fn a_file_that_expired_while_it_lay_there_is_told_with_its_age() {
    let setup = Setup::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    let old = token(&setup, json!({ "iat": 1_000_000_000, "exp": 1_000_000_300 }));
    std::fs::write(file.path(), old).unwrap();
    let program = || setup.program().env("SIGSTORE_OIDC_TOKEN_FILE", file.path());
    program().sign().ends(1).says(&["expired", "after a life of 300 s", "clock"]);
    std::fs::write(file.path(), token(&setup, json!({})) + "\r\n").unwrap();
    setup.certificate(program());
}

#[test]
fn a_helper_gets_no_token_of_the_job_and_what_it_writes_of_one_is_not_shown() {
    let setup = Setup::new();
    let good = token(&setup, json!({}));
    std::fs::create_dir_all(setup.path(".config/ambisign")).unwrap();
    let declare = |script: &str| {
        let source = format!(
            "[[source]]\nname = \"ours\"\nkind = \"exec\"\ncommand = [\"sh\", \"-c\", \"{script}\"]\n\
             pass = [\"SYSTEM_ACCESSTOKEN\"]\n"
        );
        setup.write(".config/ambisign/identity.toml", source);
    };
    let secrets = [
        "PYPI_ID_TOKEN",
        "ID_TOKEN",
        "IDENTITY_HEADER",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "NOMAD_TOKEN",
        "SPACELIFT_OIDC_TOKEN",
        "PLUGIN_OIDC_TOKEN_ID",
    ];
    let job = || {
        let program = setup.program().env("GOOD", &good).env("SYSTEM_ACCESSTOKEN", "opaque-secret");
        secrets.iter().fold(program, |program, name| program.env(name, "hunter2"))
    };
    declare("env > seen; echo $GOOD");
    job().sign().ends(0);
    let seen = std::fs::read_to_string(setup.path("seen")).unwrap();
    for name in secrets {
        assert!(!seen.contains(&format!("{name}=")), "{name}: {seen}");
    }
    assert!(seen.contains("SYSTEM_ACCESSTOKEN="), "{seen}");
    declare("echo refused: $SYSTEM_ACCESSTOKEN $GOOD >&2; exit 3");
    let outcome =
        job().sign().ends(1).says(&["`sh` ended with code 3: `refused: [secret] [token]`"]);
    outcome.hides("opaque-secret").hides(&good);
}

#[test]
fn a_secret_in_place_of_its_files_name_is_not_shown() {
    let setup = Setup::new();
    let good = token(&setup, json!({}));
    let key = r#"{"type":"service_account","private_key":"hunter2"}"#;
    for (variable, value) in [
        ("SIGSTORE_OIDC_TOKEN_FILE", good.as_str()),
        ("SIGSTORE_OIDC_TOKEN_FILE", "hunter2"),
        ("GOOGLE_APPLICATION_CREDENTIALS", key),
        ("AZURE_FEDERATED_TOKEN_FILE", "hunter2"),
    ] {
        let program = || setup.program().env(variable, value);
        program().sign().ends(1).hides(value).says(&["the file (not shown"]);
        let (outcome, report) = program().identity();
        outcome.ends(1).hides(value);
        assert!(!report.to_string().contains("hunter2"), "{report:#}");
    }
}
