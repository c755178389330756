//! The audience is the one that the certificate authority expects of an issuer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use host::BoxFuture;
use id_token::{Audience, Broken, Found, IdToken, Outcome, TokenSource};
use oidc_ambient::{
    Audiences, Detected, Error, Sources, Stage, State, detect, detect_for, survey_for,
};

use crate::fake::{FakeHost, block_on, every_source, jwt};

const MINUTE: Duration = Duration::from_secs(60);

fn audience(text: &str) -> Audience {
    Audience::new(text).unwrap()
}

/// An authority that lists these issuers with their audiences.
fn authority(issuers: &[(&'static str, &'static str)]) -> Audiences {
    let issuers = issuers.to_vec();
    let others: Vec<Audience> = issuers.iter().map(|(_, name)| audience(name)).collect();
    Audiences::by_issuer(Audience::sigstore(), others, move |issuer: &str| {
        issuers.iter().find(|(listed, _)| *listed == issuer).map(|(_, name)| audience(name))
    })
}

/// A source of one issuer that gives a token for any audience, or only for those it has.
struct Issuer {
    name: &'static str,
    issuer: &'static str,
    only: Option<&'static str>,
    asked: Mutex<Vec<String>>,
}

impl Issuer {
    fn new(name: &'static str, issuer: &'static str, only: Option<&'static str>) -> Arc<Self> {
        Arc::new(Self { name, issuer, only, asked: Mutex::default() })
    }
}

impl TokenSource for Issuer {
    fn name(&self) -> &str {
        self.name
    }

    fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        self.asked.lock().unwrap().push(audience.to_string());
        let issuer = self.issuer;
        let outcome = match self.only {
            Some(only) if only != audience.as_str() => {
                let broken = Broken::new("E", "fixed audience").with_certain(false);
                Outcome::Broken(broken.depending_on_audience())
            }
            _ => {
                let claims = format!(r#"{{"iss":"{issuer}","aud":"{audience}","exp":2000}}"#);
                Outcome::Found(Found::new(IdToken::parse(&jwt(&claims)).unwrap(), "E"))
            }
        };
        Box::pin(std::future::ready(outcome))
    }
}

fn table(sources: &[(Stage, Arc<Issuer>)]) -> Sources {
    let mut table = Sources::empty(Arc::new(UNIX_EPOCH + Duration::from_secs(1000)));
    for (stage, source) in sources {
        table.add(*stage, Arc::clone(source) as Arc<dyn TokenSource>);
    }
    table
}

fn found(sources: &Sources, audiences: &Audiences) -> Result<Detected, Error> {
    block_on(detect_for(sources, audiences, MINUTE))
}

#[test]
fn a_fixed_audience_that_the_authority_lists_is_asked_for() {
    let source = Issuer::new("azure-pipelines", "https://azure", Some("api://x"));
    let sources = table(&[(Stage::Job, Arc::clone(&source))]);
    let detected = found(&sources, &authority(&[("https://azure", "api://x")])).unwrap();
    assert_eq!(detected.audience, audience("api://x"));
    assert_eq!(detected.token.claims().audiences(), ["api://x"]);
    assert_eq!(*source.asked.lock().unwrap(), ["sigstore", "api://x"]);
    // Another issuer's audience does not serve this one.
    let none = found(&sources, &authority(&[("https://other", "api://x")])).unwrap_err();
    let Error::Nothing { broken, .. } = none else { panic!("{none}") };
    assert_eq!(broken[0].1.reason, "fixed audience");
}

#[test]
fn an_issuer_with_an_audience_of_its_own_is_asked_again_for_it() {
    let source = Issuer::new("github-actions", "https://github", None);
    let sources = table(&[(Stage::Job, Arc::clone(&source))]);
    let listed = authority(&[("https://dex", "sigstore"), ("https://github", "fulcio.acme")]);
    let detected = found(&sources, &listed).unwrap();
    assert_eq!(detected.audience, audience("fulcio.acme"));
    assert_eq!(detected.token.claims().audiences(), ["fulcio.acme"]);
    assert_eq!(*source.asked.lock().unwrap(), ["sigstore", "fulcio.acme"]);
}

