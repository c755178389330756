//! What a person sees at a terminal.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Program, Reply, Setup};

/// Runs `program` at a terminal until it has written `text`, then presses Ctrl-C. Returns its exit
/// code and everything that the terminal got.
fn interrupted_at(program: Program, text: &str) -> (Option<i32>, String) {
    typed_at(program, &[(text, "\x03")])
}

/// Runs `program` at a terminal and types each text when it has written the one before it. Returns
/// its exit code and everything that the terminal got.
fn typed_at(program: Program, typed: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut child = program.env("TERM", "xterm").at_a_terminal().spawn();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    let holds = |seen: &[u8], text| String::from_utf8_lossy(seen).contains(text);
    for (text, keys) in typed {
        while !holds(&seen, text) {
            let read = screen.read(&mut chunk).unwrap();
            assert_ne!(read, 0, "it ended: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&chunk[..read]);
        }
        // The line is drawn several times a second.
        std::thread::sleep(Duration::from_millis(500));
        keyboard.write_all(keys.as_bytes()).unwrap();
    }
    screen.read_to_end(&mut seen).unwrap();
    (child.wait().unwrap().code(), String::from_utf8_lossy(&seen).into_owned())
}

/// The lines as they stand on the screen at the end: what was cleared is gone.
fn lines(output: &str) -> Vec<String> {
    let visible = |line: &str| {
        let last = line.rsplit("\u{1b}[2K").next().unwrap_or_default();
        last.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default().to_owned()
    };
    output.split('\n').map(visible).collect()
}

#[test]
fn the_line_of_what_is_waited_for_is_cleared_after_an_interruption() {
    let setup = Setup::with_fault(sandbox::Fault::SlowLog);
    let file = setup.write("a", "content");
    let made = Command::new("mkfifo").arg(setup.path("pipe")).status().unwrap();
    assert!(made.success());
    let key = setup.program().args(["verify-blob", "a", "--offline", "--key", "pipe"]);
    let sign = setup.workload().arg("sign-blob").arg(&file);
    for (program, waiting) in [(key, "reading --key pipe"), (sign, "waiting for the log")] {
        let (code, seen) = interrupted_at(program, waiting);
        assert_eq!(code, Some(130), "{seen}");
        let lines = lines(&seen);
        assert!(lines.iter().any(|line| line.contains("interrupted")), "{seen:?}");
        let left = lines.iter().find(|it| it.contains(waiting) && !it.contains("it was"));
        assert_eq!(left, None, "{seen:?}");
    }
}

#[test]
fn the_password_of_a_key_is_asked_for_and_not_shown() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    let generate = || setup.program().arg("generate-key-pair");
    let asked = ["Password for the new private key", "The same password again"];
    let differ = [(asked[0], "battery staple\n"), (asked[1], "another\n")];
    let (code, seen) = typed_at(generate(), &differ);
    assert_eq!(code, Some(2), "{seen}");
    assert!(!setup.path("cosign.key").exists());
    let (code, seen) = typed_at(generate(), &asked.map(|text| (text, "battery staple\n")));
    assert_eq!(code, Some(0), "{seen}");
    assert!(!seen.contains("battery"), "{seen}");

    let sign = || setup.program().args(["sign-blob", "--key", "cosign.key"]).arg(&file);
    let asked = "Password of the private key";
    let (code, seen) = typed_at(sign(), &[(asked, "wrong\n")]);
    assert_eq!(code, Some(1), "{seen}");
    assert!(seen.contains("the password does not decrypt the private key"), "{seen}");
    let (code, seen) = typed_at(sign(), &[(asked, "battery staple\n")]);
    assert_eq!(code, Some(0), "{seen}");
    assert!(!seen.contains("battery"), "{seen}");
    let (code, seen) = typed_at(sign(), &[(asked, "\x03")]);
    assert_eq!(code, Some(130), "{seen}");
}

