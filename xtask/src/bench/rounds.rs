//! Runs the programs of a scenario in turn, and compares them pair by pair.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::lab::Program;
use super::scenarios::{Figure, Goal, Limit, Scenario};
use super::traffic::Traffic;
use super::work::Bench;
use crate::measure::Cost;

/// What one run of a program cost, for each thing it did.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    /// In bytes, of the whole run.
    pub(crate) memory: Option<f64>,
    pub(crate) traffic: Traffic,
    /// The processor time of services and registries meanwhile, of the whole run.
    pub(crate) servers: Duration,
}

/// The runs of one program.
pub(crate) struct Row {
    pub(crate) program: Program,
    pub(crate) runs: Vec<Run>,
    /// Why it was not measured to the end.
    pub(crate) failure: Option<String>,
    pub(crate) size: u64,
}

/// A scenario that was measured.
pub(crate) struct Outcome {
    pub(crate) scenario: &'static Scenario,
    pub(crate) rows: Vec<Row>,
}

/// Measures `scenario` in `rounds` rounds.
pub(crate) fn measure(
    bench: &Bench<'_>,
    scenario: &'static Scenario,
    rounds: usize,
) -> Result<Outcome> {
    let row = |&program| -> Result<Row> {
        let size = std::fs::metadata(bench.lab.path(program)).map_or(0, |file| file.len());
        Ok(Row { program, runs: Vec::new(), failure: None, size })
    };
    let mut rows = scenario.programs.iter().map(row).collect::<Result<Vec<_>>>()?;
    bench.lab.allow(scenario.within);
    for round in 0..rounds {
        let count = rows.len();
        for position in 0..count {
            // Who comes first changes from round to round.
            let Some(row) = rows.get_mut((position + round) % count) else { continue };
            if row.failure.is_some() {
                continue;
            }
            match once(bench, scenario, row.program, round) {
                Ok(run) => row.runs.push(run),
                Err(error) => {
                    bench.lab.stage.go_on()?;
                    // Without time left, what was measured stands.
                    if bench.lab.go_on().is_ok() || row.runs.is_empty() {
                        row.failure = Some(format!("{error:#}"));
                    }
                }
            }
        }
    }
    Ok(Outcome { scenario, rows })
}

fn once(bench: &Bench<'_>, scenario: &Scenario, program: Program, round: usize) -> Result<Run> {
    bench.lab.go_on()?;
    let command = bench.command(scenario, program, round)?;
    bench.lab.log.take();
    let servers = bench.lab.servers_time();
    let start = Instant::now();
    let Cost { wall, cpu, memory } = bench.lab.cost(&command.words, &command.env)?;
    let traffic = Traffic::of(bench.lab.log.take(), start, wall);
    let items = scenario.work.items(program) as f64;
    let servers = bench.lab.servers_time().saturating_sub(servers);
    Ok(Run {
        wall: wall.as_secs_f64() / items,
        cpu: cpu.as_secs_f64() / items,
        memory: memory.map(|kib| kib as f64 * 1024.0),
        traffic,
        servers,
    })
}

impl Run {
    pub(crate) fn figure(&self, figure: Figure) -> Option<f64> {
        match figure {
            Figure::Wall => Some(self.wall),
            Figure::Cpu => Some(self.cpu),
            Figure::Memory => self.memory,
            Figure::Size => None,
        }
    }
}

impl Row {
    /// The median of a figure.
    pub(crate) fn median(&self, figure: Figure) -> Option<f64> {
        if figure == Figure::Size {
            return Some(self.size as f64);
        }
        median(self.runs.iter().filter_map(|run| run.figure(figure)).collect())
    }

    /// The median of something of the traffic.
    pub(crate) fn traffic(&self, what: impl Fn(&Traffic) -> usize) -> Option<usize> {
        let counts = self.runs.iter().map(|run| what(&run.traffic) as f64).collect();
        median(counts).map(|count| count.round() as usize)
    }

    /// The median of the processor time that the servers took, in seconds.
    pub(crate) fn servers(&self) -> Option<f64> {
        median(self.runs.iter().map(|run| run.servers.as_secs_f64()).collect())
    }

    /// The run whose wall time is the median.
    pub(crate) fn typical(&self) -> Option<&Run> {
        let mut runs: Vec<&Run> = self.runs.iter().collect();
        runs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
        runs.get(runs.len() / 2).copied()
    }
}

impl Outcome {
    pub(crate) fn row(&self, program: Program) -> Option<&Row> {
        self.rows.iter().find(|row| row.program == program)
    }

    /// The figure of `program` as a part of that of `of`: the median over the rounds.
    pub(crate) fn ratio(&self, program: Program, of: Program, figure: Figure) -> Option<f64> {
        let (ours, theirs) = (self.row(program)?, self.row(of)?);
        if figure == Figure::Size {
            return (theirs.size > 0).then(|| ours.size as f64 / theirs.size as f64);
        }
        let pairs = ours.runs.iter().zip(&theirs.runs);
        median(pairs.filter_map(|(a, b)| Some(a.figure(figure)? / b.figure(figure)?)).collect())
    }

    pub(crate) fn reached(&self, goal: &Goal) -> Option<(f64, bool)> {
        let found = self.ratio(Program::Ambisign, goal.of, goal.figure)?;
        Some((found, found <= goal.most))
    }

    /// The least time that any program needs, in seconds for each thing done.
    pub(crate) fn limit(&self) -> Option<f64> {
        match self.scenario.limit {
            Limit::None => None,
            Limit::Program(program) => self.row(program)?.median(Figure::Wall),
            Limit::Trips { registry, services } => {
                let all =
                    super::lab::REGISTRY_DELAY * registry + super::lab::SERVICE_DELAY * services;
                Some(all.as_secs_f64() / self.scenario.work.items(Program::Ambisign) as f64)
            }
        }
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    Some((values.get(middle.checked_sub(1)?)? + upper) / 2.0)
}

/// In milliseconds, for a report.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(median(vec![4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
