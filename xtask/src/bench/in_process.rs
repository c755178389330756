//! One bundle verified in process: ours, sigstore-rust, and the signature checks alone.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use xshell::{Shell, cmd};

use super::lab::Lab;
use super::rounds::median;
use crate::workspace;

/// Verifications per second.
pub(crate) struct InProcess {
    ours: f64,
    ours_on_two_cores: f64,
    /// How often the signature checks of one verification can be made.
    checks: f64,
    sigstore_rust: f64,
    /// Medians of the ratios of the rounds.
    of_checks: f64,
    scaling: f64,
    of_sigstore_rust: f64,
}

/// The least throughput as a part of sigstore-rust's, the least on two cores as a part of that on
/// one, and the longest time as a part of the signature checks'.
const GOALS: [f64; 3] = [1.2, 1.8, 1.2];

const ROUNDS: usize = 7;

/// The bundle that both verify, and whose it is.
const BUNDLE: &str = "tests/fixtures/captures/bundles-v1/blob-spiffe.sigstore.json";
const ROOT: &str = "tests/fixtures/captures/bundles-v1/trusted_root.json";
const ARTIFACT: &str = "tests/fixtures/captures/bundles/artifact.txt";
const IDENTITY: &str = "spiffe://example.org/ns/ci/sa/builder";
const ISSUER: &str = "http://localhost:8888";

/// What is measured.
pub(crate) struct Programs {
    ours: PathBuf,
    theirs: PathBuf,
}

/// Builds both as a Rust program would, with opt-level 3.
pub(crate) fn build() -> Result<Programs> {
    let shell = workspace::shell()?;
    Ok(Programs { ours: build_ours(&shell)?, theirs: build_theirs(&shell)? })
}

/// Runs both in turn.
pub(crate) fn run(programs: &Programs, lab: &Lab) -> Result<InProcess> {
    let shell = workspace::shell()?;
    let Programs { ours, theirs } = programs;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        // Each takes half a second.
        lab.stage.go_on()?;
        let one = rate(cmd!(shell, "{ours} rate judge 1"))?;
        let theirs =
            rate(cmd!(shell, "{theirs} rate {ROOT} {BUNDLE} {ARTIFACT} {IDENTITY} {ISSUER}"))?;
        let checks = rate(cmd!(shell, "{ours} rate checks 1"))?;
        let two = rate(cmd!(shell, "{ours} rate judge 2"))?;
        rounds.push([one, two, checks, theirs]);
    }
    let of = |figure: &dyn Fn(&[f64; 4]) -> f64| {
        median(rounds.iter().map(figure).collect()).context("nothing was measured")
    };
    Ok(InProcess {
        ours: of(&|[one, ..]| *one)?,
        ours_on_two_cores: of(&|[_, two, ..]| *two)?,
        checks: of(&|[_, _, checks, _]| *checks)?,
        sigstore_rust: of(&|[.., theirs]| *theirs)?,
        of_checks: of(&|[one, _, checks, _]| checks / one)?,
        scaling: of(&|[one, two, ..]| two / one)?,
        of_sigstore_rust: of(&|[one, .., theirs]| one / theirs)?,
    })
}

fn build_ours(shell: &Shell) -> Result<PathBuf> {
    let level = "profile.bench.opt-level=3";
    let bench = ["--bench", "verification", "--no-run", "--message-format", "json"];
    let build =
        cmd!(shell, "cargo bench --quiet --locked --config {level} -p ambisign-verify {bench...}");
    let messages = build.quiet().read()?;
    let program = messages.lines().rev().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "verification")
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    program.context("cargo names no program for the benchmark `verification`")
}

fn build_theirs(shell: &Shell) -> Result<PathBuf> {
    let manifest = workspace::root().join("xtask/sigstore-rust/Cargo.toml");
    let target = workspace::target().join("peers/sigstore-rust");
    let release = ["build", "--quiet", "--locked", "--release"];
    cmd!(shell, "cargo {release...} --manifest-path {manifest} --target-dir {target}")
        .quiet()
        .run()?;
    Ok(Path::new(&target).join("release/sigstore-rust-peer"))
}

fn rate(command: xshell::Cmd<'_>) -> Result<f64> {
    let text = command.quiet().read()?;
    text.trim().parse().with_context(|| format!("expected a number, found {text:?}"))
}

impl InProcess {
    fn goals(&self) -> [(&'static str, f64, f64, bool); 3] {
        let [of_theirs, scaling, of_checks] = GOALS;
        [
            (
                "throughput as a part of sigstore-rust's, at least",
                self.of_sigstore_rust,
                of_theirs,
                self.of_sigstore_rust >= of_theirs,
            ),
            (
                "two cores as a part of one, at least",
                self.scaling,
                scaling,
                self.scaling >= scaling,
            ),
            (
                "time as a part of its signature checks, at most",
                self.of_checks,
                of_checks,
                self.of_checks <= of_checks,
            ),
        ]
    }

    /// A section of the report.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "\n## One bundle in process\n\nA bundle with an entry of Rekor v1, in verifications per \
             second, everything compiled with opt-level 3.\n\n| | per second |\n|---|---:|\n\
             | ambisign-verify | {:.0} |\n| on two threads | {:.0} |\n| sigstore-verify | {:.0} |\n\
             | the signature checks alone | {:.0} |\n\n| | found | goal | |\n|---|---:|---:|---|\n",
            self.ours, self.ours_on_two_cores, self.sigstore_rust, self.checks
        );
        for (what, found, goal, reached) in self.goals() {
            let verdict = if reached { "reached" } else { "**missed**" };
            text.push_str(&format!("| {what} | {found:.2} | {goal:.1} | {verdict} |\n"));
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "ambisign_per_second": self.ours,
            "ambisign_on_two_threads_per_second": self.ours_on_two_cores,
            "sigstore_rust_per_second": self.sigstore_rust,
            "signature_checks_per_second": self.checks,
            "time_of_signature_checks": self.of_checks,
            "scaling_on_two_cores": self.scaling,
            "throughput_of_sigstore_rust": self.of_sigstore_rust,
            "markdown": self.markdown(),
        })
    }
}
