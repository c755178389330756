//! The table of places in the README, and those places in it that no platform of the sandbox stands
//! for.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::SystemTime;

use sandbox::{Issuer, PLATFORMS, State};
use serde_json::{Map, Value, json};

use crate::certificates::{OTHERS, TRUSTED};
use harness::Setup;

/// What stands for a place where no platform does.
enum TestedBy {
    /// Platforms of the sandbox: `certificates` drives the program in each.
    Platforms(&'static [&'static str]),
    /// Tests of this file.
    Here,
    /// Tests elsewhere, which drive the program as well.
    Elsewhere,
}

use TestedBy::{Elsewhere, Here, Platforms};

/// Each row of the table in docs/identity.md, in order.
const ROWS: [(&str, TestedBy); 35] = [
    // it::bad_input and it::blobs
    ("a token you give", Elsewhere),
    ("a token in a variable", Platforms(&["env-token"])),
    ("a token in a file", Platforms(&["token-file", "kubernetes-file"])),
    ("GitHub Actions on github.com", Platforms(&["github"])),
    ("GitHub Enterprise Cloud with an issuer of its own", Here),
    ("GitHub with data residency (ghe.com), GitHub Enterprise Server", Here),
    ("Forgejo and Codeberg Actions", Platforms(&["forgejo"])),
    ("GitLab.com", Platforms(&["gitlab"])),
    ("GitLab, self-managed", Here),
    ("Buildkite", Platforms(&["buildkite", "buildkite-cli"])),
    ("CircleCI", Platforms(&["circleci"])),
    ("Codefresh", Platforms(&["codefresh"])),
    ("Buddy", Platforms(&["buddy"])),
    (
        "Google Compute Engine, GKE, Cloud Run, Cloud Functions, Cloud Build",
        Platforms(&["gce", "gke", "cloud-run"]),
    ),
    ("a Google service account by name", Platforms(&["google-impersonation"])),
    ("Google's Application Default Credentials", Platforms(&["google-adc"])),
    ("Kubernetes (GKE, EKS, AKS): a projected token", Platforms(&["kubernetes-file"])),
    ("Kubernetes: any other issuer", Platforms(&["kubernetes"])),
    ("SPIFFE Workload API", Platforms(&["spiffe"])),
    ("Azure Pipelines", Platforms(&["azure-pipelines"])),
    ("Azure managed identity, workload identity", Platforms(&["azure-app-service"])),
    ("AWS `GetWebIdentityToken`", Platforms(&["aws"])),
    ("EKS service account role (IRSA)", Here),
    ("Bitbucket Pipelines", Platforms(&["bitbucket"])),
    ("HCP Terraform", Platforms(&["hcp-terraform"])),
    ("Fly.io", Platforms(&["fly"])),
    ("Vercel, Semaphore", Platforms(&["vercel", "semaphore"])),
    ("Spacelift", Here),
    ("Nomad", Here),
    ("Harness", Here),
    ("Jenkins with the plugin OpenID Connect Provider", Here),
    ("TeamCity", Here),
    ("Chainguard", Platforms(&["chainguard"])),
    // it::login
    ("a person (GitHub, Google or Microsoft account)", Elsewhere),
    ("anywhere else", Here),
];

