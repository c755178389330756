//! The console blocks of the README and of docs/, run.
//!
//! Names of real services stand for the sandbox's while a block runs, and the other way round
//! in what it prints. The comment before a block says who runs it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use sandbox::{GithubJob, Registration};
use spiffe_workload_api::SpiffeId;

use harness::Setup;

const REGISTRY: &str = "ghcr.io";
const IMAGE: &str = "acme/app";
const GITHUB: &str = "https://token.actions.githubusercontent.com";
const SPIRE: &str = "https://spire.acme.example";
const SOCKET: &str = "/run/spire/agent.sock";
const TUF: &str = "https://tuf.acme.example";
const TUF_ROOT: &str = "tuf-root.json";

#[test]
fn every_console_block_of_the_readme_and_the_docs_prints_what_it_says() {
    let setup = Setup::with(|config| {
        config.github_job = GithubJob { repository: IMAGE.to_owned(), ..GithubJob::default() };
        config.registrations = vec![Registration {
            spiffe_id: SpiffeId::parse("spiffe://acme.example/ns/ci/sa/builder").unwrap(),
            hint: String::new(),
        }];
    });
    setup.image(IMAGE);
    setup.write("app.tar", "an archive");
    let pages = pages();
    for (name, content) in pages.iter().flat_map(|page| files(page)) {
        setup.write(&name, to_sandbox(&setup, &content));
    }
    let blocks: Vec<Block> = pages.iter().flat_map(|page| blocks(page)).collect();
    assert!(blocks.len() >= 9, "the README and the docs lost their blocks");
    let wrong: Vec<String> = blocks.iter().flat_map(|block| block.run(&setup)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_to_be_filled_in() {
    let readmes = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
    let crates = readmes
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("README.md")).ok());
    let texts: Vec<_> = crates.chain(pages()).collect();
    assert!(texts.len() > 20);
    for text in texts {
        for (number, line) in text.lines().enumerate() {
            for mark in ["@@", "TODO", "TBD", "FIXME", "XXX"] {
                assert!(!line.contains(mark), "{}: {line}", number + 1);
            }
        }
    }
}

#[test]
fn every_command_outside_of_console_blocks_is_one_that_something_runs() {
    // What runs them: the demonstration's own test, CI (which builds the release program by
    // `cargo xtask dist`), the tests with the peers, and for the sandbox's program a test of xtask.
    let known = [
        "sigstore-sandbox --port 0 --state sandbox &",
        "until [ -f sandbox/env ]; do sleep 0.1; done",
        ". sandbox/env # be a GitHub job, and trust this sandbox",
        "ambisign sign-blob --output json README.md",
        "kill $!",
        "cargo xtask demo",
        "cargo xtask test",
        "cargo xtask peers",
        "cargo xtask bench",
        "cargo build --release --locked -p ambisign",
    ];
    for page in pages() {
        let mut inside = false;
        for line in page.lines() {
            match line {
                "```sh" => inside = true,
                "```" => inside = false,
                command if inside => assert!(known.contains(&command), "nothing runs {command:?}"),
                _ => {}
            }
        }
    }
}

/// A block, who runs it, and the lines in it.
struct Block {
    identity: String,
    steps: Vec<Step>,
}

struct Step {
    command: String,
    output: String,
}

impl Block {
    /// What differs from what the block says.
    fn run(&self, setup: &Setup) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut code = 0;
        for Step { command, output } in &self.steps {
            let found = if command == "echo $?" {
                format!("{code}\n")
            } else {
                let run = self.shell(setup, command);
                code = run.status.code().unwrap();
                let both = [run.stdout, run.stderr].concat();
                to_readme(setup, &String::from_utf8(both).unwrap())
            };
            if !matches(output, &found) {
                wrong.push(format!("$ {command}\nexpected:\n{output}\nfound:\n{found}"));
            }
        }
        wrong
    }

    fn shell(&self, setup: &Setup, command: &str) -> std::process::Output {
        let program = harness::ambisign();
        let path = format!("{}:/usr/bin:/bin", program.parent().unwrap().display());
        let mut env = setup.sandbox.trust_env();
        match self.identity.as_str() {
            "a GitHub job" => env.extend(setup.sandbox.github_env()),
            "a GitHub job without its permission" => {
                env.push(("GITHUB_ACTIONS".to_owned(), "true".to_owned()));
            }
            "a SPIFFE workload" | "anyone" => {}
            other => panic!("nobody is called {other:?}"),
        }
        Command::new("sh")
            .args(["-c", &to_sandbox(setup, command)])
            .env_clear()
            .env("PATH", path)
            .env("HOME", setup.path(""))
            .envs(env)
            .current_dir(setup.path(""))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

/// Pairs of the README's names and the sandbox's.
fn names(setup: &Setup) -> [(&'static str, String); 6] {
    [
        (TUF, setup.sandbox.tuf_url().trim_end_matches('/').to_owned()),
        (TUF_ROOT, setup.sandbox.tuf_root().display().to_string()),
        (GITHUB, setup.sandbox.github_issuer()),
        (SPIRE, setup.sandbox.spiffe_issuer()),
        (SOCKET, setup.sandbox.spiffe_socket().display().to_string()),
        (REGISTRY, setup.sandbox.registry().to_owned()),
    ]
}

fn to_sandbox(setup: &Setup, text: &str) -> String {
    names(setup).iter().fold(text.to_owned(), |text, (ours, theirs)| text.replace(ours, theirs))
}

fn to_readme(setup: &Setup, text: &str) -> String {
    names(setup).iter().fold(text.to_owned(), |text, (ours, theirs)| text.replace(theirs, ours))
}

/// Whether `found` is what `expected` says, where `...` stands for anything within a line.
fn matches(expected: &str, found: &str) -> bool {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    expected.len() == found.len()
        && expected.iter().zip(found).all(|(expected, found)| line_matches(expected, found))
}

fn line_matches(expected: &str, found: &str) -> bool {
    let mut parts = expected.split("...");
    let Some(mut rest) = found.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

/// The files that the README shows, by the comment before each.
fn files(readme: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        let name = line.strip_prefix("<!-- the file ").and_then(|rest| rest.strip_suffix(" -->"));
        if let Some(name) = name {
            let content = lines.by_ref().skip(1).take_while(|line| *line != "```");
            files.push((name.to_owned(), content.collect::<Vec<_>>().join("\n")));
        }
    }
    files
}

fn blocks(readme: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut identity = None;
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if let Some(who) = line.strip_prefix("<!-- run by ") {
            identity = who.strip_suffix(" -->").map(str::to_owned);
        }
        if line != "```console" {
            continue;
        }
        let mut steps: Vec<Step> = Vec::new();
        let mut continued = false;
        for line in lines.by_ref().take_while(|line| *line != "```") {
            let (text, more) = match line.strip_suffix('\\') {
                Some(text) => (text, true),
                None => (line, false),
            };
            if let Some(command) = text.strip_prefix("$ ").filter(|_| !continued) {
                steps.push(Step { command: command.to_owned(), output: String::new() });
            } else if let Some(step) = steps.last_mut() {
                let target = if continued { &mut step.command } else { &mut step.output };
                target.push_str(text);
                if !continued {
                    target.push('\n');
                }
            }
            continued = more;
        }
        let identity = identity.take().expect("a comment says who runs the block");
        blocks.push(Block { identity, steps });
    }
    blocks
}

/// The README, then the pages of docs/ by name: later ones build on what earlier ones did.
fn pages() -> Vec<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let entries = std::fs::read_dir(format!("{root}/docs")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort();
    paths.insert(0, format!("{root}/README.md").into());
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}
