//! A machine with a person, a browser and a clock, none of them real.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use host::{
    BoxFuture, CallPolicy, Clock, Host, Invocation, Launch, ProgramError, ProgramOutput, Programs,
    Transport, TransportError,
};
use http::header::LOCATION;
use http::{Method, Request, Response};
use oidc_interactive::{Callbacks, Loopback, Notice, Page, Prompt};
use url::Url;
use url::form_urlencoded::Serializer;

/// Runs a future that only fakes keep waiting.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut future = std::pin::pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("it never ends")
}

/// Resolves after it was asked so many times: long enough for everything else that is ready.
async fn patiently(times: u32) {
    let mut left = times;
    poll_fn(|_| {
        left = left.saturating_sub(1);
        if left == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A clock that moves when something waits for it.
#[derive(Clone)]
pub(crate) struct FakeClock {
    now: Arc<Mutex<SystemTime>>,
    /// Every wait, in seconds.
    pub(crate) slept: Arc<Mutex<Vec<u64>>>,
}

impl FakeClock {
    pub(crate) fn at(seconds: u64) -> Self {
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        Self { now: Arc::new(Mutex::new(now)), slept: Arc::default() }
    }

    pub(crate) fn set_back(&self, duration: Duration) {
        *self.now.lock().unwrap() -= duration;
    }

    pub(crate) fn pass(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
    }
}

impl Clock for FakeClock {
    fn now(&self) -> SystemTime {
        *self.now.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        Box::pin(async move {
            patiently(50).await;
            clock.slept.lock().unwrap().push(duration.as_secs());
            clock.pass(duration);
        })
    }
}

/// What the browser does when it is sent somewhere.
type Visit = dyn Fn(&Browser, &Url) -> Result<Option<i32>, ProgramError> + Send + Sync;

/// A browser, and the loopback interface over which it comes back.
#[derive(Clone)]
pub(crate) struct Browser {
    visit: Arc<Visit>,
    back: Arc<Mutex<VecDeque<Url>>>,
    /// The pages it was shown when it came back: status and text.
    pub(crate) shown: Arc<Mutex<Vec<(u16, String)>>>,
}

impl Browser {
    pub(crate) fn new(
        visit: impl Fn(&Self, &Url) -> Result<Option<i32>, ProgramError> + Send + Sync + 'static,
    ) -> Self {
        Self { visit: Arc::new(visit), back: Arc::default(), shown: Arc::default() }
    }

    /// There is none on this machine.
    pub(crate) fn none() -> Self {
        Self::new(|_, _| Err(ProgramError::NotFound { program: "xdg-open".into() }))
    }

    /// Asks for a page of the machine itself.
    pub(crate) fn come_back(&self, url: &str) {
        self.back.lock().unwrap().push_back(Url::parse(url).unwrap());
    }
}

impl Programs for Browser {
    fn run(&self, _: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>> {
        unreachable!("a browser is launched, not run")
    }

    fn launch(&self, launch: Launch) -> BoxFuture<'_, Result<Option<i32>, ProgramError>> {
        assert!(launch.without.iter().any(|name| name == "SIGSTORE_ID_TOKEN"));
        let url = Url::parse(launch.args.last().unwrap()).unwrap();
        Box::pin(std::future::ready((self.visit)(self, &url)))
    }
}

impl Loopback for Browser {
    fn listen(
        &self,
        addresses: &[IpAddr],
        port: u16,
    ) -> BoxFuture<'_, Result<Box<dyn Callbacks>, std::io::Error>> {
        let taken = port == 1 || addresses.is_empty();
        let listener =
            FakeListener { browser: self.clone(), port: if port == 0 { 45141 } else { port } };
        Box::pin(async move {
            if taken {
                return Err(std::io::Error::from(std::io::ErrorKind::AddrInUse));
            }
            Ok(Box::new(listener) as Box<dyn Callbacks>)
        })
    }
}

struct FakeListener {
    browser: Browser,
    port: u16,
}

impl Callbacks for FakeListener {
    fn serve<'a>(
        &'a mut self,
        answer: &'a mut (dyn FnMut(&Request<()>) -> Page + Send),
    ) -> BoxFuture<'a, ()> {
        Box::pin(poll_fn(move |_| {
            while let Some(url) = self.browser.back.lock().unwrap().pop_front() {
                let uri = &url[url::Position::BeforePath..];
                let page = answer(&Request::get(uri).body(()).unwrap());
                let text = String::from_utf8(page.response.body().to_vec()).unwrap();
                let status = page.response.status().as_u16();
                self.browser.shown.lock().unwrap().push((status, text));
                if page.last {
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        }))
    }

    fn port(&self) -> u16 {
        self.port
    }
}

/// What the user types when shown a URL.
type OnUrl = dyn Fn(&Url) -> Result<String, String> + Send + Sync;

/// What the user does when told something.
type OnNotice = dyn Fn(&Notice<'_>) + Send + Sync;

/// FakeUser who is told things and may type a code.
#[derive(Clone, Default)]
pub(crate) struct FakeUser {
    /// What the user was told, as `Debug` shows it.
    pub(crate) told: Arc<Mutex<Vec<String>>>,
    types: Option<Arc<OnUrl>>,
    tells: Option<Arc<OnNotice>>,
    url: Arc<Mutex<Option<Url>>>,
}

impl FakeUser {
    /// Types what `types` makes of the URL that was shown.
    pub(crate) fn typing(
        types: impl Fn(&Url) -> Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        Self { types: Some(Arc::new(types)), ..Self::default() }
    }

    /// Does `tells` when told something.
    pub(crate) fn reacting(tells: impl Fn(&Notice<'_>) + Send + Sync + 'static) -> Self {
        Self { tells: Some(Arc::new(tells)), ..Self::default() }
    }

    pub(crate) fn was_told(&self, text: &str) -> bool {
        self.told.lock().unwrap().iter().any(|told| told.contains(text))
    }
}

impl Prompt for FakeUser {
    fn tell(&self, notice: &Notice<'_>) {
        self.told.lock().unwrap().push(format!("{notice:?}"));
        if let Notice::OutOfBand { url } = notice {
            *self.url.lock().unwrap() = Some(Url::parse(url).unwrap());
        }
        if let Some(tells) = &self.tells {
            tells(notice);
        }
    }

    fn takes_codes(&self) -> bool {
        self.types.is_some()
    }

    fn ask_code(&self) -> BoxFuture<'_, Result<String, String>> {
        let url = self.url.lock().unwrap().clone().unwrap();
        let code = match &self.types {
            Some(types) => types(&url),
            None => Err("codes cannot be typed in here".to_owned()),
        };
        Box::pin(std::future::ready(code))
    }
}

pub(crate) fn host(http: Arc<dyn Transport>, clock: &FakeClock, browser: &Browser) -> Host {
    Host::new(http, Arc::new([("", "")]), Arc::new(clock.clone()), Arc::new(browser.clone()))
}

/// One request of a browser, answered at once.
pub(crate) fn fetch(
    http: &dyn Transport,
    method: &Method,
    url: &str,
    fields: &[(&str, &str)],
) -> Result<Response<Bytes>, TransportError> {
    let form = Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::builder().method(method).uri(url).body(Bytes::from(form)).unwrap();
    block_on(http.send(request, &CallPolicy::new()))
}

/// Where a redirect leads.
pub(crate) fn location(answer: &Response<Bytes>) -> &str {
    answer.headers().get(LOCATION).expect("a redirect").to_str().unwrap()
}

/// An error and its causes.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", whole(cause)),
        None => error.to_string(),
    }
}