#[test]
fn progress_is_drawn_after_the_trusted_root_was_refreshed() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    // Without the variables that name a trusted root, so that TUF provides it.
    let bare = || Program::new(setup.directory());
    let initialize = bare().args(["initialize", "--mirror", setup.sandbox.tuf_url(), "--root"]);
    initialize.arg(setup.sandbox.tuf_root()).run().ends(0);
    let socket = format!("unix://{}", setup.sandbox.spiffe_socket().display());
    let sign = bare().env("SPIFFE_ENDPOINT_SOCKET", socket).arg("sign-blob").arg(&file);
    let sign = sign.env("TERM", "xterm").at_a_terminal().run().ends(0);
    let refreshed = sign.stdout.find("refreshing the trusted root").expect("the refresh is drawn");
    let logged = sign.stdout.rfind("waiting for the log").expect("the log is drawn");
    assert!(refreshed < logged, "{sign:#?}");
}

#[test]
fn inspect_shows_each_image_while_it_looks() {
    let setup = Setup::new();
    let images = [setup.image("demo/one"), setup.image("demo/two")];
    let inspect =
        setup.program().arg("inspect").args(&images).env("TERM", "xterm").at_a_terminal().run();
    for image in &images {
        let drawn = format!("looking for signatures of {image}");
        assert!(inspect.stdout.contains(&drawn), "{inspect:#?}");
    }
}

/// What stands on the screen of a terminal of so many columns after `line` was run in it by tmux,
/// with its colours; `None` where there is no tmux.
pub(crate) fn screen(setup: &Setup, columns: usize, line: &str) -> Option<String> {
    // A server of its own: the one before may still be ending.
    static SERVERS: AtomicUsize = AtomicUsize::new(0);
    let number = SERVERS.fetch_add(1, Ordering::Relaxed);
    let socket = setup.path(&format!("tmux-{number}")).display().to_string();
    let tmux = |args: &[&str]| {
        let mut tmux = Command::new("tmux");
        tmux.args(["-S", &socket, "-f", "/dev/null"]).args(args).env_clear();
        tmux.env("PATH", "/usr/bin:/bin").env("TERM", "xterm-256color").env("HOME", setup.path(""));
        tmux.env("LC_ALL", "C.UTF-8").output()
    };
    let Ok(version) = tmux(&["-V"]) else {
        harness::skip("no tmux");
        return None;
    };
    assert!(version.status.success());
    let done = setup.path("done");
    let _ = std::fs::remove_file(&done);
    let script =
        setup.write("screen.sh", format!("{line}\ntouch '{}'\nsleep 60\n", done.display()));
    let width = columns.to_string();
    let run = format!("sh '{}'", script.display());
    let size = ["new-session", "-d", "-x", &width, "-y", "200", &run];
    assert!(tmux(&size).unwrap().status.success());
    for _ in 0..3000 {
        if done.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(done.exists(), "{line} did not end");
    // The last bytes may still be on their way to the screen.
    std::thread::sleep(Duration::from_millis(200));
    let seen = tmux(&["capture-pane", "-p", "-e"]).unwrap();
    assert!(tmux(&["kill-server"]).unwrap().status.success());
    Some(String::from_utf8(seen.stdout).unwrap())
}

/// A line of a shell that runs the program in the environment of a GitHub job.
fn in_a_job(setup: &Setup, variables: &str, arguments: &str) -> String {
    let pairs = setup.sandbox.trust_env().into_iter().chain(setup.sandbox.github_env());
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}='{value}'")).collect();
    let (pairs, program) = (pairs.join(" "), harness::ambisign());
    format!(
        "cd '{}'; {pairs} {variables} {} {arguments}",
        setup.path("").display(),
        program.display()
    )
}

#[test]
fn the_table_of_identities_fits_every_terminal() {
    let setup = Setup::new();
    for columns in [60, 80, 120] {
        let line = in_a_job(&setup, "", "identity");
        let Some(screen) = screen(&setup, columns, &line) else { return };
        let lines: Vec<_> = screen.lines().map(str::trim_end).filter(|it| !it.is_empty()).collect();
        assert!(lines.len() > 5, "{screen}");
        // What does not fit is broken by the program between words, and not by the terminal: no line
        // begins in the middle of a word.
        let names: Vec<_> = lines.iter().filter(|line| line.contains("github-actions")).collect();
        assert!(!names.is_empty(), "{columns}: {screen}");
    }
}

