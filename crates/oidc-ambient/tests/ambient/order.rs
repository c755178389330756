//! Which identity wins, and which failure ends the search.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use host::{BoxFuture, Env, Host, NoPrograms, TransportError};
use http::{Request, Response};
use id_token::{Absence, Audience, Broken, Found, IdToken, Outcome, TokenSource};
use oidc_ambient::{Detected, Error, Sources, Stage, State, detect, survey};

use crate::fake::{block_on, jwt};

const MINUTE: Duration = Duration::from_secs(60);

fn host(env: impl Env + 'static) -> Host {
    let offline = |request: Request<Bytes>| -> Result<Response<Bytes>, TransportError> {
        panic!("nothing was to be sent, but {} was", request.uri())
    };
    let clock = UNIX_EPOCH + Duration::from_secs(1000);
    Host::new(Arc::new(offline), Arc::new(env), Arc::new(clock), Arc::new(NoPrograms))
}

/// A source that always says the same.
struct Fixed(&'static str, Outcome);

impl TokenSource for Fixed {
    fn name(&self) -> &str {
        self.0
    }

    fn find<'a>(&'a self, _: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(std::future::ready(self.1.clone()))
    }
}

fn here(name: &'static str) -> Arc<dyn TokenSource> {
    let claims = format!(r#"{{"aud":["sigstore"],"exp":2000,"sub":"{name}"}}"#);
    let token = IdToken::parse(&jwt(&claims)).unwrap();
    Arc::new(Fixed(name, Outcome::Found(Found::new(token, "E"))))
}

fn absent(name: &'static str) -> Arc<dyn TokenSource> {
    Arc::new(Fixed(name, Outcome::Absent(Absence::new(format!("no {name}")))))
}

fn broken(name: &'static str, certain: bool) -> Arc<dyn TokenSource> {
    let broken =
        Broken::new("E", format!("{name} fails")).with_hint("repair it").with_certain(certain);
    Arc::new(Fixed(name, Outcome::Broken(broken)))
}

fn table(list: &[(Stage, Arc<dyn TokenSource>)]) -> Sources {
    let mut sources = Sources::empty(Arc::new(UNIX_EPOCH + Duration::from_secs(1000)));
    for (stage, source) in list {
        sources.add(*stage, Arc::clone(source));
    }
    sources
}

fn found(sources: &Sources) -> Result<Detected, Error> {
    block_on(detect(sources, &Audience::sigstore(), MINUTE))
}

#[test]
fn the_job_comes_before_the_machine_in_whatever_order_they_were_added() {
    let sources = table(&[(Stage::Machine, here("machine")), (Stage::Job, here("job"))]);
    assert_eq!(found(&sources).unwrap().provider, "job");
}

#[test]
fn a_job_that_is_certainly_broken_ends_the_search() {
    let sources = table(&[(Stage::Job, broken("job", true)), (Stage::Machine, here("machine"))]);
    let Err(Error::Broken { provider, broken }) = found(&sources) else { panic!() };
    assert_eq!((provider.as_str(), broken.reason.as_str()), ("job", "job fails"));
}

#[test]
fn a_guess_that_does_not_work_is_passed_over_and_remembered() {
    let list = [(Stage::Guessed, broken("socket", false)), (Stage::Machine, here("machine"))];
    let detected = found(&table(&list)).unwrap();
    assert_eq!(detected.provider, "machine");
    assert_eq!(detected.passed_over[0].broken.reason, "socket fails");
}

#[test]
fn nothing_at_all_lists_what_was_looked_for() {
    let list = [(Stage::Job, absent("job")), (Stage::Guessed, broken("socket", false))];
    let Err(Error::Nothing { absent, broken }) = found(&table(&list)) else { panic!() };
    assert_eq!(absent[0].1.evidence, "no job");
    assert_eq!(broken[0].0, "socket");
}

#[test]
fn a_named_source_is_final_even_when_its_failure_is_only_likely() {
    let list = [
        (Stage::Given, here("envvar")),
        (Stage::Guessed, broken("spiffe", false)),
        (Stage::Machine, absent("google-impersonate")),
        (Stage::Machine, here("google-workload-identity")),
    ];
    let sources = table(&list);
    let named = |name| found(&sources.named(name)?);
    assert_eq!(named("envvar").unwrap().provider, "envvar");
    let Err(Error::Broken { provider, .. }) = named("spiffe") else { panic!() };
    assert_eq!(provider, "spiffe");
    assert!(matches!(named("google-impersonate"), Err(Error::Absent { .. })));
    assert_eq!(named("google").unwrap().provider, "google-workload-identity");
    let error = named("gogle").unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no identity provider `gogle`, expected one of: envvar, spiffe, \
         google-impersonate, google-workload-identity"
    );
}

