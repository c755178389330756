//! The tests, and what has to pass before a change lands.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

use crate::{bench, codegen, dist, peers, tidy, workspace};

/// The release of cargo-deny that CI installs below target/tools.
const CARGO_DENY: &str = "0.20.2";

/// The largest that the stripped release program may become, in bytes.
const SIZE_LIMIT: u64 = 8_000_000;

/// The task `test`: the command that the README gives.
pub(crate) fn test(arguments: &[String]) -> Result<()> {
    if let Some((_, rest)) = arguments.split_first().filter(|(first, _)| *first == "--quick") {
        return test_quick(rest);
    }
    let shell = workspace::shell()?;
    cmd!(shell, "cargo test --workspace --locked {arguments...}").quiet().run()?;
    if !workspace::target().join("peers/usr/bin/cosign").is_file() {
        ensure!(std::env::var_os("CI").is_none(), "no peers: in CI no test is left out");
        eprintln!(
            "note: no peers in target/peers, so the tests with them were ignored: \
             `cargo xtask peers` fetches them"
        );
        return Ok(());
    }
    // Whoever names a suite wants that one.
    if arguments.iter().take_while(|it| *it != "--").any(|it| it.starts_with('-')) {
        return Ok(());
    }
    // Their features are those of the whole workspace, so that nothing is compiled again.
    let suites = ["--test", "it", "--test", "interop", "--bin", "xtask"];
    let with_peers = with(WITH_PEERS, arguments);
    cmd!(shell, "cargo test --workspace --locked {suites...} {with_peers...}").quiet().run()?;
    Ok(())
}

/// The task `test --quick`: the unit tests of every crate, and the invariants.
fn test_quick(arguments: &[String]) -> Result<()> {
    let shell = workspace::shell()?;
    // These start programs and whole sandboxes.
    let slow = ["demo::", "the_sandbox_that_the_readme_starts"];
    let slow: Vec<_> = slow.iter().flat_map(|name| ["--skip", name]).collect();
    let arguments = with(&slow, arguments);
    cmd!(shell, "cargo test --workspace --locked --lib --bins {arguments...}").quiet().run()?;
    Ok(())
}

/// Runs the ignored tests, apart from the one that writes fixtures.
const WITH_PEERS: &[&str] = &["--ignored", "--skip", "record::"];

/// `arguments` of `cargo test`, with `options` of the test programs.
fn with<'a>(options: &[&'a str], arguments: &'a [String]) -> Vec<&'a str> {
    let mut arguments = arguments.splitn(2, |argument| argument == "--");
    let [cargo, programs] = [arguments.next(), arguments.next()].map(Option::unwrap_or_default);
    let words = |part: &'a [String]| part.iter().map(String::as_str);
    let options = ["--"].into_iter().chain(options.iter().copied());
    words(cargo).chain(options).chain(words(programs)).collect()
}

/// The task `interop`: the tests with the peers, which are fetched when they are missing.
pub(crate) fn interop(arguments: &[String]) -> Result<()> {
    peers::fetch()?;
    let shell = workspace::shell()?;
    // The examples run the sandbox as a program of its own.
    workspace::build_programs()?;
    let arguments = with(WITH_PEERS, arguments);
    cmd!(shell, "cargo test --locked -p ambisign --test interop {arguments...}").quiet().run()?;
    Ok(())
}

/// The task `ci`. Ends with the tests, so that their summary comes last.
pub(crate) fn run() -> Result<()> {
    let shell = workspace::shell()?;
    step("formatting", || Ok(cmd!(shell, "cargo fmt --all --check").quiet().run()?))?;
    step("invariants", tidy::run)?;
    step("generated code", || codegen::run(true))?;
    step("peers", || peers::fetch().map(drop))?;
    step("lints", || {
        let warnings = ["-D", "warnings"];
        let clippy = cmd!(shell, "cargo clippy --workspace --all-targets --locked");
        Ok(clippy.arg("--").args(warnings).quiet().run()?)
    })?;
    step("licences and bans", || deny(&shell, &["licenses", "bans", "sources"]))?;
    step("documentation", || {
        let _flags = shell.push_env("RUSTDOCFLAGS", "-D warnings");
        let doc = cmd!(shell, "cargo doc --workspace --no-deps --locked --quiet");
        Ok(doc.quiet().run()?)
    })?;
    step("each crate alone", || each_alone(&shell))?;
    step("packaging", || package(&shell))?;
    let mut program = None;
    step("release", || release().map(|built| program = Some(built)))?;
    step("instructions and memory", || bench::instructions_of(program, false))?;
    // Not a step of its own: the runner's summary is to be the last word.
    println!("== tests");
    test(&[])
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let start = std::time::Instant::now();
    println!("== {name}");
    run().with_context(|| format!("{name} failed"))?;
    println!("== {name}: {:.0} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// The task `advisories`: known faults of dependencies. Not a part of `ci`, because the answer changes
/// without a change here.
pub(crate) fn advisories() -> Result<()> {
    deny(&workspace::shell()?, &["advisories"])
}

fn deny(shell: &Shell, checks: &[&str]) -> Result<()> {
    let tools = workspace::target().join("tools");
    let program = tools.join("bin/cargo-deny");
    if !program.is_file() {
        // Compiled for use once: quick to build matters more than quick to run.
        let _optimise = shell.push_env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
        let _lto = shell.push_env("CARGO_PROFILE_RELEASE_LTO", "off");
        let _strip = shell.push_env("CARGO_PROFILE_RELEASE_DEBUG", "false");
        let build = workspace::target().join("tools-build");
        let _target = shell.push_env("CARGO_TARGET_DIR", build);
        cmd!(
            shell,
            "cargo install --quiet --locked --root {tools} cargo-deny --version {CARGO_DENY}"
        )
        .quiet()
        .run()?;
    }
    cmd!(shell, "{program} --log-level error --config .deny.toml check {checks...}")
        .quiet()
        .run()?;
    Ok(())
}

/// Others take the crates one by one: each must do without the features that its neighbours ask of
/// a common dependency.
fn each_alone(shell: &Shell) -> Result<()> {
    for directory in tidy::LAYERS.iter().copied().flatten() {
        let manifest = workspace::root().join("crates").join(directory).join("Cargo.toml");
        cmd!(shell, "cargo check --quiet --locked --all-targets --manifest-path {manifest}")
            .quiet()
            .run()?;
    }
    Ok(())
}

/// A whole release can be made, and its program stays small enough to be fetched in every job.
fn release() -> Result<PathBuf> {
    let program = dist::rehearse()?;
    let bytes = std::fs::metadata(&program)?.len();
    println!("{} has {:.1} MB", program.display(), bytes as f64 / 1e6);
    ensure!(bytes < SIZE_LIMIT, "the release program must stay under {SIZE_LIMIT} bytes");
    Ok(program)
}

/// Every crate packs, with all that its manifest promises.
fn package(shell: &Shell) -> Result<()> {
    let listing = cmd!(
        shell,
        "cargo package --workspace --exclude xtask --exclude harness --no-verify --allow-dirty --locked --quiet"
    );
    listing.quiet().run()?;
    let packed = shell.read_dir(workspace::target().join("package"))?;
    let count = packed.iter().filter(|file| file.extension().is_some_and(|e| e == "crate")).count();
    ensure!(count > 0, "nothing was packed");
    println!("{count} crates packed");
    Ok(())
}
