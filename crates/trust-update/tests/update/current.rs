//! The calls for programs with an async runtime.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use host::{Answer, BoxFuture, CallPolicy, Clock, Env, FileError, Host, NoPrograms, Transport};
use http::Request;
use trust_update::{current, initialize, offline};

use crate::setup::{Setup, block_on, now};

/// Remembers which threads used it.
struct Watched<T>(T, Arc<Mutex<Vec<ThreadId>>>);

impl<T> Watched<T> {
    fn used(&self) -> &T {
        self.1.lock().unwrap().push(thread::current().id());
        &self.0
    }
}

impl Env for Watched<BTreeMap<String, String>> {
    fn var_os(&self, name: &str) -> Option<OsString> {
        self.used().var_os(name)
    }

    fn read<'a>(&'a self, path: &'a Path, cap: usize) -> BoxFuture<'a, Result<Vec<u8>, FileError>> {
        self.used().read(path, cap)
    }
}

impl Transport for Watched<Arc<dyn Transport>> {
    fn send(&self, request: Request<Bytes>, policy: &CallPolicy) -> Answer<'_, Bytes> {
        self.used().send(request, policy)
    }
}

/// A clock whose waits never end: requests of another thread are not ready at once.
struct Patient;

impl Clock for Patient {
    fn now(&self) -> SystemTime {
        now()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

#[test]
fn files_are_read_on_a_thread_of_their_own_and_requests_are_made_by_the_caller() {
    let setup = Setup::new();
    let (files, requests) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<_>>>::default());
    let directory = setup.directories().cache().to_str().unwrap().to_owned();
    let env = BTreeMap::from([("TUF_ROOT".to_owned(), directory)]);
    let env = Arc::new(Watched(env, Arc::clone(&files)));
    let http = Arc::new(Watched(Arc::clone(setup.http()), Arc::clone(&requests)));
    let host = Host::new(http, env, Arc::new(Patient), Arc::new(NoPrograms));

    // Nothing was fetched yet: the embedded files serve.
    assert!(block_on(offline(&host)).unwrap().metadata().is_empty());
    block_on(initialize(setup.mirror(), &host)).unwrap();
    files.lock().unwrap().clear();
    let asked = Arc::new(Mutex::new(None));
    let refreshing = Arc::clone(&asked);
    let told = move |mirror: &url::Url| *refreshing.lock().unwrap() = Some(mirror.clone());
    let trust = block_on(current(&host, told)).unwrap();
    assert_eq!(asked.lock().unwrap().as_ref(), Some(setup.mirror().url()));
    assert!(trust.signing_config().unwrap().is_some());
    assert_eq!(block_on(offline(&host)).unwrap().mirror(), trust.mirror());

    let here = thread::current().id();
    assert!(files.lock().unwrap().iter().all(|thread| *thread != here));
    let requests = requests.lock().unwrap();
    assert!(!requests.is_empty() && requests.iter().all(|thread| *thread == here));
}
