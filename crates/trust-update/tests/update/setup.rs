//! A mirror without a network, and a cache in a temporary directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use host::{BoxFuture, Clock, Transport, TransportError};
use http::{Request, Response, StatusCode};
use sandbox::{Service as _, Tuf, TufKeys, TufRepository};
use trust_update::{Directories, Error, Mirror, Trust, Updates};
use url::Url;

/// 2026-09-21T14:13:20Z.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(crate) const URL: &str = "https://tuf.test/repository";
pub(crate) const ROOT: &str = include_str!("../../../trust-root/data/trusted_root.json");
const SIGNING_CONFIG: &str = include_str!("../../../trust-root/data/signing_config.v0.2.json");

/// Answers instead of the repository's: path to status and body.
type Answers = Arc<Mutex<BTreeMap<String, (u16, Bytes)>>>;

pub(crate) struct Setup {
    tuf: Arc<Tuf>,
    http: Arc<dyn Transport>,
    answers: Answers,
    requests: Arc<Mutex<Vec<String>>>,
    cut: Arc<AtomicBool>,
    mirror: Mirror,
    directories: Directories,
    _scratch: tempfile::TempDir,
}

impl Setup {
    /// A mirror with a trusted root and a signing config, two of three keys for the root.
    pub(crate) fn new() -> Self {
        let setup = Self::empty();
        setup.edit(|repository| {
            repository.set_target("trusted_root.json", ROOT);
            repository.set_target("signing_config.v0.2.json", SIGNING_CONFIG);
            repository.publish(now()).unwrap();
        });
        setup
    }

    /// A mirror that lists nothing.
    pub(crate) fn empty() -> Self {
        let repository = TufRepository::new(TufKeys::generate(2, 2).unwrap(), now()).unwrap();
        Self::of(repository)
    }

    /// A mirror that has these roots and nothing else.
    pub(crate) fn serving_roots(roots: impl Iterator<Item = (u32, Vec<u8>)>) -> Self {
        let setup = Self::empty();
        for (version, root) in roots {
            setup.edit(|repository| repository.put(&format!("{version}.root.json"), root));
        }
        setup
    }

    fn of(repository: TufRepository) -> Self {
        let root = repository.file("1.root.json").unwrap().clone();
        let tuf = Arc::new(Tuf::new(repository));
        let answers = Answers::default();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let cut = Arc::new(AtomicBool::new(false));
        let http = transport(&tuf, &answers, &requests, &cut);
        let scratch = tempfile::tempdir().unwrap();
        let directories =
            Directories::new(scratch.path().join("cache"), scratch.path().join("config"));
        let mirror = Mirror::new(Url::parse(URL).unwrap(), &root).unwrap();
        Self { tuf, http, answers, requests, cut, mirror, directories, _scratch: scratch }
    }

    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut TufRepository) -> T) -> T {
        self.tuf.edit(change)
    }

    /// From now on the mirror answers so.
    pub(crate) fn answer(&self, path: &str, status: u16, body: &str) {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.answers.lock().unwrap().insert(path.to_owned(), (status, body));
    }

    /// From now on the mirror cannot be reached.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
    }

    /// What was asked for since the last time, targets without their names.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    pub(crate) fn updates(&self) -> Updates {
        Updates::new(self.mirror.clone(), self.directories.clone())
    }

    pub(crate) fn mirror(&self) -> Mirror {
        self.mirror.clone()
    }

    pub(crate) fn directories(&self) -> &Directories {
        &self.directories
    }

    pub(crate) fn http(&self) -> &Arc<dyn Transport> {
        &self.http
    }

    pub(crate) fn current(&self, now: SystemTime) -> Result<Trust, Error> {
        block_on(self.updates().current(&self.http, &now))
    }

    pub(crate) fn refresh(&self, now: SystemTime) -> Result<Trust, Error> {
        block_on(self.updates().refresh(&self.http, &StoppedClock(now)))
    }

    pub(crate) fn offline(&self, now: SystemTime) -> Result<Trust, Error> {
        block_on(self.updates().offline(&StoppedClock(now)))
    }

    /// A file of the cache.
    pub(crate) fn cache_file(&self, name: &str) -> PathBuf {
        self.directories.cache().join("https%3A%2F%2Ftuf.test%2Frepository").join(name)
    }

    pub(crate) fn move_cache_to(&mut self, path: &Path) {
        self.directories = Directories::new(path, path);
    }
}

/// A clock that stands still and whose waits take a moment.
struct StoppedClock(SystemTime);

impl Clock for StoppedClock {
    fn now(&self) -> SystemTime {
        self.0
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(async { std::thread::sleep(Duration::from_millis(2)) })
    }
}

fn transport(
    tuf: &Arc<Tuf>,
    answers: &Answers,
    requests: &Arc<Mutex<Vec<String>>>,
    cut: &Arc<AtomicBool>,
) -> Arc<dyn Transport> {
    let (tuf, answers) = (Arc::clone(tuf), Arc::clone(answers));
    let (requests, cut) = (Arc::clone(requests), Arc::clone(cut));
    Arc::new(move |mut request: Request<Bytes>| {
        if cut.load(Ordering::Relaxed) {
            return Err(TransportError::Connect {
                url: URL.to_owned(),
                source: Arc::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
            });
        }
        let path = request.uri().path().strip_prefix("/repository").unwrap_or("?").to_owned();
        let noted = match path.starts_with("/targets/") {
            true => "targets/",
            false => path.trim_start_matches('/'),
        };
        requests.lock().unwrap().push(noted.to_owned());
        if let Some((status, body)) = answers.lock().unwrap().get(&path) {
            let mut response = Response::new(body.clone());
            *response.status_mut() = StatusCode::from_u16(*status).unwrap();
            return Ok(response);
        }
        *request.uri_mut() = path.parse().unwrap();
        Ok(tuf.handle(request))
    })
}

/// The result of a future whose transport and clock do not wait. Others may hold the lock.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
        std::thread::yield_now();
    }
}
