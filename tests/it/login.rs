//! A person logs in, and signs.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::{CallPolicy, Redirects, Transport as _};
use http::Request;
use http_client::{HttpClient, Settings};
use sandbox::{Fault, LOGIN_EMAIL, LoginPage, SECRET_CLIENT};

use harness::{Outcome, Program, Setup, by};

const DEVICE: [&str; 2] = ["--fulcio-auth-flow", "device"];
const NORMAL: [&str; 2] = ["--fulcio-auth-flow", "normal"];

fn direct() -> Setup {
    Setup::with(|config| config.login = LoginPage::Direct)
}

/// The page at `url`, or where it redirects to.
fn browse(url: &str) -> String {
    let policy = CallPolicy::new().with_redirects(Redirects::DropCredentials);
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = HttpClient::new(&Settings::new());
    let page = runtime.block_on(client.send(request, &policy)).unwrap();
    String::from_utf8(page.into_body().to_vec()).unwrap()
}

/// A launcher that leaves the URL in a file and never ends by itself.
fn launcher(setup: &Setup) -> std::path::PathBuf {
    let directory = setup.path("bin");
    std::fs::create_dir(&directory).unwrap();
    let launcher = directory.join("xdg-open");
    let url = setup.path("url");
    let script =
        format!("#!/bin/sh\necho \"$1\" > {0}.new; mv {0}.new {0}; sleep 20\n", url.display());
    std::fs::write(&launcher, script).unwrap();
    std::fs::set_permissions(&launcher, std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// Waits for the launcher's file.
fn url_in(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(url) = std::fs::read_to_string(path) {
            return url.trim().to_owned();
        }
        assert!(Instant::now() < deadline, "no browser was launched");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn with_launcher(setup: &Setup, program: Program) -> Program {
    program.env("PATH", format!("{}:/usr/bin:/bin", launcher(setup).display()))
}

fn verified(setup: &Setup, file: &Path) {
    let issuer = &setup.sandbox.endpoints().oidc;
    let policy = by(LOGIN_EMAIL, issuer);
    setup.program().arg("verify-blob").args(policy).arg(file).run().ends(0);
}

#[test]
fn a_person_signs_with_the_browser() {
    let setup = direct();
    let file = setup.write("a", "content");
    let program = setup.program().arg("sign-blob").args(NORMAL).arg(&file);
    let child = with_launcher(&setup, program).spawn();
    let page = browse(&url_in(&setup.path("url")));
    assert!(page.contains("You can close this window"), "{page}");
    let started = Instant::now();
    let outcome = Outcome::new(child.wait_with_output().unwrap()).ends(0);
    assert!(started.elapsed() < Duration::from_secs(10), "the launcher was waited for");
    outcome.says(&[LOGIN_EMAIL, "a public log", "Log in with the browser", "/email/auth?"]);
    verified(&setup, &file);
}

#[test]
fn a_person_signs_many_files_with_one_login_on_another_device() {
    let setup = direct();
    let files: Vec<_> = (0..5).map(|n| setup.write(&format!("f{n}"), format!("{n}"))).collect();
    let outcome = setup.program().arg("sign-blob").args(DEVICE).args(&files).run().ends(0);
    assert_eq!(outcome.stderr.matches("open this page").count(), 1, "{outcome:#?}");
    outcome.says(&["/email/device?user_code="]);
    files.iter().for_each(|file| verified(&setup, file));
}

#[test]
fn there_is_no_prompt_without_a_terminal() {
    let setup = direct();
    let file = setup.write("a", "content");
    let sign = || setup.program().arg("sign-blob").arg(&file);
    // No terminal.
    sign().run().ends(1).says(&["no ambient identity found"]).hides("Log in");
    // A job, even where one is asked for.
    for marker in ["CI", "JENKINS_URL"] {
        let text = format!("an interactive login is not possible in a CI job: {marker} is set");
        sign().args(DEVICE).env(marker, "1").run().ends(2).says(&[&text]);
        let outcome = sign().env(marker, "1").at_a_terminal().run();
        assert_ne!(outcome.code, 0);
        outcome.hides("Log in");
    }
    let outcome = sign().args(["--fulcio-auth-flow", "token"]).at_a_terminal().run();
    assert!(outcome.stdout.contains("no ambient identity found"), "{outcome:#?}");
}

#[test]
fn the_machines_identity_comes_before_a_login_unless_a_login_is_asked_for() {
    let setup = direct();
    let file = setup.write("a", "content");
    let outcome = setup.workload().arg("sign-blob").arg(&file).at_a_terminal().run().ends(0);
    assert!(outcome.stdout.contains(&setup.workload_id()), "{outcome:#?}");
    setup.workload().arg("sign-blob").args(DEVICE).arg(&file).run().ends(0);
    verified(&setup, &file);
}

#[test]
fn one_identity_is_named_and_no_other() {
    let setup = direct();
    let file = setup.write("a", "content");
    let sign = |flags: &[&str]| {
        setup.program().arg("sign-blob").args(DEVICE).args(flags).arg(&file).run().ends(2)
    };
    sign(&["--identity-token", "x"])
        .says(&["--fulcio-auth-flow cannot be used with --identity-token"]);
    sign(&["--oidc-provider", "spiffe"])
        .says(&["--fulcio-auth-flow cannot be used with --oidc-provider"]);
    sign(&["--oidc-redirect-url", "https://example.com/"]).says(&["its scheme is not http"]);
    let setup = setup.program().args(["sign-blob", "--fulcio-auth-flow", "other", "a"]);
    setup.run().ends(2).says(&["possible values: device, normal, token"]);
}

#[test]
fn another_issuer_and_a_client_with_a_secret() {
    let setup = direct();
    let file = setup.write("a", "content");
    let secret = setup.write("secret", format!("{}\n", SECRET_CLIENT.1));
    let sign = |issuer: &str| {
        let issuer = format!("{}/{issuer}", setup.sandbox.oidc());
        setup.program().arg("sign-blob").args(DEVICE).args(["--oidc-issuer", &issuer]).arg(&file)
    };
    sign("dex").run().ends(0);
    sign("nobody").run().ends(1).says(&["the login failed", "HTTP status 404"]);
    sign("github").run().ends(1).says(&["the device flow", "--fulcio-auth-flow normal"]);
    let client = ["--oidc-client-id", SECRET_CLIENT.0];
    let wrong = setup.write("wrong", "wrong");
    sign("dex")
        .args(client)
        .arg("--oidc-client-secret-file")
        .arg(&wrong)
        .run()
        .ends(1)
        .says(&["invalid_client", "hint: check --oidc-client-id"]);
    // The login works; the token is for a client that Fulcio does not know.
    let outcome = sign("dex").args(client).arg("--oidc-client-secret-file").arg(&secret).run();
    outcome.ends(1).says(&["audience", SECRET_CLIENT.0]).hides(SECRET_CLIENT.1);
}

#[test]
fn a_login_that_fails_says_why_and_what_to_do() {
    for (fault, texts) in [
        (Fault::LoginDenied, ["the login failed", "the login was denied"]),
        (Fault::LoginForged, ["cannot be trusted", "does not verify with the issuer's key"]),
        (
            Fault::DeviceExpired,
            ["the login in another device was not finished", "run the command again"],
        ),
        (Fault::TokenExpired, ["it expired 60 s ago", "compare the clock of this machine"]),
    ] {
        let setup = Setup::with(|config| {
            config.login = LoginPage::Direct;
            config.faults.insert(fault);
        });
        let file = setup.write("a", "content");
        let outcome = setup.program().arg("sign-blob").args(DEVICE).arg(&file).run().ends(1);
        outcome.says(&texts).hides("eyJ");
    }
}

#[cfg(unix)]
#[test]
fn the_time_that_a_person_takes_does_not_count_and_can_be_interrupted() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    for (flow, place) in [(DEVICE, "on another device"), (NORMAL, "in the browser")] {
        let program = setup.program().args(["sign-blob", "--timeout", "2s"]).args(flow).arg(&file);
        let program = if flow == NORMAL { with_launcher(&setup, program) } else { program };
        let mut child = program.spawn();
        std::thread::sleep(Duration::from_secs(4));
        assert!(child.try_wait().unwrap().is_none(), "{place}");
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let text = format!("waiting for the login {place}");
        Outcome::new(child.wait_with_output().unwrap()).ends(130).says(&["interrupted", &text]);
    }
}

/// A terminal with a person before it.
struct TerminalUser {
    child: Child,
    keyboard: ChildStdin,
    screen: BufReader<Box<dyn Read>>,
    seen: String,
}

impl TerminalUser {
    fn take(program: Program) -> Self {
        let mut child = program.at_a_terminal().spawn();
        let keyboard = child.stdin.take().unwrap();
        let screen: Box<dyn Read> = Box::new(child.stdout.take().unwrap());
        Self { child, keyboard, screen: BufReader::new(screen), seen: String::new() }
    }

    /// Reads until a line holds a URL after a line that holds `text`.
    fn url_after(&mut self, text: &str) -> String {
        loop {
            let start = self.seen.find(text);
            let after = start.map(|start| &self.seen[start..]).unwrap_or_default();
            let mut lines = after.lines().map(str::trim);
            let complete = after.ends_with('\n');
            if let Some(url) = lines.find(|line| line.starts_with("http")).filter(|_| complete) {
                return url.to_owned();
            }
            let mut line = String::new();
            assert_ne!(self.screen.read_line(&mut line).unwrap(), 0, "{}", self.seen);
            self.seen.push_str(&line);
        }
    }

    /// Reads until `text` is on the screen, or nothing more comes.
    fn watch_for(&mut self, text: &str) {
        let mut line = String::new();
        while !self.seen.contains(text) && self.screen.read_line(&mut line).unwrap() > 0 {
            self.seen.push_str(&std::mem::take(&mut line));
        }
    }

    fn leave(mut self) -> (bool, String) {
        drop(self.keyboard);
        self.screen.read_to_string(&mut self.seen).unwrap();
        (self.child.wait().unwrap().success(), self.seen)
    }
}

#[test]
fn at_a_terminal_without_a_browser_the_code_is_typed() {
    let setup = direct();
    let file = setup.write("a", "content");
    let mut seat = TerminalUser::take(setup.program().arg("sign-blob").arg(&file));
    let url = seat.url_after("type the code that it shows");
    assert!(seat.seen.contains("Cannot open a browser: there is no xdg-open."));
    let page = browse(&url);
    let (_, code) = page.split_once("readonly value=\"").unwrap();
    let code = code.split('"').next().unwrap();
    writeln!(seat.keyboard, "{code}").unwrap();
    seat.watch_for("signed ");
    let (success, seen) = seat.leave();
    assert!(success, "{seen}");
    verified(&setup, &file);
}

#[test]
fn at_a_terminal_the_page_may_be_opened_by_hand() {
    let setup = direct();
    let file = setup.write("a", "content");
    let mut seat = TerminalUser::take(setup.program().arg("sign-blob").arg(&file));
    let url = seat.url_after("If it does not open, use:");
    assert!(browse(&url).contains("You can close this window"));
    seat.watch_for("signed ");
    let (success, seen) = seat.leave();
    assert!(success, "{seen}");
    verified(&setup, &file);
}
