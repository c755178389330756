//! Attempts to make the search slow, large, silent or wrong.

use std::time::{Duration, Instant};

use id_token::Audience;
use oidc_ambient::{Audiences, Error, detect, detect_for};

use crate::fake::{FakeHost, block_on, every_source, jwt, token_of};

const MINUTE: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "what is measured is real")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    (work(), started.elapsed())
}

fn github() -> FakeHost {
    FakeHost::new(&[
        ("GITHUB_ACTIONS", "true"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://github.example/t?api-version=2.0"),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "opaque-request-secret"),
    ])
}

/// Why a job with this answer of its service has no identity.
fn reason(status: u16, body: &str) -> String {
    match github().service("https://github.example/", status, body).detect() {
        Err(Error::Broken { broken, .. }) => broken.reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_answer_nested_without_end_is_not_json() {
    let deep = "[".repeat(60_000);
    assert_eq!(reason(200, &deep), "expected JSON, found broken JSON of 60000 bytes");
    let deep = "{\"value\":".repeat(7_000);
    assert!(reason(200, &deep).contains("broken JSON"));
}

#[test]
fn an_answer_with_a_thousand_keys_is_shown_in_few_words() {
    let keys: Vec<String> = (0..5000).map(|number| format!("\"k\\u001b[31m{number}\":1")).collect();
    let told = reason(200, &format!("{{{}}}", keys.join(",")));
    assert!(told.len() < 400 && !told.contains('\u{1b}'), "{told}");
}

#[test]
fn a_title_cannot_hold_a_token_or_move_the_cursor() {
    let title = format!("<html><title>\u{1b}]0;x\u{7} {} \u{202e}</title>", token_of("me"));
    let told = reason(200, &title);
    assert!(told.contains("[token]") && !told.contains('\u{1b}') && !told.contains('\u{202e}'));
}

#[test]
fn a_refusal_that_quotes_the_request_shows_no_secret() {
    let quoted = "bad header Authorization: Bearer opaque-request-secret";
    for body in [quoted.to_owned(), format!("{{\"message\":\"{quoted}\"}}")] {
        let told = reason(403, &body);
        assert!(told.contains("[secret]") && !told.contains("opaque-request"), "{told}");
    }
}

#[test]
fn a_refusal_of_64_kib_is_cut() {
    let told = reason(500, &"x".repeat(64 << 10));
    assert!(told.len() < 400, "{}", told.len());
}

#[test]
fn what_an_authority_calls_an_audience_is_asked_for_only_if_it_can_be_one() {
    let long = "a".repeat(1001);
    for bad in ["\u{1b}[31mred", "two\nlines", "nul\0", long.as_str()] {
        let bad = Audience::new(bad).unwrap();
        let others = [bad.clone()];
        let audiences =
            Audiences::by_issuer(Audience::sigstore(), others, move |_: &str| Some(bad.clone()));
        let token = jwt(r#"{"iss":"https://i","aud":"sigstore","exp":2000}"#);
        let fake =
            github().service("https://github.example/", 200, &format!(r#"{{"value":"{token}"}}"#));
        let found = block_on(detect_for(&every_source(&fake.host()), &audiences, MINUTE)).unwrap();
        assert_eq!(found.audience, Audience::sigstore());
        assert_eq!(fake.requests().len(), 1);
    }
}

#[test]
fn an_audience_cannot_leave_its_place_in_a_url_or_in_the_claims_of_a_helper() {
    let evil = Audience::new("a&audience=b\"},\"x\":{\"#").unwrap();
    let fake = github().service("https://github.example/", 200, "{}");
    drop(block_on(detect(&every_source(&fake.host()), &evil, MINUTE)));
    let request = &fake.requests()[0];
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(request.uri().query().unwrap().as_bytes())
            .into_owned()
            .collect();
    assert_eq!(query.len(), 2, "{query:?}");
    assert_eq!(query[1].1, evil.as_str());
}

#[test]
fn a_metadata_host_that_is_none_is_named_and_nothing_else_is_asked() {
    for value in ["h:99999", "[::1", "a b", "user@h", "h/../x?y", "h#", "http://h"] {
        let fake = FakeHost::new(&[("GCE_METADATA_HOST", value)]);
        assert!(fake.detect().is_err(), "{value}");
        for request in fake.requests() {
            assert!(
                request.uri().path().ends_with("/identity") || value.contains(['/', '#']),
                "{request:?}"
            );
        }
    }
}

#[test]
fn a_flavor_that_is_nearly_right_is_not_believed() {
    // The fake's services answer with the right flavor only where they stand for Google's.
    let fake = FakeHost::new(&[("GCE_METADATA_HOST", "metadata.example")]);
    assert!(matches!(fake.detect(), Err(Error::Nothing { .. })));
}

#[test]
fn a_pods_account_cannot_lead_to_another_path_of_the_api() {
    let secrets = "/var/run/secrets/kubernetes.io/serviceaccount";
    let own = jwt(r#"{"aud":["k8s"],"sub":"system:serviceaccount:../../x?y:#z/token"}"#);
    let pod = FakeHost::new(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")])
        .file(&format!("{secrets}/token"), &own)
        .file(&format!("{secrets}/ca.crt"), "PEM");
    drop(pod.detect());
    let requests = pod.requests();
    let asked = requests.iter().find(|request| request.method() == "POST").unwrap();
    assert_eq!(
        asked.uri().path(),
        "/api/v1/namespaces/..%2F..%2Fx%3Fy/serviceaccounts/%23z%2Ftoken/token"
    );
    assert_eq!(asked.uri().query(), None);
}

#[test]
fn a_declaration_that_swells_is_refused_and_one_of_braces_takes_no_time() {
    let declare = |url: &str| {
        let text = format!("[[source]]\nname = \"x\"\nkind = \"http\"\nurl = \"{url}\"\n");
        let fake = FakeHost::new(&[("X", &"x".repeat(100_000)), ("XDG_CONFIG_HOME", "/c")])
            .file("/c/ambisign/identity.toml", &text);
        let host = fake.host();
        let mut sources = every_source(&host);
        block_on(sources.declare_default(&host)).unwrap();
        let (answer, took) = timed(|| block_on(detect(&sources, &Audience::sigstore(), MINUTE)));
        (answer.unwrap_err().to_string(), took)
    };
    let (told, took) = declare(&"{env:X}".repeat(7_000));
    assert!(told.contains("longer than 262144 bytes"), "{told}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let (_, took) = declare(&"{".repeat(60_000));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_file_of_declarations_nested_without_end_is_an_error() {
    for text in
        [format!("a = {}", "[".repeat(60_000)), format!("{} = 1", vec!["a"; 30_000].join("."))]
    {
        let fake =
            FakeHost::new(&[("XDG_CONFIG_HOME", "/c")]).file("/c/ambisign/identity.toml", &text);
        let host = fake.host();
        let (answer, took) = timed(|| block_on(every_source(&host).declare_default(&host)));
        assert!(matches!(answer, Err(Error::Declaration { .. })), "{answer:?}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_planted_marker_of_a_platform_that_gives_nothing_hides_no_job() {
    for (name, value) in [
        ("BUDDY", "true"),
        ("SEMAPHORE", "true"),
        ("VERCEL", "1"),
        ("JENKINS_URL", "x"),
        ("TEAMCITY_VERSION", "x"),
        ("HARNESS_BUILD_ID", "x"),
        ("NOMAD_ALLOC_ID", "x"),
        ("SYSTEM_OIDCREQUESTURI", "https://evil.example/"),
    ] {
        let answer = format!(r#"{{"value":"{}"}}"#, token_of("github-actions"));
        let job = github().with(name, value).service("https://github.example/", 200, &answer);
        assert_eq!(job.detect().unwrap().provider, "github-actions", "{name}");
    }
}
