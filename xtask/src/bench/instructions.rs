//! What small scenarios cost in instructions and in memory, compared with figures kept in the
//! repository. Both are steady where time is not: a change that makes one of them grow is named.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use xshell::cmd;

use super::lab::Distance::Near;
use super::lab::Kind::{self, Referrers, Tags};
use super::lab::Lab;
use super::lab::Program::Ambisign;
use super::scenarios::{Limit, Scenario, Work};
use super::work::Bench;
use crate::workspace;

/// The kept figures.
const KEPT: &str = "xtask/kept-costs.json";

const fn small(name: &'static str, work: Work, kind: Kind) -> Scenario {
    let (distance, programs, limit) = (Near, &[Ambisign] as &[_], Limit::None);
    Scenario { name, work, kind, distance, rounds: 1, within: 60, programs, limit, goals: &[] }
}

const COUNTED: &[Scenario] = &[
    small("version", Work::Version, Tags),
    small("identity-token-file", Work::Identity("token-file"), Tags),
    small("sign-blob-1kib", Work::SignFile(1024), Tags),
    small("verify-blob-1kib", Work::VerifyFile(1024), Tags),
    small("sign-1-referrers", Work::Sign(1), Referrers),
    small("verify-digest-referrers", Work::VerifyDigest, Referrers),
    small("signatures-20", Work::Signatures(20), Referrers),
    small("policy-1000", Work::Policy(1000), Referrers),
];

const WEIGHED: &[Scenario] = &[
    small("verify-digest-referrers", Work::VerifyDigest, Referrers),
    small("sign-blob-64mib", Work::SignFile(64 << 20), Tags),
    small("sign-10-referrers", Work::Sign(10), Referrers),
    small("signatures-20", Work::Signatures(20), Referrers),
    small("policy-1000", Work::Policy(1000), Referrers),
];

/// Figures by scenario, by what was counted.
type Figures = BTreeMap<String, BTreeMap<String, u64>>;

/// The file of kept figures: another compiler makes another program, whose figures say nothing of a
/// change here.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// As `rustc --version` says it.
    compiler: String,
    figures: Figures,
}

/// What was counted, and how much more than the kept figure is allowed.
const WHAT: [(&str, f64); 2] = [("instructions", 1.05), ("KiB of memory", 1.15)];

/// The task: compares, or with `--keep` keeps what it finds.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let (mut keep, mut program) = (false, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match (argument.as_str(), program.is_none()) {
            ("--keep", _) => keep = true,
            ("--program", true) => {
                program =
                    Some(std::path::absolute(rest.next().context("--program needs a file")?)?);
            }
            _ => bail!("usage: cargo xtask instructions [--keep] [--program FILE]"),
        }
    }
    compare(program, keep)
}

/// Counts what `program` costs, or else the program as `cargo build --release` makes it. Compares, or
/// keeps.
pub(crate) fn compare(program: Option<PathBuf>, keep: bool) -> Result<()> {
    let valgrind = valgrind()?;
    let lab = Lab::open(program.map_or_else(workspace::build_release, Ok)?)?;
    let path = workspace::root().join(KEPT);
    let kept = if keep { Kept::none()? } else { Kept::read(&path)? };
    let found = figures(&lab, &valgrind, &kept.figures);
    lab.stage.strike()?;
    let found = found?;
    let compiler = compiler()?;
    if keep {
        let json = serde_json::to_string_pretty(&Kept { compiler, figures: found })?;
        std::fs::write(&path, format!("{json}\n"))?;
        println!("wrote {KEPT}");
        return Ok(());
    }
    if kept.compiler != compiler {
        println!("note: not compared: {KEPT} is of {}, here is {compiler}", kept.compiler);
        return Ok(());
    }
    let kept = kept.figures;
    let none = BTreeMap::new();
    let compare = |(what, allowed)| {
        grown(what, kept.get(what).unwrap_or(&none), found.get(what).unwrap_or(&none), allowed)
    };
    let worse: Vec<String> = WHAT.into_iter().flat_map(compare).collect();
    ensure!(
        worse.is_empty(),
        "{}\nwhere this is meant: `cargo xtask instructions --keep`, and say in the commit why",
        worse.join("\n")
    );
    Ok(())
}

fn valgrind() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|place| place.join("valgrind"))
        .find(|place| place.is_file())
        .context("valgrind is not installed; as root: apt-get install valgrind")
}

impl Kept {
    fn none() -> Result<Self> {
        Ok(Self { compiler: compiler()?, figures: Figures::new() })
    }

    fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("{KEPT} cannot be read"))?;
        serde_json::from_slice(&bytes).context(KEPT)
    }
}

