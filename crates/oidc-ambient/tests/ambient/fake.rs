//! A fake made of places: each brings its variables, its files and its services.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use host::{
    BoxFuture, CallPolicy, Env, FileError, Host, Invocation, ProgramError, ProgramOutput,
    TransportError,
};
use http::{Request, Response};
use id_token::Audience;
use oidc_ambient::{Detected, Error, Sources, detect};

/// A token that says `claims` and is signed by nobody.
pub(crate) fn jwt(claims: &str) -> String {
    let [header, payload] = [r#"{"alg":"RS256"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    format!("{header}.{payload}.c2lnbmF0dXJl")
}

/// A good token whose subject is `who`.
pub(crate) fn token_of(who: &str) -> String {
    jwt(&format!(r#"{{"aud":["sigstore"],"exp":2000,"sub":"{who}","email":"{who}@p"}}"#))
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fake waited"),
    }
}

type Answer = Arc<dyn Fn(&Request<Bytes>) -> Option<Response<Bytes>> + Send + Sync>;

/// Variables, files, services and programs. Where no service answers, the network is silent until
/// the deadline.
#[derive(Clone, Default)]
pub(crate) struct FakeHost {
    variables: BTreeMap<String, String>,
    files: BTreeMap<String, Vec<u8>>,
    services: Vec<Answer>,
    programs: BTreeMap<String, ProgramOutput>,
    seen: Arc<Mutex<Vec<Request<Bytes>>>>,
}

impl FakeHost {
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { variables, ..Self::default() }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, content: &str) -> Self {
        self.files.insert(path.to_owned(), content.into());
        self
    }

    /// A service at every URL that starts with `prefix`, or on the Unix socket of that path.
    pub(crate) fn service(mut self, prefix: &str, status: u16, body: &str) -> Self {
        let (prefix, body) = (prefix.to_owned(), Bytes::copy_from_slice(body.as_bytes()));
        self.services.push(Arc::new(move |request| {
            let policy = request.extensions().get::<CallPolicy>().unwrap();
            let place = match &policy.unix_socket {
                Some(socket) => socket.display().to_string(),
                None => request.uri().to_string(),
            };
            let is_google = request.headers().contains_key("metadata-flavor");
            let mut answer = Response::builder().status(status);
            if is_google {
                answer = answer.header("Metadata-Flavor", "Google");
            }
            place.starts_with(&prefix).then(|| answer.body(body.clone()).unwrap())
        }));
        self
    }

    pub(crate) fn program(mut self, name: &str, code: i32, stdout: &str, stderr: &str) -> Self {
        let output =
            ProgramOutput { code: Some(code), stdout: stdout.into(), stderr: stderr.into() };
        self.programs.insert(name.to_owned(), output);
        self
    }

    /// Both at once; what they share must not contradict.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        for (name, value) in &other.variables {
            let before = self.variables.insert(name.clone(), value.clone());
            assert!(before.is_none_or(|before| before == *value), "{name}");
        }
        self.files.extend(other.files.clone());
        self.services.extend(other.services.iter().cloned());
        self.programs.extend(other.programs.clone());
        self
    }

    pub(crate) fn requests(&self) -> Vec<Request<Bytes>> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn host(&self) -> Host {
        let (services, seen) = (self.services.clone(), Arc::clone(&self.seen));
        let http = move |request: Request<Bytes>| {
            seen.lock().unwrap().push(request.clone());
            services.iter().find_map(|answer| answer(&request)).ok_or_else(|| {
                let url = request.uri().to_string();
                TransportError::Timeout { url, after: Duration::from_secs(1) }
            })
        };
        let programs = self.programs.clone();
        let run = move |run: Invocation| {
            let output = programs.get(&run.program.display().to_string()).cloned();
            output.ok_or(ProgramError::NotFound { program: run.program })
        };
        Host::new(
            Arc::new(http),
            Arc::new(self.clone()),
            Arc::new(UNIX_EPOCH + Duration::from_secs(1000)),
            Arc::new(run),
        )
    }

    pub(crate) fn detect(&self) -> Result<Detected, Error> {
        let sources = every_source(&self.host());
        block_on(detect(&sources, &Audience::sigstore(), Duration::from_secs(30)))
    }
}

/// The whole search: the sources of this crate and those of `cloud-credentials`.
pub(crate) fn every_source(host: &Host) -> Sources {
    let mut sources = Sources::standard(host);
    cloud_credentials::add_to(&mut sources, host);
    sources
}

impl Env for FakeHost {
    fn var_os(&self, name: &str) -> Option<OsString> {
        self.variables.var_os(name)
    }

    fn read<'a>(&'a self, path: &'a Path, cap: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        let path = path.to_owned();
        let content = match self.files.get(&path.display().to_string()) {
            None => Err(FileError::NotFound { path }),
            Some(content) if content.len() > cap => Err(FileError::TooLarge { path, cap }),
            Some(content) => Ok(content.clone()),
        };
        Box::pin(std::future::ready(content))
    }
}
