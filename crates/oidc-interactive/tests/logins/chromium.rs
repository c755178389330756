//! A real browser: Debian's chromium, without a window.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use host::{BoxFuture, Invocation, Launch, ProgramError, ProgramOutput, Programs};
use http_client::SystemLoopback;
use oidc_interactive::{Flow, Login, Notice};
use sandbox::{LOGIN_EMAIL, LoginPage};
use tokio::process::{Child, Command};

use crate::fake::FakeUser;
use crate::network::{host, start};

/// The browser, or `None` after a line on stderr that the test runner does not swallow. Where `CI`
/// is set there must be one.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut paths = std::env::split_paths(&path)
        .flat_map(|setup| ["chromium", "chromium-browser"].map(|name| setup.join(name)));
    let found = paths.find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("CI").is_none(), "there is no chromium, and CI must have it");
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("a test").to_owned();
        let hint = "apt-get install --no-install-recommends chromium";
        let line = format!("skipped: {name}: there is no chromium ({hint})\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    found
}

/// A browser with a profile of its own.
struct Chromium {
    program: PathBuf,
    profile: tempfile::TempDir,
    running: Mutex<Vec<Child>>,
}

impl Chromium {
    fn new(program: &Path) -> Self {
        let profile = tempfile::tempdir().unwrap();
        Self { program: program.to_owned(), profile, running: Mutex::default() }
    }

    fn open(&self, url: &str) {
        let child = Command::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-dev-shm-usage",
                "--disable-sync",
                "--no-proxy-server",
            ])
            // Without it a headless browser ends as soon as the first page is there.
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .arg(url)
            .env("HOME", self.profile.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.running.lock().unwrap().push(child);
    }

    async fn close(&self) {
        let children: Vec<Child> = self.running.lock().unwrap().drain(..).collect();
        for mut child in children {
            child.kill().await.unwrap();
        }
    }
}

impl Programs for Chromium {
    fn run(&self, _: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>> {
        unreachable!()
    }

    fn launch(&self, launch: Launch) -> BoxFuture<'_, Result<Option<i32>, ProgramError>> {
        self.open(launch.args.last().unwrap());
        // As a launcher does that becomes the browser.
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_real_browser_sends_the_form_and_comes_back() {
    let Some(program) = chromium() else { return };
    let browser = Arc::new(Chromium::new(&program));
    let (sandbox, _directory) = start(LoginPage::Script).await;
    let login = Login::new(&*sandbox.endpoints().oidc).with_deadline(Duration::from_secs(90));
    let host = host(Arc::clone(&browser) as Arc<dyn Programs>);
    let token = login.log_in(&host, &SystemLoopback, &FakeUser::default()).await.unwrap();
    assert_eq!(token.claims().email(), Some(LOGIN_EMAIL));
    browser.close().await;
}

#[tokio::test]
async fn a_real_browser_lets_a_device_in() {
    let Some(program) = chromium() else { return };
    let browser = Arc::new(Chromium::new(&program));
    let (sandbox, _directory) = start(LoginPage::Script).await;
    let login = Login::new(&*sandbox.endpoints().oidc)
        .with_flow(Flow::Device)
        .with_deadline(Duration::from_secs(90));
    let other = Arc::clone(&browser);
    let person = FakeUser::reacting(move |notice| {
        if let Notice::Device { complete_url: Some(url), .. } = notice {
            other.open(url);
        }
    });
    let host = host(Arc::new(host::NoPrograms));
    let token = login.log_in(&host, &SystemLoopback, &person).await.unwrap();
    assert_eq!(token.claims().email(), Some(LOGIN_EMAIL));
    browser.close().await;
}