fn compiler() -> Result<String> {
    let shell = workspace::shell()?;
    Ok(cmd!(shell, "rustc --version").quiet().read()?)
}

fn figures(lab: &Lab, valgrind: &Path, kept: &Figures) -> Result<Figures> {
    let bench = Bench::new(lab);
    let (mut instructions, mut memory) = (BTreeMap::new(), BTreeMap::new());
    let [(what, allowed), _] = WHAT;
    for scenario in COUNTED {
        lab.allow(scenario.within);
        let enough = kept.get(what).and_then(|kept| kept.get(scenario.name));
        let enough = enough.map_or(u64::MAX, |kept| (*kept as f64 * allowed) as u64);
        let count = || count(&bench, scenario, valgrind).context(scenario.name);
        // A busy machine waits in other places: what is too much is counted twice more.
        let mut least = count()?;
        for _ in 0..2 {
            if least <= enough {
                break;
            }
            least = least.min(count()?);
        }
        println!("{:<26} {least:>13} instructions", scenario.name);
        instructions.insert(scenario.name.to_owned(), least);
    }
    for scenario in WEIGHED {
        lab.allow(scenario.within);
        let weigh = |round| -> Result<u64> {
            let command = bench.command(scenario, Ambisign, round)?;
            lab.cost(&command.words, &command.env)?.memory.context("its memory was not seen")
        };
        // The middle one of three.
        let mut peaks = (0..3).map(weigh).collect::<Result<Vec<_>>>().context(scenario.name)?;
        peaks.sort_unstable();
        let peak = peaks.get(1).copied().unwrap_or_default();
        println!("{:<26} {peak:>13} KiB", scenario.name);
        memory.insert(scenario.name.to_owned(), peak);
    }
    let all = WHAT.map(|(what, _)| what.to_owned()).into_iter().zip([instructions, memory]);
    Ok(all.collect())
}

/// The instructions of one run, as callgrind counts them.
fn count(bench: &Bench<'_>, scenario: &Scenario, valgrind: &Path) -> Result<u64> {
    let command = bench.command(scenario, Ambisign, 0)?;
    let log = bench.lab.home().join(format!("{}.callgrind.log", scenario.name));
    let out = workspace::target().join(format!("bench/{}.callgrind", scenario.name));
    std::fs::create_dir_all(workspace::target().join("bench"))?;
    let mut words = vec![valgrind.display().to_string(), "--tool=callgrind".to_owned()];
    words.push(format!("--log-file={}", log.display()));
    words.push(format!("--callgrind-out-file={}", out.display()));
    words.extend(command.words);
    bench.lab.cost(&words, &command.env)?;
    let log = std::fs::read_to_string(log)?;
    collected(&log).context("callgrind did not say what it collected")
}

/// The number behind `Collected :`.
fn collected(log: &str) -> Option<u64> {
    let (_, number) = log.lines().find_map(|line| line.split_once("Collected :"))?;
    number.trim().parse().ok()
}

/// A line for each figure that is larger than `allowed` times the kept one, or is not kept.
fn grown(
    what: &str,
    kept: &BTreeMap<String, u64>,
    found: &BTreeMap<String, u64>,
    allowed: f64,
) -> Vec<String> {
    let one = |(name, found): (&String, &u64)| match kept.get(name) {
        None => Some(format!("{name}: no kept number of {what}")),
        Some(kept) if *found as f64 > *kept as f64 * allowed => {
            let percent = (*found as f64 / *kept as f64 - 1.0) * 100.0;
            Some(format!("{name}: {found} {what}, {kept} are kept: {percent:.1} % more"))
        }
        Some(_) => None,
    };
    found.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_grew_too_much_is_named() {
        let figures = |sign, verify| {
            BTreeMap::from([("sign".to_owned(), sign), ("verify".to_owned(), verify)])
        };
        let kept = figures(1000, 2000);
        assert_eq!(grown("instructions", &kept, &figures(1050, 1500), 1.05), [""; 0]);
        let grown = grown("instructions", &kept, &figures(1051, 2000), 1.05);
        assert_eq!(grown, ["sign: 1051 instructions, 1000 are kept: 5.1 % more"]);
    }

    #[test]
    fn a_scenario_without_a_kept_figure_is_named() {
        let found = BTreeMap::from([("new".to_owned(), 1)]);
        let grown = grown("instructions", &BTreeMap::new(), &found, 1.05);
        assert_eq!(grown, ["new: no kept number of instructions"]);
    }

    #[test]
    fn the_number_is_read_from_the_log_of_callgrind() {
        let log = "==7== Events    : Ir\n==7== Collected : 7654321\n==7==\n";
        assert_eq!(collected(log), Some(7_654_321));
    }
}