/// The cells of each row of the table in docs/identity.md.
fn table() -> Vec<Vec<String>> {
    let page = include_str!("../../docs/identity.md");
    let section = page.split_once("## The platforms").unwrap().1;
    let section = section.split_once("\n## ").unwrap().0;
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn every_row_of_the_table_is_backed_by_the_program_in_that_place() {
    let table = table();
    let places: Vec<&str> = table.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(places, ROWS.map(|(place, _)| place));
    let mut backed = BTreeSet::new();
    for (row, (place, backing)) in table.iter().zip(&ROWS) {
        assert_eq!(row.len(), 4, "{row:?}");
        let is_yes = row[1].starts_with("yes");
        assert!(is_yes || row[1].starts_with("told why not"), "{row:?}");
        let Platforms(names) = backing else { continue };
        for name in *names {
            assert!(PLATFORMS.contains(name), "{name}");
            backed.insert(*name);
            let trusted = TRUSTED.iter().any(|(known, _)| known == name);
            let other = OTHERS.iter().find(|(known, ..)| known == name);
            let has_a_token = trusted || other.is_some_and(|(_, provider, _)| provider.is_some());
            assert_eq!(is_yes, has_a_token, "{place}: {name}");
        }
    }
    assert_eq!(backed.len(), PLATFORMS.len(), "{backed:?}");
}

#[test]
fn every_name_in_the_table_is_a_place_that_is_looked_at_and_the_other_way_round() {
    let setup = Setup::new();
    let (_, report) = setup.program().identity();
    let asked: BTreeSet<String> = report["sources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|source| source["provider"].as_str().unwrap().to_owned())
        .collect();
    let named: BTreeSet<String> = table()
        .iter()
        .flat_map(|row| row[2].split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert_eq!(named, asked);
}

/// cosign's names and ours.
#[test]
fn a_named_source_is_the_only_one_and_final() {
    let setup = Setup::new();
    let names = [
        "filesystem",
        "envvar",
        "github-actions",
        "buildkite-agent",
        "spiffe",
        "google-workload-identity",
        "google-impersonate",
        "google",
    ];
    for name in names {
        // There is another identity here, which must not be taken instead.
        let other = if name == "github-actions" { "gce" } else { "github" };
        let elsewhere = setup.on(&setup.platform(other)).args(["--oidc-provider", name]);
        let elsewhere = if name.starts_with("google") || name == "spiffe" {
            elsewhere.env("NO_GCE_CHECK", "true")
        } else {
            elsewhere
        };
        let (outcome, report) = elsewhere.identity();
        outcome.ends(1);
        assert_eq!(report["chosen"], Value::Null, "{name}: {report:#}");
    }
    let both = setup.on(&setup.platform("gce")).envs(&setup.platform("github").env);
    let (outcome, report) = both.env("COSIGN_OIDC_PROVIDER", "google").identity();
    outcome.ends(0);
    assert_eq!(report["chosen"]["provider"], "google-workload-identity");
    let wrong = setup.program().args(["--oidc-provider", "gogle"]).sign();
    wrong.ends(2).says(&["`gogle`", "github-actions", "google-impersonate"]);
}

/// A token of an issuer that is nowhere, with these claims.
fn token_of(issuer: &str, audience: &str, claims: &Map<String, Value>) -> String {
    let issuer = Issuer::new(issuer, "anyone", &State::in_memory()).unwrap();
    issuer.mint(&json!(audience), claims, SystemTime::now()).unwrap()
}

/// Answers one request for a token as GitHub does, and gives its path and query.
fn token_service(path: &str, token: &str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}{path}", listener.local_addr().unwrap());
    let body = json!({ "count": 1, "value": token }).to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
        let first = lines.next().unwrap();
        assert!(
            lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .any(|line| { line.eq_ignore_ascii_case("authorization: bearer request-secret") })
        );
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close";
        write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        first.split(' ').nth(1).unwrap().to_owned()
    });
    (url, served)
}

