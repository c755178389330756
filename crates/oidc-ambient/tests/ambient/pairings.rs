//! Two sources at once: who signs.

use oidc_ambient::Error;

use crate::fake::{FakeHost, block_on, every_source, token_of};

/// One platform with all it needs to give a token, or, for a job that cannot, to end the search.
struct Platform {
    /// What it is called in a failure.
    name: &'static str,
    provider: &'static str,
    kind: Kind,
    fake: FakeHost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Given,
    Declared,
    Job,
    Cluster,
    Machine,
}

fn platform(name: &'static str, provider: &'static str, kind: Kind, fake: FakeHost) -> Platform {
    Platform { name, provider, kind, fake }
}

fn json(field: &str, provider: &str) -> String {
    format!(r#"{{"{field}":"{}"}}"#, token_of(provider))
}

fn given() -> Vec<Platform> {
    let envvar = FakeHost::new(&[("SIGSTORE_ID_TOKEN", &token_of("envvar"))]);
    let file = FakeHost::new(&[("SIGSTORE_OIDC_TOKEN_FILE", "/given")])
        .file("/given", &token_of("filesystem"));
    vec![
        platform("SIGSTORE_ID_TOKEN", "envvar", Kind::Given, envvar),
        platform("SIGSTORE_OIDC_TOKEN_FILE", "filesystem", Kind::Given, file),
    ]
}

fn jobs() -> Vec<Platform> {
    let url = "https://github.example/token?api-version=2.0";
    let github = FakeHost::new(&[
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x"),
    ])
    .service("https://github.example/", 200, &json("value", "github-actions"));
    let forgejo = github.clone().with("FORGEJO_ACTIONS", "true").with("GITEA_ACTIONS", "true");
    let github = github.with("GITHUB_ACTIONS", "true");
    let denied = FakeHost::new(&[("GITHUB_ACTIONS", "true")]);
    let gitlab = FakeHost::new(&[("GITLAB_CI", "true")]);
    let buildkite = FakeHost::new(&[
        ("BUILDKITE", "true"),
        ("BUILDKITE_AGENT_ACCESS_TOKEN", "x"),
        ("BUILDKITE_JOB_ID", "1"),
        ("BUILDKITE_AGENT_ENDPOINT", "https://buildkite.example/v3"),
    ])
    .service("https://buildkite.example/", 200, &json("token", "buildkite-agent"));
    let buildkite_agent = FakeHost::new(&[("BUILDKITE", "true")]).program(
        "buildkite-agent",
        0,
        &token_of("buildkite-agent"),
        "",
    );
    let circleci = FakeHost::new(&[("CIRCLECI", "true"), ("CIRCLE_OIDC_TOKEN_V2", "wrong")])
        .program("circleci", 0, &token_of("circleci"), "");
    let codefresh = FakeHost::new(&[
        ("CF_OIDC_REQUEST_URL", "https://codefresh.example/"),
        ("CF_OIDC_REQUEST_TOKEN", "x"),
    ])
    .service("https://codefresh.example/", 200, &json("id_token", "codefresh"));
    let bitbucket = FakeHost::new(&[
        ("BITBUCKET_BUILD_NUMBER", "1"),
        ("BITBUCKET_STEP_OIDC_TOKEN", &token_of("bitbucket")),
    ]);
    let semaphore =
        FakeHost::new(&[("SEMAPHORE", "true"), ("SEMAPHORE_OIDC_TOKEN", &token_of("semaphore"))]);
    let terraform = FakeHost::new(&[
        ("TFC_RUN_ID", "1"),
        ("TFC_WORKLOAD_IDENTITY_TOKEN", &token_of("hcp-terraform")),
    ]);
    let vercel = FakeHost::new(&[("VERCEL", "1"), ("VERCEL_OIDC_TOKEN", &token_of("vercel"))]);
    let fly = FakeHost::new(&[("FLY_APP_NAME", "a")]).file("/.fly/api", "").service(
        "/.fly/api",
        200,
        &token_of("fly"),
    );
    let spacelift = FakeHost::new(&[("SPACELIFT_OIDC_TOKEN", &token_of("spacelift"))]);
    let harness =
        FakeHost::new(&[("HARNESS_BUILD_ID", "7"), ("PLUGIN_OIDC_TOKEN_ID", &token_of("harness"))]);
    let nomad = FakeHost::new(&[("NOMAD_ALLOC_ID", "a"), ("NOMAD_SECRETS_DIR", "/secrets")])
        .file("/secrets/nomad_sigstore.jwt", &token_of("nomad"));
    [
        ("GitHub", "github-actions", github),
        ("GitHub without permission", "github-actions", denied),
        ("Forgejo", "github-actions", forgejo),
        ("GitLab without a token", "gitlab", gitlab),
        ("Buildkite", "buildkite-agent", buildkite),
        ("Buildkite's agent", "buildkite-agent", buildkite_agent),
        ("CircleCI", "circleci", circleci),
        ("Codefresh", "codefresh", codefresh),
        ("Bitbucket", "bitbucket", bitbucket),
        ("Semaphore", "semaphore", semaphore),
        ("HCP Terraform", "hcp-terraform", terraform),
        ("Vercel", "vercel", vercel),
        ("Fly.io", "fly", fly),
        ("Spacelift", "spacelift", spacelift),
        ("Harness", "harness", harness),
        ("Nomad", "nomad", nomad),
    ]
    .map(|(name, provider, fake)| platform(name, provider, Kind::Job, fake))
    .into()
}

fn clusters() -> Vec<Platform> {
    let own = crate::fake::jwt(
        r#"{"aud":["https://kubernetes.default.svc"],"sub":"system:serviceaccount:n:s"}"#,
    );
    let secrets = "/var/run/secrets/kubernetes.io/serviceaccount";
    let answer = format!(r#"{{"status":{}}}"#, json("token", "kubernetes"));
    let pod = FakeHost::new(&[("KUBERNETES_SERVICE_HOST", "10.0.0.1")])
        .file(&format!("{secrets}/token"), &own)
        .file(&format!("{secrets}/ca.crt"), "PEM")
        .service("https://10.0.0.1", 201, &answer);
    let projected =
        FakeHost::default().file("/var/run/sigstore/cosign/oidc-token", &token_of("filesystem"));
    vec![
        platform("a projected token", "filesystem", Kind::Cluster, projected),
        platform("TokenRequest", "kubernetes", Kind::Cluster, pod),
    ]
}

fn machines() -> Vec<Platform> {
    let xml = format!("<WebIdentityToken>{}</WebIdentityToken>", token_of("aws"));
    let keys = r#"{"AccessKeyId":"A","SecretAccessKey":"s","Token":"t"}"#;
    let sts = |fake: FakeHost| {
        fake.with("AWS_REGION", "eu-west-1").service("https://sts.eu-west-1.", 200, &xml)
    };
    let variables = FakeHost::new(&[("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    let container = FakeHost::new(&[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/c")]).service(
        "http://169.254.170.2/c",
        200,
        keys,
    );
    let instance = FakeHost::new(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338")])
        .service("http://127.0.0.1:1338/latest/api/token", 200, "session")
        .service("http://127.0.0.1:1338/latest/meta-data/iam/security-credentials/role", 200, keys)
        .service("http://127.0.0.1:1338/latest/meta-data/iam/security-credentials/", 200, "role");
    let azure = FakeHost::new(&[("AZURE_FEDERATED_TOKEN_FILE", "/azure")])
        .file("/azure", &token_of("azure-workload-identity"));
    let identity = "/computeMetadata/v1/instance/service-accounts/default/identity";
    let google = token_of("google-workload-identity");
    let firmware = FakeHost::default()
        .file("/sys/class/dmi/id/product_name", "Google Compute Engine\n")
        .service(&format!("http://169.254.169.254{identity}"), 200, &google);
    let run = FakeHost::new(&[("K_SERVICE", "s")]).service(
        &format!("http://169.254.169.254{identity}"),
        200,
        &google,
    );
    let probed = FakeHost::new(&[("CI", "true")]).service("http://169.254.169.254/", 200, &google);
    let impersonate = FakeHost::new(&[("GOOGLE_SERVICE_ACCOUNT_NAME", "s@p")])
        .service(
            "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token",
            200,
            r#"{"access_token":"ya29"}"#,
        )
        .service(
            "https://iamcredentials.googleapis.com/",
            200,
            &json("token", "google-impersonate"),
        );
    let key = include_str!("../../../../tests/fixtures/openssl/rsa_private.pem");
    let account = serde_json::json!({
        "type": "service_account", "client_email": "s@p", "private_key": key,
    });
    let oauth = format!(r#"{{"id_token":"{}","access_token":"ya29.key"}}"#, token_of("google-adc"));
    let adc = FakeHost::new(&[("GOOGLE_APPLICATION_CREDENTIALS", "/key.json")])
        .file("/key.json", &account.to_string())
        .service("https://oauth2.googleapis.com/token", 200, &oauth);
    let cache = if cfg!(windows) { r"/c\chainguard\sigstore\oidc-token" } else { CACHE };
    let chainguard = FakeHost::new(&[("HOME", "/h"), ("LOCALAPPDATA", "/c")])
        .file(cache, &token_of("chainguard"));
    [
        ("AWS's variables", "aws", sts(variables)),
        ("an AWS container", "aws", sts(container)),
        ("an AWS machine", "aws", sts(instance)),
        ("Azure's file", "azure-workload-identity", azure),
        ("impersonation", "google-impersonate", impersonate),
        ("Google's firmware", "google-workload-identity", firmware),
        ("Cloud Run", "google-workload-identity", run),
        ("Google by its probe", "google-workload-identity", probed),
        ("a Google key file", "google-adc", adc),
        ("Chainguard's cache", "chainguard", chainguard),
    ]
    .map(|(name, provider, fake)| platform(name, provider, Kind::Machine, fake))
    .into()
}

const CACHE: &str = if cfg!(target_os = "macos") {
    "/h/Library/Caches/chainguard/sigstore/oidc-token"
} else {
    "/h/.cache/chainguard/sigstore/oidc-token"
};

/// Who decides: whose token it is, or whose failure ends the search.
fn decides(fake: &FakeHost) -> (String, Option<String>) {
    match fake.detect() {
        Ok(found) => (found.provider, found.token.claims().subject().map(str::to_owned)),
        Err(Error::Broken { provider, .. }) => (provider, None),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_place_alone_is_recognised() {
    for platform in [given(), jobs(), clusters(), machines()].into_iter().flatten() {
        let (provider, subject) = decides(&platform.fake);
        assert_eq!(provider, platform.provider, "{}", platform.name);
        assert!(subject.is_none_or(|subject| subject == platform.provider), "{}", platform.name);
    }
}

#[test]
fn the_job_comes_before_the_machine_and_the_cluster_in_every_pairing() {
    let mut pairs = 0;
    for job in jobs() {
        for other in clusters().into_iter().chain(machines()) {
            let (provider, subject) = decides(&job.fake.clone().and(&other.fake));
            assert_eq!(provider, job.provider, "{} on {}", job.name, other.name);
            assert_ne!(subject.as_deref(), Some(other.provider));
            pairs += 1;
        }
    }
    assert_eq!(pairs, 16 * 12);
}

/// Jobs whose platform gives tokens for one audience only, which is not ours, or only by a plugin.
fn jobs_of_another_audience() -> Vec<Platform> {
    let azure = FakeHost::new(&[("SYSTEM_OIDCREQUESTURI", "https://azure.example/")]);
    let other = crate::fake::jwt(r#"{"aud":"https://other.example","exp":2000}"#);
    let semaphore = FakeHost::new(&[("SEMAPHORE", "true"), ("SEMAPHORE_OIDC_TOKEN", &other)]);
    let vercel = FakeHost::new(&[("VERCEL", "1"), ("VERCEL_OIDC_TOKEN", &other)]);
    let spacelift = FakeHost::new(&[("SPACELIFT_OIDC_TOKEN", &other)]);
    [
        ("Buddy", "buddy", FakeHost::new(&[("BUDDY", "true")])),
        ("Azure Pipelines", "azure-pipelines", azure),
        ("Semaphore", "semaphore", semaphore),
        ("Vercel", "vercel", vercel),
        ("Spacelift", "spacelift", spacelift),
        ("Harness", "harness", FakeHost::new(&[("HARNESS_BUILD_ID", "7")])),
        ("Jenkins", "jenkins", FakeHost::new(&[("JENKINS_URL", "https://ci.example/")])),
        ("TeamCity", "teamcity", FakeHost::new(&[("TEAMCITY_VERSION", "2026.1")])),
        ("Nomad", "nomad", FakeHost::new(&[("NOMAD_ALLOC_ID", "a")])),
    ]
    .map(|(name, provider, fake)| platform(name, provider, Kind::Job, fake))
    .into()
}

#[test]
fn a_job_that_can_never_give_this_audience_is_reported_and_the_search_goes_on() {
    for job in jobs_of_another_audience() {
        for other in clusters().into_iter().chain(machines()) {
            let found = job.fake.clone().and(&other.fake).detect().unwrap();
            assert_eq!(found.provider, other.provider, "{} on {}", job.name, other.name);
            assert!(found.passed_over.iter().any(|over| over.provider == job.provider));
        }
    }
}

#[test]
fn every_pairing_of_two_stages_goes_to_the_earlier() {
    let all: Vec<Platform> =
        [given(), jobs(), clusters(), machines()].into_iter().flatten().collect();
    for first in &all {
        for second in all.iter().filter(|second| first.kind < second.kind) {
            let both = first.fake.clone().and(&second.fake);
            let (provider, _) = decides(&both);
            assert_eq!(provider, first.provider, "{} and {}", first.name, second.name);
        }
    }
}

#[test]
fn a_declared_source_comes_before_the_job_and_after_what_was_given() {
    let text = "[[source]]\nname = \"mine\"\nkind = \"env\"\nvariable = \"MINE\"\n";
    let declared = platform(
        "a declared source",
        "mine",
        Kind::Declared,
        FakeHost::new(&[("MINE", &token_of("mine")), ("XDG_CONFIG_HOME", "/c")])
            .file("/c/ambisign/identity.toml", text),
    );
    let all = [given(), jobs(), clusters(), machines()].into_iter().flatten();
    for other in all {
        let host = declared.fake.clone().and(&other.fake).host();
        let mut sources = every_source(&host);
        block_on(sources.declare_default(&host)).unwrap();
        let minute = std::time::Duration::from_secs(60);
        let audience = id_token::Audience::sigstore();
        let found = block_on(oidc_ambient::detect(&sources, &audience, minute)).unwrap();
        let winner = if other.kind < declared.kind { other.provider } else { declared.provider };
        assert_eq!(found.provider, winner, "{}", other.name);
    }
}

#[test]
fn on_one_machine_the_order_is_fixed() {
    let by_name = |name: &str| {
        machines()
            .into_iter()
            .find(|platform| platform.name == name)
            .unwrap_or_else(|| panic!("{name}"))
    };
    for (first, second) in [
        ("AWS's variables", "Google's firmware"),
        ("Azure's file", "Google's firmware"),
        ("impersonation", "Google's firmware"),
        ("impersonation", "a Google key file"),
        ("Google's firmware", "a Google key file"),
        ("a Google key file", "Chainguard's cache"),
    ] {
        let (first, second) = (by_name(first), by_name(second));
        let (provider, _) = decides(&second.fake.clone().and(&first.fake));
        assert_eq!(provider, first.provider, "{} and {}", first.name, second.name);
    }
}