#[test]
fn an_issuer_that_is_not_listed_is_asked_once() {
    let source = Issuer::new("github-actions", "https://github", None);
    let sources = table(&[(Stage::Job, Arc::clone(&source))]);
    let detected = found(&sources, &authority(&[("https://other", "x")])).unwrap();
    assert_eq!(detected.audience, Audience::sigstore());
    assert_eq!(*source.asked.lock().unwrap(), ["sigstore"]);
}

#[test]
fn an_authority_with_many_audiences_costs_few_questions() {
    let source = Issuer::new("azure-pipelines", "https://azure", Some("none of them"));
    let sources = table(&[(Stage::Job, Arc::clone(&source))]);
    let many: Vec<Audience> = (0..1000).map(|number| audience(&number.to_string())).collect();
    let audiences = Audiences::by_issuer(Audience::sigstore(), many, |_: &str| None);
    assert!(found(&sources, &audiences).is_err());
    assert_eq!(source.asked.lock().unwrap().len(), 8);
}

#[test]
fn among_machines_the_one_that_is_listed_comes_first_and_the_other_is_named() {
    let aws = || Issuer::new("aws", "https://aws", None);
    let google = || Issuer::new("google-workload-identity", "https://google", None);
    let both = table(&[(Stage::Aws, aws()), (Stage::Machine, google())]);
    let listed = authority(&[("https://google", "sigstore")]);
    let detected = found(&both, &listed).unwrap();
    assert_eq!(detected.provider, "google-workload-identity");
    let over = &detected.passed_over[0];
    assert_eq!(over.provider, "aws");
    assert!(over.broken.reason.contains("does not list the issuer `https://aws`"), "{over:?}");
    assert!(over.broken.hint.as_ref().unwrap().contains("--oidc-provider aws"), "{over:?}");
    let survey = block_on(survey_for(&both, &listed, MINUTE));
    assert_eq!(survey.outcome.unwrap().provider, "google-workload-identity");
    let [aws_report, google_report] = &survey.reports[..] else { panic!() };
    assert_eq!(aws_report.state, State::Available);
    assert_eq!(aws_report.reason.as_ref(), Some(&over.broken.reason));
    assert_eq!((google_report.state, &google_report.reason), (State::Available, &None));

    let alone = table(&[(Stage::Aws, aws())]);
    let detected = found(&alone, &listed).unwrap();
    assert_eq!((detected.provider.as_str(), detected.passed_over.len()), ("aws", 0));
    let neither = table(&[(Stage::Aws, aws()), (Stage::Machine, google())]);
    let detected = found(&neither, &authority(&[("https://other", "sigstore")])).unwrap();
    assert_eq!(detected.provider, "aws");
    let over: Vec<_> = detected.passed_over.iter().map(|over| &*over.provider).collect();
    assert_eq!(over, ["google-workload-identity"], "what signs was not passed over");
    assert_eq!(found(&both.named("aws").unwrap(), &listed).unwrap().provider, "aws");
    let one = Audiences::one(Audience::sigstore());
    assert_eq!(found(&both, &one).unwrap().provider, "aws", "nothing is known of the authority");
}

#[test]
fn a_job_comes_before_a_listed_machine_even_when_it_is_not_listed() {
    let job = Issuer::new("github-actions", "https://ghes", None);
    let google = Issuer::new("google-workload-identity", "https://google", None);
    let sources = table(&[(Stage::Job, job), (Stage::Machine, google)]);
    let listed = authority(&[("https://google", "sigstore")]);
    assert_eq!(found(&sources, &listed).unwrap().provider, "github-actions");
}