#[test]
fn several_sources_may_share_a_name() {
    let list = [(Stage::Workload, absent("spiffe")), (Stage::Guessed, here("spiffe"))];
    let sources = table(&list);
    assert_eq!(sources.names(), ["spiffe"]);
    assert_eq!(found(&sources.named("spiffe").unwrap()).unwrap().provider, "spiffe");
}

#[test]
fn a_token_for_another_audience_is_broken_whatever_its_source() {
    let token = IdToken::parse(&jwt(r#"{"aud":"sts.amazonaws.com","exp":2000}"#)).unwrap();
    let outcome = Outcome::Found(Found::new(token, "E"));
    let sources = table(&[(Stage::Cluster, Arc::new(Fixed("filesystem", outcome)) as _)]);
    let Err(Error::Broken { broken, .. }) = found(&sources) else { panic!() };
    assert_eq!(
        broken.reason,
        "expected a token for the audience `sigstore`, found `sts.amazonaws.com`"
    );
}

#[test]
fn an_expired_token_in_a_variable_is_told_with_its_age() {
    let token = jwt(r#"{"aud":"sigstore","iat":400,"exp":700}"#);
    let env = std::collections::BTreeMap::from([("SIGSTORE_ID_TOKEN".to_owned(), token)]);
    let Err(Error::Broken { provider, broken }) = found(&Sources::standard(&host(env))) else {
        panic!()
    };
    assert_eq!(provider, "envvar");
    assert_eq!(broken.reason, "the token expired 300 s ago, after a life of 300 s");
}

#[test]
fn a_given_token_beats_a_broken_job() {
    let token = jwt(r#"{"aud":"sigstore","exp":2000}"#);
    let env = [("SIGSTORE_ID_TOKEN", token.as_str()), ("GITHUB_ACTIONS", "true")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let env = std::collections::BTreeMap::from(env);
    assert_eq!(found(&Sources::standard(&host(env))).unwrap().provider, "envvar");
}

#[test]
fn a_job_without_its_permission_fails_without_a_request() {
    let Err(Error::Broken { provider, broken }) =
        found(&Sources::standard(&host([("GITHUB_ACTIONS", "true")])))
    else {
        panic!()
    };
    assert_eq!(provider, "github-actions");
    assert!(broken.reason.contains("id-token: write"), "{}", broken.reason);
}

#[test]
fn a_survey_tells_of_every_source_and_decides_as_detect_does() {
    let list = [
        (Stage::Given, absent("envvar")),
        (Stage::Guessed, broken("spiffe", false)),
        (Stage::Job, here("job")),
        (Stage::Machine, broken("machine", true)),
    ];
    let survey = block_on(survey(&table(&list), &Audience::sigstore(), MINUTE));
    let told: Vec<_> =
        survey.reports.iter().map(|one| (one.provider.as_str(), one.state.as_str())).collect();
    assert_eq!(
        told,
        [("envvar", "absent"), ("job", "available"), ("spiffe", "broken"), ("machine", "broken")]
    );
    assert_eq!(survey.reports[2].hint.as_deref(), Some("repair it"));
    assert_eq!(survey.reports[0].state, State::Absent);
    assert_eq!(survey.outcome.unwrap().provider, "job");
}

#[test]
fn the_source_of_a_detected_token_starts_with_that_token() {
    let sources = table(&[(Stage::Job, here("job"))]);
    let audience = Audience::sigstore();
    let detected = found(&sources).unwrap();
    let text = detected.token.reveal().to_owned();
    let source = detected.into_source(&audience);
    let again = block_on(source.token(&audience, MINUTE)).unwrap();
    assert_eq!(again.reveal(), text);
}
