//! What a person sees at a terminal.

use std::io::{Read as _, Write as _};
use std::process::Command;
use std::time::Duration;

use harness::{Program, Setup};

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
