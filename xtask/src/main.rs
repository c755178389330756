//! The tasks of this workspace: `cargo xtask <task>`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod bench;
mod ci;
mod circles;
mod codegen;
mod conformance;
mod debian;
mod demo;
mod dist;
mod duplicates;
mod go;
mod measure;
mod peers;
mod readme;
mod source;
mod stage;
mod tidy;
mod words;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask <task>

  demo [--registry docker-registry|HOST:PORT]
                     sign and verify an image on a Sigstore that runs on this machine
  test [--quick] [ARGS...]
                     everything that can be tested here; quick: only the unit tests and the
                     invariants (other arguments go to cargo test)
  peers              fetch cosign, oras, docker-registry, sigstore-go, sigstore-python, sigstore-rust
                     and the platforms' own clients into target/peers; needs no root
  interop [ARGS...]  both directions of every pair with the peers
  conformance [--suite DIR]
                     the cases of sigstore-conformance in tests/fixtures, or of another directory of
                     that shape
  bench [NAME...] [--list] [--rounds N] [--program FILE] [--build] [--clean-build]
        [--as-built]
                     what the program costs, beside cosign and others, with and without delays;
                     writes target/bench/report.md, report.json and charts; build: only build what
                     is measured; clean-build: measure a build from nothing as well; as-built: with
                     this task as it is, soon there and with slower services
  bench --publish    write docs/costs.md and the README's table from target/bench/report.json
  instructions [--keep] [--program FILE]
                     compare instruction counts and memory of small scenarios with
                     xtask/kept-costs.json, or keep what is found
  dist [--check] [--image] [--push REGISTRY] [--sign] [--rehearse]
                     a release in target/dist: static programs, completions, manual pages, licences,
                     SBOM, provenance and sums; check: build twice and compare; image: as OCI
                     images, and push them; sign: with the identity found here; rehearse: sign,
                     push and verify all of it on a Sigstore of this machine
  tidy               the architecture's invariants
  codegen [--check]  generate the code of proto/, or compare it
  advisories         ask the database of advisories about every dependency; needs the network
  ci                 what has to pass before a change lands
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match workspace::leave_package().and_then(|()| run(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let (task, rest) = arguments
        .split_first()
        .map_or(("help", [].as_slice()), |(task, rest)| (task.as_str(), rest));
    match task {
        "demo" => demo::run(rest),
        "test" => ci::test(rest),
        "peers" => peers::fetch().map(drop),
        "interop" => ci::interop(rest),
        "bench" => bench::run(rest),
        "instructions" => bench::instructions(rest),
        // The last two are the suite's own commands: this program is the client it is given.
        "conformance" | "sign-bundle" | "verify-bundle" => conformance::run(task, rest),
        "dist" => dist::run(rest),
        "tidy" => tidy::run(),
        "codegen" => codegen::run(rest.iter().any(|argument| argument == "--check")),
        "advisories" => ci::advisories(),
        "ci" => ci::run(),
        // Not a task for people: it runs a program and tells what it cost.
        "measure" => measure::run(rest),
        "help" | "-h" | "--help" => {
            print!("{USAGE}");
            Ok(())
        }
        other => bail!("there is no task {other:?}\n\n{USAGE}"),
    }
}
