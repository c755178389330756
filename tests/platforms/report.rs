//! What `identity` reports, in JSON and for a person.

use serde_json::{Value, json};

use harness::Setup;

fn names(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_report_has_the_same_shape_with_and_without_an_identity() {
    let setup = Setup::new();
    let shape = ["certificate", "chosen", "fulcio", "sources"];
    let github = setup.platform("github");
    let (outcome, found) = setup.on(&github).identity();
    outcome.ends(0);
    let (outcome, nothing) = setup.program().identity();
    outcome.ends(1);
    for report in [&found, &nothing] {
        assert_eq!(names(report), shape);
        for source in report["sources"].as_array().unwrap() {
            assert_eq!(names(source), ["evidence", "hint", "provider", "reason", "state"]);
            assert!(["absent", "available", "broken"].contains(&source["state"].as_str().unwrap()));
        }
    }
    for absent in ["certificate", "chosen", "fulcio"] {
        assert_eq!(nothing[absent], Value::Null);
    }
    let claims = &found["chosen"]["claims"];
    assert_eq!(claims["job_workflow_ref"], github.claims["job_workflow_ref"]);
    let left = found["chosen"]["seconds_left"].as_u64().unwrap();
    assert!((200..=300).contains(&left), "{left}");
    assert!(found["chosen"]["expires"].as_str().unwrap().ends_with('Z'));
    assert_eq!(found["certificate"]["proof"], github.claims["sub"]);
    assert!(!found.to_string().contains("eyJ"), "{found:#}");
}

#[test]
fn a_token_inside_of_a_token_is_not_shown() {
    let setup = Setup::new();
    let inner = setup.sandbox.email_token("inner@example.org").unwrap();
    let claims = json!({ "sub": "1", "email": "a@b.example", "email_verified": true,
        "act": { "raw": [inner] } });
    let Value::Object(claims) = claims else { panic!() };
    let token = setup.sandbox.token("email", &claims).unwrap();
    for args in [&["-o", "json"][..], &["-o", "text"]] {
        let program = setup.program().env("SIGSTORE_ID_TOKEN", &token).args(args);
        let outcome = program.command("identity").run().ends(0);
        assert!(!outcome.stdout.contains("eyJ") && !outcome.stderr.contains("eyJ"), "{outcome:#?}");
    }
}

#[test]
fn a_person_is_told_the_identity_its_life_and_the_certificate() {
    let setup = Setup::new();
    let outcome = setup.on(&setup.platform("github")).command("identity").run().ends(0);
    let mut rest = outcome.stdout.as_str();
    for text in [
        "This identity would sign:",
        &setup.sandbox.github_identity(),
        "issuer",
        "valid     for 4m",
        " UTC",
        "github-actions (ACTIONS_ID_TOKEN_REQUEST_URL is set)",
        "accepted  yes, by http",
        "githubWorkflowTrigger",
        "Not here (--verbose says why): envvar",
    ] {
        let (_, after) = rest.split_once(text).unwrap_or_else(|| panic!("{text:?}: {outcome:#?}"));
        rest = after;
    }
    let verbose = setup.on(&setup.platform("github")).args(["identity", "--verbose"]).run().ends(0);
    assert!(verbose.stdout.contains("absent: SIGSTORE_ID_TOKEN is not set"), "{verbose:#?}");
}

#[test]
fn the_report_fits_a_narrow_terminal_and_no_name_or_url_is_broken() {
    let setup = Setup::new();
    for columns in ["60", "100"] {
        let program = setup.on(&setup.platform("github")).env("COLUMNS", columns);
        let outcome = program.command("identity").run().ends(0);
        let columns: usize = columns.parse().unwrap();
        for line in outcome.stdout.lines() {
            let is_one_word = line.trim().split(' ').count() == 1;
            assert!(line.chars().count() <= columns || is_one_word, "{line}");
        }
        assert!(outcome.stdout.contains(&setup.sandbox.github_identity()), "{outcome:#?}");
    }
}

#[test]
fn a_fulcio_that_cannot_be_asked_is_no_refusal_and_known_issuers_are_predicted() {
    let setup = Setup::new();
    let nowhere = ["--fulcio-url", "http://127.0.0.1:1"];
    let ask = |token: &str| setup.program().env("SIGSTORE_ID_TOKEN", token).args(nowhere);
    let (outcome, report) = ask(GOOGLES).identity();
    outcome.ends(0).says(&["does not publish which issuers it accepts"]);
    assert_eq!(report["certificate"]["subject"], "ci@p.iam.gserviceaccount.com");
    assert_eq!(report["fulcio"]["accepts"], Value::Null);
    let (outcome, report) = ask(OTHER_ISSUER).identity();
    outcome.ends(0);
    assert_eq!(report["certificate"], Value::Null);
}

#[test]
fn a_file_tells_what_the_authority_does_not() {
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("profiles.json");
    let write = |text: String| std::fs::write(&path, text).unwrap();
    let buildkite = setup.platform("buildkite");
    let ask = || setup.on(&buildkite).args(["--issuer-profiles"]).args([&path]).identity();
    let profile = |provider: &str| {
        let issuer = json!({ "issuer_url": buildkite.issuer, "type": "ci-provider",
            "ci_provider": provider });
        json!({ "issuers": [issuer] }).to_string()
    };
    write(profile("buildkite-job"));
    let (outcome, report) = ask();
    outcome.ends(0);
    assert_eq!(report["certificate"]["subject"], "https://buildkite.com/acme/app");
    // A template of a Fulcio of one's own says where the platform is.
    let own = profile("buildkite-job")
        .replace("\"type\"", "\"url\":\"https://ci.acme.example\",\"type\"");
    write(own);
    let (outcome, report) = ask();
    outcome.ends(0);
    assert_eq!(report["certificate"]["subject"], "https://ci.acme.example/acme/app");
    // It counts more than a guess from the claims.
    write(profile("github-workflow"));
    let (outcome, report) = ask();
    outcome.ends(1).says(&["job_workflow_ref", "github-workflow"]);
    assert_eq!(report["certificate"], Value::Null);
    write(profile("buildkite"));
    ask().0.ends(1).says(&["cannot use --issuer-profiles", "unknown ci_provider", "buildkite-job"]);
    write("issuers: []".to_owned());
    ask().0.ends(1).says(&["cannot use --issuer-profiles", "JSON object", "\"issuers\""]);
}

#[test]
fn declared_sources_are_asked_and_a_file_that_cannot_be_read_is_as_if_absent_with_a_warning() {
    let setup = Setup::new();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("ambisign/identity.toml");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    let declared = "[[source]]\nname = \"mine\"\nkind = \"env\"\nvariable = \"MINE\"\n";
    std::fs::write(&file, declared).unwrap();
    let job = || setup.on(&setup.platform("github")).env("XDG_CONFIG_HOME", home.path());
    let (outcome, report) = job().env("MINE", GOOGLES).identity();
    outcome.ends(1).says(&["does not accept the issuer"]);
    assert_eq!(report["chosen"]["provider"], "mine");

    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let (outcome, report) = job().env("MINE", GOOGLES).identity();
    outcome.ends(0).says(&["no declared identity sources", "identity.toml"]);
    assert_eq!(report["chosen"]["provider"], "github-actions");
}

/// A token of `https://accounts.google.com` for `ci@p.iam.gserviceaccount.com`, with a signature of no key and
/// good until the year 2096.
const GOOGLES: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL2FjY291bnRzLmdvb2dsZS5jb20iLCJzdWIiOiIxIiw\
     iZW1haWwiOiJjaUBwLmlhbS5nc2VydmljZWFjY291bnQuY29tIiwiZW1haWxfdmVyaWZpZWQiOnRydWUsImF\
     1ZCI6InNpZ3N0b3JlIiwiZXhwIjo0MDAwMDAwMDAwfQ.c2ln";

/// The same of `https://x.example`.
const OTHER_ISSUER: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwczovL3guZXhhbXBsZSIsInN1YiI6IjEiLCJhdWQiOiJzaWd\
     zdG9yZSIsImV4cCI6NDAwMDAwMDAwMH0.c2ln";