#[test]
fn githubs_for_enterprises_are_asked_alike_and_judged_by_their_issuer() {
    let setup = Setup::new();
    let claims = setup.platform("github").claims;
    for (issuer, path, is_public) in [
        ("https://token.actions.githubusercontent.com/acme", "/1//idtoken/2?api-version=2.0", true),
        ("https://token.actions.acme.ghe.com", "/_apis/pipelines/idtoken?api-version=2.0", false),
        ("https://github.acme.example/_services/token", "/_services/pipelines/idtoken", false),
    ] {
        let token = token_of(issuer, "sigstore", &claims);
        let job = |program: harness::Program| {
            let (url, served) = token_service(path, &token);
            let program = program
                .env("GITHUB_ACTIONS", "true")
                .env("ACTIONS_ID_TOKEN_REQUEST_URL", url)
                .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-secret");
            let answer = program.identity();
            let separator = if path.contains('?') { '&' } else { '?' };
            assert_eq!(served.join().unwrap(), format!("{path}{separator}audience=sigstore"));
            answer
        };
        let (outcome, report) = job(setup.program());
        outcome.ends(1).says(&["would refuse this identity", issuer]);
        assert_eq!(report["chosen"]["provider"], "github-actions");
        assert_eq!(report["chosen"]["claims"]["iss"], issuer);
        // What the public Fulcio makes of it is known without asking.
        let (_, report) = job(setup.program().args(["--fulcio-url", "http://127.0.0.1:1"]));
        let subject = report["certificate"]["subject"].as_str();
        let expected = setup.sandbox.github_identity();
        assert_eq!(subject, is_public.then_some(expected.as_str()), "{issuer}");
    }
}

#[test]
fn a_gitlab_of_ones_own_is_judged_by_its_issuer() {
    let setup = Setup::new();
    let claims = setup.platform("gitlab").claims;
    for (issuer, is_public) in
        [("https://gitlab.acme.example", false), ("https://gitlab.archlinux.org", true)]
    {
        let job = || {
            let token = token_of(issuer, "sigstore", &claims);
            setup.program().env("GITLAB_CI", "true").env("SIGSTORE_ID_TOKEN", token)
        };
        let (outcome, _) = job().identity();
        outcome.ends(1).says(&["does not accept the issuer", issuer]);
        let (_, report) = job().args(["--fulcio-url", "http://127.0.0.1:1"]).identity();
        assert_eq!(report["certificate"].is_object(), is_public, "{issuer}: {report:#}");
    }
}

/// A good token of the sandbox for another person, in place of the platform's own issuer.
fn trusted(setup: &Setup) -> String {
    let claims = json!({ "sub": "1", "email": "job@acme.example", "email_verified": true });
    setup.sandbox.token("email", claims.as_object().unwrap()).unwrap()
}

#[test]
fn platforms_that_leave_a_token_in_a_variable_or_file_sign_with_it() {
    let setup = Setup::new();
    let token = trusted(&setup);
    setup.write("nomad_sigstore.jwt", &token);
    let secrets = setup.directory().display().to_string();
    let variable = |name: &str| vec![(name.to_owned(), token.clone())];
    for (marker, provider, given) in [
        ("NOMAD_ALLOC_ID", "nomad", vec![("NOMAD_SECRETS_DIR".to_owned(), secrets)]),
        ("NOMAD_ALLOC_ID", "nomad", variable("NOMAD_TOKEN_sigstore")),
        ("HARNESS_BUILD_ID", "harness", variable("PLUGIN_OIDC_TOKEN_ID")),
        ("CI", "spacelift", variable("SPACELIFT_OIDC_TOKEN")),
        ("JENKINS_URL", "envvar", variable("SIGSTORE_ID_TOKEN")),
        ("TEAMCITY_VERSION", "envvar", variable("SIGSTORE_ID_TOKEN")),
    ] {
        let job = || setup.program().env(marker, "7").envs(&given);
        let (outcome, report) = job().identity();
        outcome.ends(0);
        assert_eq!(report["chosen"]["provider"], provider, "{report:#}");
        assert_eq!(report["certificate"]["subject"], "job@acme.example");
        setup.certificate(job());
    }
}