#[test]
fn the_token_of_another_audience_in_sigstores_variable_does_not_hide_the_jobs_own() {
    let sigstore = jwt(r#"{"aud":"sigstore","exp":2000}"#);
    let pypi = jwt(r#"{"aud":"pypi","exp":2000}"#);
    let fake = FakeHost::new(&[
        ("SIGSTORE_ID_TOKEN", &sigstore),
        ("GITLAB_CI", "true"),
        ("PYPI_ID_TOKEN", &pypi),
    ]);
    let sources = every_source(&fake.host());
    let detected = block_on(detect(&sources, &audience("pypi"), MINUTE)).unwrap();
    assert_eq!(detected.provider, "gitlab");
    assert_eq!(detected.passed_over[0].provider, "envvar");
}

#[test]
fn a_sigstore_file_for_another_audience_does_not_hide_the_jobs_own_either() {
    let sigstore = jwt(r#"{"aud":"sigstore","exp":2000}"#);
    let pypi = jwt(r#"{"aud":"pypi","exp":2000}"#);
    let fake = FakeHost::new(&[("SIGSTORE_OIDC_TOKEN_FILE", "/t"), ("PYPI_ID_TOKEN", &pypi)])
        .file("/t", &sigstore);
    let job = fake.clone().with("GITLAB_CI", "true");
    let detected = block_on(detect(&every_source(&job.host()), &audience("pypi"), MINUTE)).unwrap();
    assert_eq!(detected.provider, "gitlab");
    assert_eq!(detected.passed_over[0].provider, "filesystem");
    // For Sigstore itself what was given is final.
    let wrong = fake.file("/t", &pypi).detect().unwrap_err();
    assert!(matches!(wrong, Error::Broken { .. }), "{wrong}");
}

/// A metadata service that answers on a machine of another maker, or on one whose maker is unknown.
fn laptop(firmware: Option<&str>) -> FakeHost {
    let token = jwt(r#"{"aud":"sigstore","exp":2000,"email":"a@p"}"#);
    let fake = FakeHost::default().service("http://169.254.169.254/", 200, &token);
    match firmware {
        Some(name) => fake.file("/sys/class/dmi/id/product_name", name),
        None => fake,
    }
}

#[test]
fn a_metadata_service_outside_of_its_cloud_signs_only_by_its_name_or_in_a_job() {
    for (firmware, told) in [(Some("LAPTOP 13\n"), "says `LAPTOP 13`"), (None, "cannot be read")] {
        let sources = every_source(&laptop(firmware).host());
        let Err(Error::Nothing { broken, .. }) = laptop(firmware).detect() else { panic!() };
        let (provider, broken) = &broken[0];
        assert_eq!(provider, "google-workload-identity");
        assert!(broken.reason.contains(told), "{}", broken.reason);
        assert!(broken.hint.as_ref().unwrap().contains("--oidc-provider google-workload-identity"));
        let survey = block_on(survey_for(&sources, &Audience::sigstore().into(), MINUTE));
        assert!(matches!(survey.outcome, Err(Error::Nothing { .. })));
        let mut reports = survey.reports.iter();
        let report = reports.find(|report| report.provider == *provider).unwrap();
        assert_eq!(report.state, State::Available);
        assert_eq!(report.reason.as_ref(), Some(&broken.reason));

        let named = sources.named("google").unwrap();
        assert_eq!(
            block_on(detect(&named, &Audience::sigstore(), MINUTE)).unwrap().provider,
            *provider
        );
        for (marker, value) in [("CI", "true"), ("KUBERNETES_SERVICE_HOST", "10.0.0.1")] {
            let found = laptop(firmware).with(marker, value).detect().unwrap();
            assert_eq!(found.provider, *provider, "{marker}");
        }
    }
}

/// A source that never answers.
struct Hanging;

impl TokenSource for Hanging {
    fn name(&self) -> &str {
        "hanging"
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn a_source_that_hangs_is_named_to_whoever_watches_and_ends_at_its_deadline() {
    let mut sources = table(&[]);
    sources.add(Stage::Job, Arc::new(Hanging));
    let told = Arc::new(Mutex::new(Vec::new()));
    let told_to = Arc::clone(&told);
    let watched = sources.watched(Arc::new(move |name: &str| {
        told_to.lock().unwrap().push(name.to_owned());
    }));
    let one = Audiences::one(Audience::sigstore());
    let Err(Error::Broken { provider, broken }) = found(&watched, &one) else { panic!() };
    assert_eq!(provider, "hanging");
    assert_eq!(broken.reason, "no answer within 150 s");
    assert_eq!(*told.lock().unwrap(), ["hanging"]);
}
