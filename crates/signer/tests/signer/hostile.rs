//! Services that misbehave in the middle of the ceremony, and tasks that give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};

use bytes::Bytes;
use host::{CallPolicy, Transport};
use http::{Request, Response};
use http_client::HttpClient;
use rekor_client::ApiVersion;
use signer::{Error, Session, Signer};
use trust_root::TrustedRoot;

use super::{Source, block_on, here, now, services, signer, with_sandbox};

/// A task that gives up while it waits for a certificate leaves nothing behind that others wait for.
#[test]
fn a_task_that_is_cancelled_in_the_middle_does_not_stop_the_others() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let network = Slow(Box::new(move || count.fetch_add(1, Ordering::Relaxed) > 0));
    let services = services(&[ApiVersion::V1], true);
    let root = Arc::new(TrustedRoot::public_good());
    let signer = Signer::new(services, root, Arc::new(network), Arc::new(now())).unwrap();
    let source = Source(Box::new(|| here(r#"{"iss":"https://i","sub":"s","aud":"x","exp":9e9}"#)));
    let session = Session::new(signer, Arc::new(source));
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut first = std::pin::pin!(session.prepare());
        assert!(first.as_mut().poll(&mut context).is_pending());
        // Others wait for it, and not for their own certificate.
        let mut second = std::pin::pin!(session.prepare());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
    let error = block_on(session.prepare()).unwrap_err();
    assert!(matches!(error, Error::Preflight { .. }), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

/// A network that answers 404 when it answers at all.
struct Slow(Box<dyn Fn() -> bool + Send + Sync>);

impl Transport for Slow {
    fn send(&self, _: Request<Bytes>, _: &CallPolicy) -> host::Answer<'_, Bytes> {
        if !(self.0)() {
            return Box::pin(std::future::pending());
        }
        Box::pin(async { Ok(Response::builder().status(404).body(Bytes::new()).unwrap()) })
    }
}

/// What services answer that misbehave after the certificate is there.
#[test]
fn services_that_answer_about_something_else_give_no_signature() {
    let tries: [(&str, &str, Answer, usize); 9] = [
        (
            "the log has the entry for ever",
            "/log/entries",
            |mut answer| {
                answer.headers_mut().remove("location");
                status(body(answer, b""), 409)
            },
            1,
        ),
        ("the log says 200", "/log/entries", |answer| status(answer, 200), 1),
        ("the log answers an empty list", "/log/entries", |answer| body(answer, b"[]"), 1),
        ("the log answers with a page", "/log/entries", |answer| body(answer, b"<html>"), 1),
        ("another index in the entry", "/log/entries", other_index, 1),
        ("another log's promise", "/log/entries", other_promise, 1),
        ("the authority answers with a page", "/timestamp", |answer| body(answer, b"<html>"), 0),
        ("the authority's answer is cut short", "/timestamp", |answer| cut(answer), 0),
        ("a signature of the authority is changed", "/timestamp", |answer| flip(answer), 0),
    ];
    for (name, path, change, logged_once) in tries {
        let logged = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&logged);
        let signed = with_changed_answers(path, change, count);
        let error = signed.err().unwrap_or_else(|| panic!("{name}: it was signed"));
        let text = host::with_causes(&error);
        assert!(text.len() < 2000, "{name}: {text}");
        assert_eq!(logged.load(Ordering::Relaxed), logged_once, "{name}: {text}");
    }
}

pub(crate) type Answer = fn(Response<Bytes>) -> Response<Bytes>;

fn status(mut answer: Response<Bytes>, status: u16) -> Response<Bytes> {
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    answer
}

fn body(mut answer: Response<Bytes>, body: &'static [u8]) -> Response<Bytes> {
    *answer.body_mut() = Bytes::from_static(body);
    answer
}

fn cut(answer: Response<Bytes>) -> Response<Bytes> {
    answer.map(|body| body.slice(..body.len() - 1))
}

fn flip(answer: Response<Bytes>) -> Response<Bytes> {
    answer.map(|body| {
        let mut bytes = body.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        bytes.into()
    })
}

fn in_entry(answer: Response<Bytes>, change: fn(&mut serde_json::Value)) -> Response<Bytes> {
    answer.map(|body| {
        let mut entries: serde_json::Value = serde_json::from_slice(&body).unwrap();
        entries.as_object_mut().unwrap().values_mut().for_each(change);
        entries.to_string().into()
    })
}

fn other_index(answer: Response<Bytes>) -> Response<Bytes> {
    in_entry(answer, |entry| entry["logIndex"] = (entry["logIndex"].as_u64().unwrap() + 1).into())
}

fn other_promise(answer: Response<Bytes>) -> Response<Bytes> {
    in_entry(answer, |entry| entry["verification"]["signedEntryTimestamp"] = "AAAA".into())
}

fn with_changed_answers(
    path: &'static str,
    change: Answer,
    logged: Arc<AtomicUsize>,
) -> Result<signer::Signed, Error> {
    with_sandbox(
        |_| (),
        |http, _| ChangedNetwork { http, logged, token: None, change: Some((path, change)) },
    )
}

/// Counts what is logged, and gives the certificate authority the token of another user.
pub(crate) struct ChangedNetwork {
    pub(crate) http: HttpClient,
    pub(crate) logged: Arc<AtomicUsize>,
    pub(crate) token: Option<String>,
    /// Where answers are changed, and how.
    pub(crate) change: Option<(&'static str, Answer)>,
}

impl Transport for ChangedNetwork {
    fn send(&self, mut request: Request<Bytes>, policy: &CallPolicy) -> host::Answer<'_, Bytes> {
        if request.uri().path().ends_with("/log/entries") {
            self.logged.fetch_add(1, Ordering::Relaxed);
        }
        if let (Some(token), Some(bearer)) =
            (&self.token, request.headers_mut().get_mut(http::header::AUTHORIZATION))
        {
            *bearer = format!("Bearer {token}").parse().unwrap();
        }
        let change = self.change.filter(|(path, _)| request.uri().path().ends_with(path));
        let answer = self.http.send(request, policy);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(change.map_or_else(|| answer.clone(), |(_, change)| change(answer.clone())))
        })
    }
}