/// The token of a job whose platform the program does not know, or calls otherwise.
#[test]
fn a_declared_source_signs_where_its_variable_or_program_is() {
    let setup = Setup::new();
    let token = trusted(&setup);
    std::fs::create_dir_all(setup.path(".config/ambisign")).unwrap();
    setup.write(
        ".config/ambisign/identity.toml",
        "[[source]]\nname = \"our-jenkins\"\nkind = \"env\"\nvariable = \"OUR_JWT\"\n\
         when = \"JENKINS_URL\"\n\n\
         [[source]]\nname = \"our-ci\"\nkind = \"exec\"\ncommand = [\"sh\", \"-c\", \
         \"echo $OUR_SECRET\"]\nwhen = \"OUR_SECRET\"\n",
    );
    let jenkins = || setup.program().env("JENKINS_URL", "https://ci/").env("OUR_JWT", &token);
    let ours = || setup.program().env("OUR_SECRET", &token);
    for (job, provider) in [(jenkins(), "our-jenkins"), (ours(), "our-ci")] {
        let (outcome, report) = job.identity();
        outcome.ends(0).hides(&token);
        assert_eq!(report["chosen"]["provider"], provider, "{report:#}");
    }
    setup.certificate(jenkins());
    setup.certificate(ours());
}

#[test]
fn platforms_without_a_token_of_their_own_are_told_what_to_do_and_the_machine_signs() {
    let setup = Setup::new();
    let other = token_of("https://acme.app.spacelift.io", "acme.app.spacelift.io", &Map::new());
    for (name, value, provider, texts) in [
        ("NOMAD_ALLOC_ID", "7", "nomad", &["NOMAD_TOKEN_sigstore is not set", "file = true"][..]),
        ("HARNESS_BUILD_ID", "7", "harness", &["PLUGIN_OIDC_TOKEN_ID is not set"]),
        (
            "JENKINS_URL",
            "https://ci/",
            "jenkins",
            &["no identity token by itself", "withCredentials"],
        ),
        ("TEAMCITY_VERSION", "2026.1", "teamcity", &["`env.SIGSTORE_ID_TOKEN`"]),
        ("SPACELIFT_OIDC_TOKEN", &other, "spacelift", &["found `acme.app.spacelift.io`"]),
        ("BUDDY", "true", "buddy", &["no identity token by itself"]),
    ] {
        let (outcome, report) = setup.program().env(name, value).identity();
        outcome.ends(1).says(texts);
        assert_eq!(report["chosen"], Value::Null);
        let on_a_machine = || setup.on(&setup.platform("gce")).env(name, value);
        let (outcome, report) = on_a_machine().identity();
        outcome.ends(0);
        assert_eq!(report["chosen"]["provider"], "google-workload-identity", "{provider}");
        let mut sources = report["sources"].as_array().unwrap().iter();
        let source = sources.find(|source| source["provider"] == provider).unwrap();
        assert_eq!(source["state"], "broken", "{source:#}");
        setup.certificate(on_a_machine());
    }
}

#[test]
fn tokens_that_clouds_mount_for_themselves_are_told_apart() {
    let setup = Setup::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let pod = setup.platform("kubernetes-file").claims;
    for (variable, audience, texts) in [
        (
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "sts.amazonaws.com",
            &["`sts.amazonaws.com` alone", "projected", "`sigstore`"][..],
        ),
        (
            "AZURE_FEDERATED_TOKEN_FILE",
            "api://AzureADTokenExchange",
            &["api://AzureADTokenExchange", "sigstore", "project"],
        ),
    ] {
        std::fs::write(&path, token_of("https://oidc.eks.example", audience, &pod)).unwrap();
        let pod = setup
            .program()
            .env(variable, &path)
            .env("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/builder")
            .env("AWS_REGION", "eu-central-1")
            // No server listens there.
            .env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1/");
        let (outcome, report) = pod.identity();
        let said = format!("{}{report:#}", outcome.ends(1).stderr);
        for text in texts {
            assert!(said.contains(text), "{variable}: {text:?} is missing in {said}");
        }
        assert!(!said.contains("eyJ"));
        assert_eq!(report["chosen"], Value::Null);
    }
}
