//! What the tests of the sources share: a fake host.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::{
    FakeEnv, Host, Invocation, NoPrograms, ProgramError, ProgramOutput, Programs, TransportError,
};
use http::{Request, Response};
use id_token::{Audience, Broken, Found, Outcome, TokenSource};

/// A token with these claims and without a valid signature.
pub(crate) fn jwt(claims: &str) -> String {
    let [header, payload] = [r#"{"alg":"RS256"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}.c2lnbmF0dXJl")
}

/// What `source` answers for `audience`.
pub(crate) fn look(source: &dyn TokenSource, audience: &str) -> Outcome {
    look_for(source, audience, 30)
}

/// The same for a token that lives for so many seconds.
pub(crate) fn look_for(source: &dyn TokenSource, audience: &str, seconds: u64) -> Outcome {
    let audience = Audience::new(audience).unwrap();
    block_on(source.find(&audience, Duration::from_secs(seconds)))
}

/// Fakes never wait, so neither does this.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("a fake waited");
}

/// How a program ended, and what it wrote.
pub(crate) fn ended(code: i32, stdout: &str, stderr: &str) -> ProgramOutput {
    ProgramOutput { code: Some(code), stdout: stdout.into(), stderr: stderr.into() }
}

pub(crate) fn found_of(outcome: Outcome) -> Found {
    match outcome {
        Outcome::Found(found) => found,
        other => panic!("expected a token, found {other:?}"),
    }
}

pub(crate) fn broken_of(outcome: Outcome) -> Broken {
    match outcome {
        Outcome::Broken(broken) => broken,
        other => panic!("expected Broken, found {other:?}"),
    }
}

type Answers = Arc<Mutex<VecDeque<Result<Response<Bytes>, TransportError>>>>;

/// A whole fake host: variables, files, answers and programs. The last answer repeats.
pub(crate) struct FakeHost {
    env: FakeEnv,
    answers: Answers,
    seen: Arc<Mutex<Vec<Request<Bytes>>>>,
    programs: Arc<dyn Programs>,
}

impl FakeHost {
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        Self {
            env: variables.iter().copied().collect(),
            answers: Answers::default(),
            seen: Arc::default(),
            programs: Arc::new(NoPrograms),
        }
    }

    pub(crate) fn with_file(mut self, path: &str, content: &str) -> Self {
        self.env = self.env.with_file(path, content);
        self
    }

    pub(crate) fn answering(self, status: u16, body: &str) -> Self {
        self.answering_with(status, &[], body)
    }

    pub(crate) fn answering_with(self, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.with_answer(Ok(answer.body(body).unwrap()))
    }

    pub(crate) fn redirecting(self, status: u16, location: &str) -> Self {
        let answer = Response::builder().status(status).header("location", location);
        self.with_answer(Ok(answer.body(Bytes::new()).unwrap()))
    }

    pub(crate) fn unreachable(self) -> Self {
        let source = Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        self.with_answer(Err(TransportError::Connect { url: "https://x".to_owned(), source }))
    }

    pub(crate) fn hanging(self) -> Self {
        let after = Duration::from_secs(3);
        self.with_answer(Err(TransportError::Timeout { url: "http://x".to_owned(), after }))
    }

    fn with_answer(self, answer: Result<Response<Bytes>, TransportError>) -> Self {
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    pub(crate) fn running(
        mut self,
        programs: impl Fn(Invocation) -> Result<ProgramOutput, ProgramError> + Send + Sync + 'static,
    ) -> Self {
        self.programs = Arc::new(programs);
        self
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(crate) fn request(&self, index: usize) -> Request<Bytes> {
        self.seen.lock().unwrap()[index].clone()
    }

    pub(crate) fn only_request(&self) -> Request<Bytes> {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "expected one request");
        seen[0].clone()
    }

    pub(crate) fn host(&self) -> Host {
        let (answers, seen) = (Arc::clone(&self.answers), Arc::clone(&self.seen));
        let http = move |request: Request<Bytes>| {
            seen.lock().unwrap().push(request);
            let mut answers = answers.lock().unwrap();
            let last = answers.len() == 1;
            let answer = if last { answers.front().cloned() } else { answers.pop_front() };
            answer.expect("nothing was to be sent")
        };
        Host::new(
            Arc::new(http),
            Arc::new(self.env.clone()),
            Arc::new(UNIX_EPOCH),
            Arc::clone(&self.programs),
        )
    }
}
