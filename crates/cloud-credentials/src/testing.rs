//! A fake host for the tests of the sources.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::{FakeEnv, Host, NoPrograms};
use http::{Request, Response};
use id_token::{Audience, Broken, Found, Outcome, TokenSource};

/// A token with these claims and without a signature.
pub(crate) fn jwt(claims: &str) -> String {
    let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
    [encode(r#"{"alg":"RS256"}"#), encode(claims), encode("signature")].join(".")
}

/// What `source` answers for the audience `sigstore`. The fakes never wait.
pub(crate) fn look(source: &dyn TokenSource) -> Outcome {
    let audience = Audience::sigstore();
    ready(source.find(&audience, Duration::from_secs(30)))
}

pub(crate) fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fake waited"),
    }
}

pub(crate) fn found_of(outcome: Outcome) -> Found {
    let Outcome::Found(found) = outcome else { panic!("expected a token, found {outcome:?}") };
    found
}

pub(crate) fn broken_of(outcome: Outcome) -> Broken {
    let Outcome::Broken(broken) = outcome else { panic!("expected Broken, found {outcome:?}") };
    broken
}

/// Variables, files, and the answers of services in order; the last one repeats.
pub(crate) struct Fake {
    env: FakeEnv,
    answers: VecDeque<Response<Bytes>>,
    seen: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl Fake {
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        let env = variables.iter().copied().collect();
        Self { env, answers: VecDeque::new(), seen: Arc::default() }
    }

    pub(crate) fn with_file(self, path: &str, content: &str) -> Self {
        Self { env: self.env.with_file(path, content), ..self }
    }

    pub(crate) fn answering(mut self, status: u16, body: &str) -> Self {
        let answer = Response::builder().status(status).body(Bytes::from(body.to_owned()));
        self.answers.push_back(answer.unwrap());
        self
    }

    /// As Google's metadata service marks its answers.
    pub(crate) fn google(mut self, body: &str) -> Self {
        let answer = Response::builder().header("metadata-flavor", "Google");
        self.answers.push_back(answer.body(Bytes::from(body.to_owned())).unwrap());
        self
    }

    pub(crate) fn host(&self) -> Host {
        let (seen, answers) = (Arc::clone(&self.seen), self.answers.clone());
        let http = move |request: Request<Bytes>| {
            let mut seen = seen.lock().unwrap();
            let answer = answers.get(seen.len()).or_else(|| answers.back()).cloned();
            seen.push(request);
            Ok(answer.expect("nothing was to be sent"))
        };
        let env = Arc::new(self.env.clone());
        Host::new(Arc::new(http), env, Arc::new(UNIX_EPOCH), Arc::new(NoPrograms))
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn request(&self, index: usize) -> Request<Bytes> {
        self.seen.lock().unwrap()[index].clone()
    }

    pub(crate) fn only_request(&self) -> Request<Bytes> {
        assert_eq!(self.requests(), 1, "expected one request");
        self.request(0)
    }
}
