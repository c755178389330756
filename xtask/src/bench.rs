//! What ambisign costs, beside other programs, on the same machine in the same run.
//!
//! The programs run in turn, so that what disturbs the machine disturbs all of them; medians count,
//! and ratios are taken pair by pair. `bench/scenarios.rs` is the table of what is measured.

mod chart;
mod growth;
mod in_process;
mod instructions;
mod lab;
mod page;
mod place;
mod proxy;
mod publish;
mod report;
mod rounds;
mod scenarios;
mod traffic;
mod work;

pub(crate) use self::instructions::{compare as instructions_of, run as instructions};

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use self::lab::Lab;
use self::place::{Counts, Setting};
use self::report::Report;
use self::scenarios::SCENARIOS;
use self::work::Bench;
use crate::{peers, workspace};

/// The scenarios that are not in the table.
const IN_PROCESS: &str = "in-process";
const COUNTS: &str = "counts";

/// What is not begun after this time is left out. With the last scenario that is begun, and the
/// programs built before, everything ends within twenty minutes.
const ALL_WITHIN: Duration = Duration::from_secs(17 * 60);

/// The task. Arguments are names of scenarios or beginnings of names; `--rounds N` is for all.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let asked = Asked::parse(arguments)?;
    if asked.list {
        SCENARIOS.iter().for_each(|one| println!("{:<30} {}", one.name, one.work.text()));
        growth::names().for_each(|name| println!("{name:<30} time and memory"));
        println!("{IN_PROCESS:<30} one bundle verified in process");
        println!("{COUNTS:<30} crates of the program, start of a sandbox");
        return Ok(());
    }
    if asked.publish {
        return publish::run();
    }
    // The sandbox and the proxies are in this program: compiled for use, they cost little beside
    // the programs that are measured.
    if cfg!(debug_assertions) && !asked.as_built {
        peers::fetch()?;
        return again_for_use(arguments);
    }
    println!("Building ...");
    let ambisign = match &asked.program {
        Some(program) => program.into(),
        None => workspace::build_release()?,
    };
    let in_process = asked.wants(IN_PROCESS).then(in_process::build).transpose();
    if asked.build {
        return in_process.map(drop);
    }
    // Without it everything else is measured.
    let in_process = in_process.unwrap_or_else(|error| {
        println!("{IN_PROCESS} cannot be built: {error:#}");
        None
    });
    let lab = Lab::open(ambisign)?;
    let outcome = measure(&lab, &asked, in_process.as_ref());
    lab.stage.strike()?;
    outcome
}

/// Goes on as the same task compiled for use, in the same process, so that signals reach it.
fn again_for_use(arguments: &[String]) -> Result<()> {
    let manifest = workspace::root().join("Cargo.toml");
    let mut command = std::process::Command::new("cargo");
    command
        .args(["run", "--quiet", "--locked", "--profile", "bench", "-p", "xtask"])
        .arg("--manifest-path")
        .arg(manifest)
        .args(["--", "bench"])
        .args(arguments);
    #[cfg(unix)]
    let failed = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let failed = anyhow::anyhow!("measuring needs a Unix system");
    bail!("cargo could not be started: {failed}")
}

fn measure(lab: &Lab, asked: &Asked, in_process: Option<&in_process::Programs>) -> Result<()> {
    let start = Instant::now();
    let directory = workspace::target().join("bench");
    let mut report = Report::new(Setting::here(lab)?);
    println!("{}", page::head(&report.json()));
    let bench = Bench::new(lab);
    let is_late = || start.elapsed() > ALL_WITHIN;
    let names = SCENARIOS.iter().map(|one| one.name).chain(growth::names());
    for name in names.chain([IN_PROCESS, COUNTS]).filter(|name| asked.wants(name)) {
        lab.stage.go_on()?;
        if is_late() {
            println!("{name}: not begun, {} s have passed", ALL_WITHIN.as_secs());
            report.not_begun.push(name);
            continue;
        }
        let begun = Instant::now();
        if let Some(scenario) = SCENARIOS.iter().find(|one| one.name == name) {
            let rounds = asked.rounds.unwrap_or(scenario.rounds);
            let outcome = rounds::measure(&bench, scenario, rounds)?;
            let measured = report::scenario(&outcome);
            print!("{}{}", page::rows(&measured), page::goals_of(&measured));
            report.outcomes.push(outcome);
        } else if name == COUNTS {
            let counts = Counts::of(lab, asked.clean_build)?;
            println!("{}", counts.markdown());
            report.counts = Some(counts);
        } else if name == IN_PROCESS {
            // Another failure than a signal costs this scenario and no other.
            match in_process.context("it was not built").and_then(|it| in_process::run(it, lab)) {
                Ok(measured) => {
                    println!("{}", measured.markdown());
                    report.in_process = Some(measured);
                }
                Err(error) => println!("{name} failed: {error:#}"),
            }
        } else {
            let growth = growth::run(&bench, name, &directory)?;
            println!("{}", growth.markdown());
            report.growth.push(growth);
        }
        println!("({name}: {:.1} s)", begun.elapsed().as_secs_f64());
        // What was measured so far is there if the rest is interrupted.
        report.write(&directory)?;
    }
    println!("\n{}", directory.join("report.md").display());
    Ok(())
}

/// What is asked for on the command line.
#[derive(Default)]
struct Asked {
    names: Vec<String>,
    rounds: Option<usize>,
    program: Option<String>,
    list: bool,
    /// Only builds what is measured.
    build: bool,
    /// Measures a build with nothing built before.
    clean_build: bool,
    /// Writes the documentation from the last report.
    publish: bool,
    /// Does not compile this task for use first: soon there, and with slower services.
    as_built: bool,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut asked = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--list" => asked.list = true,
                "--build" => asked.build = true,
                "--clean-build" => asked.clean_build = true,
                "--publish" => asked.publish = true,
                "--as-built" => asked.as_built = true,
                "--rounds" => {
                    let number = rest.next().context("--rounds needs a number")?;
                    let number: usize = number.parse().context("--rounds needs a number")?;
                    asked.rounds = Some(number.clamp(1, 1000));
                }
                "--program" => {
                    let path = rest.next().context("--program needs a file")?;
                    let path = std::path::absolute(path)?;
                    asked.program = Some(path.display().to_string());
                }
                flag if flag.starts_with('-') => bail!("there is no flag {flag}"),
                name => asked.names.push(name.to_owned()),
            }
        }
        let known = |name: &String| {
            let others = growth::names().chain([IN_PROCESS, COUNTS]);
            let all = SCENARIOS.iter().map(|one| one.name).chain(others);
            all.into_iter().any(|one| one.starts_with(name.as_str()))
        };
        match asked.names.iter().find(|name| !known(name)) {
            Some(name) => bail!("there is no scenario {name:?}: `cargo xtask bench --list`"),
            None => Ok(asked),
        }
    }

    /// A whole name means that scenario alone.
    fn wants(&self, name: &str) -> bool {
        let whole = |asked: &&String| SCENARIOS.iter().any(|one| one.name == **asked);
        let by_name = |asked: &String| {
            if whole(&asked) { asked == name } else { name.starts_with(asked.as_str()) }
        };
        self.names.is_empty() || self.names.iter().any(by_name)
    }
}
