//! What ambisign costs, beside other programs, on the same machine in the same run.
//!
//! The programs run in turn, so that what disturbs the machine disturbs all of them; medians count,
//! and ratios are taken pair by pair. `bench/scenarios.rs` is the table of what is measured.

mod chart;
mod growth;
mod in_process;
mod lab;
mod proxy;
mod report;
mod rounds;
mod scenarios;
mod traffic;
mod work;

use anyhow::{Context as _, Result, bail};
use xshell::cmd;

use self::lab::{Lab, Program};
use self::report::{Report, Setting};
use self::scenarios::SCENARIOS;
use self::work::Bench;
use crate::{peers, workspace};

/// The scenario that is not in the table.
const IN_PROCESS: &str = "in-process";

/// The task. Arguments are names of scenarios or beginnings of names; `--rounds N` is for all.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let asked = Asked::parse(arguments)?;
    if asked.list {
        SCENARIOS.iter().for_each(|one| println!("{:<30} {}", one.name, one.work.text()));
        growth::names().for_each(|name| println!("{name:<30} time and memory"));
        println!("{IN_PROCESS:<30} one bundle verified in process");
        return Ok(());
    }
    let shell = workspace::shell()?;
    // The sandbox and the proxies are in this program: compiled for use, they cost little beside
    // the programs that are measured.
    if cfg!(debug_assertions) {
        peers::fetch()?;
        println!("Building ...");
        cmd!(shell, "cargo run --quiet --locked --profile bench -p xtask -- bench {arguments...}")
            .quiet()
            .run()?;
        return Ok(());
    }
    let ambisign = match &asked.program {
        Some(program) => program.into(),
        None => workspace::build_release()?,
    };
    let lab = Lab::open(ambisign)?;
    let outcome = measure(&lab, &asked);
    lab.stage.strike()?;
    outcome
}

fn measure(lab: &Lab, asked: &Asked) -> Result<()> {
    let directory = workspace::target().join("bench");
    let setting = Setting { date: date()?, machine: machine()?, versions: versions(lab)? };
    let mut report = Report { setting, outcomes: vec![], in_process: None, more: vec![] };
    println!("{}", report.head());
    let bench = Bench::new(lab);
    for scenario in SCENARIOS.iter().filter(|one| asked.wants(one.name)) {
        lab.stage.go_on()?;
        let rounds = asked.rounds.unwrap_or(scenario.rounds);
        let outcome = rounds::measure(&bench, scenario, rounds)?;
        outcome.rows.iter().for_each(|row| print!("{}", report::line(&outcome, row)));
        scenario.goals.iter().for_each(|goal| print!("{}", report::goal_line(&outcome, goal)));
        report.outcomes.push(outcome);
        // What was measured so far is there if the rest is interrupted.
        report.write(&directory)?;
    }
    for name in growth::names().filter(|name| asked.wants(name)) {
        let section = growth::run(&bench, name, &directory)?;
        println!("{section}");
        report.more.push(section);
        report.write(&directory)?;
    }
    if asked.wants(IN_PROCESS) {
        let in_process = in_process::run()?;
        println!("{}", in_process.markdown());
        report.in_process = Some(in_process);
    }
    report.write(&directory)?;
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
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut asked = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--list" => asked.list = true,
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
            let others = growth::names().chain([IN_PROCESS]);
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

fn date() -> Result<String> {
    let shell = workspace::shell()?;
    Ok(cmd!(shell, "date -u +%Y-%m-%d").quiet().read()?)
}

fn machine() -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown processor", |line| line.trim_start_matches([' ', '\t', ':']));
    Ok(format!("{cores} cores, {model}, {} {}", std::env::consts::OS, std::env::consts::ARCH))
}

fn versions(lab: &Lab) -> Result<Vec<String>> {
    let ours = std::fs::metadata(lab.path(Program::Ambisign))?.len();
    let ours = format!("ambisign {} ({:.1} MB)", env!("CARGO_PKG_VERSION"), ours as f64 / 1e6);
    let unpacked = workspace::target().join("peers/usr/bin/versions");
    let unpacked = std::fs::read_to_string(unpacked).unwrap_or_default();
    let wanted = ["cosign", "oras", "docker-registry", "sigstore-go"];
    let theirs = unpacked
        .lines()
        .filter(|line| wanted.iter().any(|name| line.split(' ').next() == Some(name)))
        .map(str::to_owned);
    Ok(std::iter::once(ours).chain(theirs).collect())
}