#[test]
fn an_inspection_is_readable_on_every_terminal() {
    let setup = Setup::new();
    let file = setup.write("a", "content");
    setup.job().arg("sign-blob").arg(&file).run().ends(0);
    for columns in [60, 80, 120] {
        let line = in_a_job(&setup, "", "inspect a.sigstore.json");
        let Some(screen) = screen(&setup, columns, &line) else { return };
        for check in ["signature holds", "transparency log holds", "certificate chain holds"] {
            assert!(screen.contains(check), "{columns}: {screen}");
        }
    }
}

#[test]
fn colours_are_for_terminals_and_the_two_variables_decide_otherwise() {
    let setup = Setup::new();
    const ESCAPE: char = '\u{1b}';
    let at = |variables: &str| screen(&setup, 80, &in_a_job(&setup, variables, "verify-blob none"));
    let Some(coloured) = at("") else { return };
    assert!(coloured.contains("error:") && coloured.contains(ESCAPE), "{coloured:?}");
    let plain = at("NO_COLOR=1").unwrap();
    assert!(plain.contains("error:") && !plain.contains(ESCAPE), "{plain:?}");
    let piped = |name: &str| {
        let program = setup.program().args(["verify-blob", "none"]);
        if name.is_empty() { program } else { program.env(name, "1") }.run().stderr
    };
    assert!(!piped("").contains(ESCAPE));
    assert!(piped("CLICOLOR_FORCE").contains(ESCAPE));
    assert!(!piped("NO_COLOR").contains(ESCAPE));
}

#[test]
fn many_images_are_counted_while_they_are_signed_and_the_rest_is_named_after_an_interruption() {
    let setup = Setup::new();
    let slow = setup.hostile_registry(|request| {
        if request.is("PUT", "/manifests/") {
            std::thread::sleep(Duration::from_millis(300));
        }
        Reply::Forward
    });
    let images: Vec<_> = (0..40).map(|number| setup.image(&format!("demo/app{number}"))).collect();
    let images = images.join("\n").replace(setup.sandbox.registry(), slow.address());
    setup.write("list", images);
    let sign = || setup.workload().args(["sign", "--jobs", "2", "--from-file"]);

    let (code, seen) = interrupted_at(sign().arg("list"), "5/40");
    assert_eq!(code, Some(130), "{seen}");
    let shown = lines(&seen);
    assert!(!shown.iter().any(|line| line.contains("5/40")), "{shown:?}");
    let rest = shown.iter().find(|line| line.contains("ambisign-not-done-"));
    let rest = rest.unwrap_or_else(|| panic!("{shown:?}"));
    let (_, name) = rest.split_once("ambisign-not-done-").unwrap();
    let rest = format!("ambisign-not-done-{}", name.split_once(".txt").unwrap().0) + ".txt";
    assert!(shown.iter().any(|line| line.starts_with("signed ")), "{shown:?}");

    // What is not done is signed at another terminal, up to the last one.
    let left = std::fs::read_to_string(setup.path(&rest)).unwrap().lines().count();
    assert!((1..40).contains(&left), "{left}");
    let (code, seen) = typed_at(sign().arg(&rest), &[]);
    assert_eq!(code, Some(0), "{seen}");
    assert!(
        seen.contains(&format!("1/{left}")) && seen.contains(&format!("signed {left}, ")),
        "{seen}"
    );
}

/// What `-d` shows is what we do and what we ask, and nothing of libraries below.
#[test]
fn the_debugging_output_shows_our_steps_and_requests_and_no_library_s_own() {
    let setup = Setup::new();
    let image = setup.image("demo/app");
    let outcome = setup.workload().args(["sign", "-d", &image]).run().ends(0);
    let targets: std::collections::BTreeSet<_> =
        outcome.stderr.lines().filter(|line| line.contains("DEBUG")).collect();
    for of_ours in ["registry request", "/v2/demo/app/manifests/", "/api/v2/signingCert"] {
        assert!(targets.iter().any(|line| line.contains(of_ours)), "{of_ours}\n{}", outcome.stderr);
    }
    for library in ["hyper", "rustls", "h2::", "tower", "tonic", "tokio"] {
        assert!(!outcome.stderr.contains(library), "{library}\n{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("eyJ"), "a token is shown\n{}", outcome.stderr);
}
