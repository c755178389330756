//! The flows over real sockets.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::{
    BoxFuture, CallPolicy, Host, Invocation, Launch, ProgramError, ProgramOutput, Programs,
    Redirects, Transport as _,
};
use http::Request;
use http_client::{HttpClient, Settings, SystemClock, SystemLoopback};
use oidc_interactive::{Flow, Login};
use sandbox::{Config, LOGIN_EMAIL, LoginPage, Running, Sandbox};

use crate::fake::FakeUser;

pub(crate) async fn start(page: LoginPage) -> (Running, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { login: page, ..Config::new(directory.path()) };
    (Sandbox::start(config).await.unwrap(), directory)
}

pub(crate) fn host(programs: Arc<dyn Programs>) -> Host {
    Host::new(
        Arc::new(HttpClient::new(&Settings::default())),
        Arc::new([("", "")]),
        Arc::new(SystemClock),
        programs,
    )
}

/// A launcher that ends only when the page it opens has loaded, redirects and all, after the
/// connection that browsers open ahead of need.
struct Waiting;

impl Programs for Waiting {
    fn run(&self, _: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>> {
        unreachable!()
    }

    fn launch(&self, launch: Launch) -> BoxFuture<'_, Result<Option<i32>, ProgramError>> {
        Box::pin(async move {
            let policy = CallPolicy::new().with_redirects(Redirects::DropCredentials);
            let url = launch.args.last().unwrap();
            let request = Request::get(url).body(Bytes::new()).unwrap();
            let page = HttpClient::new(&Settings::default()).send(request, &policy).await.unwrap();
            let text = String::from_utf8(page.into_body().to_vec()).unwrap();
            assert!(text.contains("You can close this window"), "{text}");
            Ok(Some(0))
        })
    }
}

#[tokio::test]
async fn a_launcher_that_waits_for_the_page_does_not_hang_the_login() {
    let (sandbox, _directory) = start(LoginPage::Direct).await;
    let login = Login::new(format!("{}/dex", sandbox.oidc()));
    let host = host(Arc::new(Waiting));
    let person = FakeUser::default();
    let log_in = login.log_in(&host, &SystemLoopback, &person);
    let token = tokio::time::timeout(Duration::from_secs(20), log_in).await.unwrap().unwrap();
    assert_eq!(token.claims().email(), Some(LOGIN_EMAIL));
}

#[tokio::test]
async fn a_device_logs_in_over_the_network() {
    let (sandbox, _directory) = start(LoginPage::Direct).await;
    let login = Login::new(&*sandbox.endpoints().oidc).with_flow(Flow::Device);
    let host = host(Arc::new(host::NoPrograms));
    let token = login.log_in(&host, &SystemLoopback, &FakeUser::default()).await.unwrap();
    assert_eq!(token.claims().email(), Some(LOGIN_EMAIL));
}

#[tokio::test]
async fn the_deadline_holds_over_the_network() {
    let (sandbox, _directory) = start(LoginPage::Form).await;
    let deadline = Duration::from_millis(300);
    let login = Login::new(&*sandbox.endpoints().oidc).with_deadline(deadline);
    for flow in [Flow::Browser, Flow::Device] {
        let host = host(Arc::new(host::NoPrograms));
        let login = login.clone().with_flow(flow);
        let started = std::time::Instant::now();
        let error = login.log_in(&host, &SystemLoopback, &FakeUser::default()).await.unwrap_err();
        assert!(error.to_string().ends_with("within 300ms"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
}
