//! How time and memory of ours grow with the number of images and of referrers.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::chart;
use super::lab::Distance::Near;
use super::lab::Kind::Referrers;
use super::lab::Program::Ambisign;
use super::page::digits;
use super::rounds;
use super::scenarios::{Figure, Limit, Scenario, Work};
use super::work::Bench;

/// Something whose number grows.
struct Growth {
    name: &'static str,
    what: &'static str,
    steps: &'static [Scenario],
}

const fn step(name: &'static str, work: Work, rounds: usize, within: u64) -> Scenario {
    let (kind, distance, programs) = (Referrers, Near, &[Ambisign] as &[_]);
    let (limit, goals) = (Limit::None, &[] as &[_]);
    Scenario { name, work, kind, distance, rounds, within, programs, limit, goals }
}

const GROWTHS: &[Growth] = &[
    Growth {
        name: "growth-images",
        what: "`sign` of so many images of one repository in one call",
        steps: &[
            step("growth-images-1", Work::SignIn(1), 5, 10),
            step("growth-images-10", Work::SignIn(10), 5, 10),
            step("growth-images-100", Work::SignIn(100), 3, 20),
            step("growth-images-1000", Work::SignIn(1000), 1, 30),
            step("growth-images-10000", Work::SignIn(10_000), 1, 150),
        ],
    },
    Growth {
        name: "growth-referrers",
        what: "`verify` of an image with one signature among so many referrers",
        steps: &[
            step("growth-referrers-1", Work::OneAmong(1), 3, 20),
            step("growth-referrers-10", Work::OneAmong(10), 3, 20),
            step("growth-referrers-100", Work::OneAmong(100), 3, 20),
            step("growth-referrers-1000", Work::OneAmong(1000), 3, 20),
            step("growth-referrers-10000", Work::OneAmong(10_000), 3, 60),
        ],
    },
    Growth {
        name: "growth-policy",
        what: "`verify` of an image by a policy file with so many identities",
        steps: &[
            step("growth-policy-1", Work::Policy(1), 5, 10),
            step("growth-policy-10", Work::Policy(10), 5, 10),
            step("growth-policy-100", Work::Policy(100), 5, 10),
            step("growth-policy-1000", Work::Policy(1000), 5, 10),
            step("growth-policy-10000", Work::Policy(10_000), 5, 20),
        ],
    },
];

/// The names of what can be measured.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    GROWTHS.iter().map(|growth| growth.name)
}

/// What was measured of something that grows.
pub(crate) struct Grown {
    name: &'static str,
    what: &'static str,
    points: Vec<Point>,
    /// Why a number was not measured.
    failures: Vec<(usize, String)>,
}

struct Point {
    number: usize,
    /// In seconds.
    wall: f64,
    /// In bytes.
    memory: f64,
}

/// Measures `name`, and writes its chart to `directory`.
pub(crate) fn run(bench: &Bench<'_>, name: &str, directory: &Path) -> Result<Grown> {
    let growth = GROWTHS.iter().find(|growth| growth.name == name);
    let Growth { name, what, steps } = growth.context("there is no such growth")?;
    let mut grown = Grown { name, what, points: Vec::new(), failures: Vec::new() };
    for step in *steps {
        let outcome = rounds::measure(bench, step, step.rounds)?;
        let Some(row) = outcome.row(Ambisign) else { continue };
        let (items, number) = (step.work.items(Ambisign) as f64, step.work.number());
        if let Some(failure) = &row.failure {
            grown.failures.push((number, failure.lines().last().unwrap_or_default().to_owned()));
            continue;
        }
        let (wall, memory) = (row.median(Figure::Wall), row.median(Figure::Memory));
        let (Some(wall), Some(memory)) = (wall, memory) else { continue };
        grown.points.push(Point { number, wall: wall * items, memory });
    }
    if grown.points.len() > 1 {
        let line = |y: fn(&Point) -> f64| -> Vec<(f64, f64)> {
            grown.points.iter().map(|point| (point.number as f64, y(point))).collect()
        };
        let svg = chart::growth(&what.replace('`', ""), &line(|it| it.wall));
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join(format!("{name}.svg")), svg)?;
    }
    Ok(grown)
}

impl Grown {
    /// Time grows with the number to this power, among the largest numbers.
    fn exponent(&self) -> Option<f64> {
        let upper = self.points.get(self.points.len().saturating_sub(3)..).unwrap_or_default();
        let points: Vec<_> = upper.iter().map(|it| (it.number as f64, it.wall)).collect();
        exponent(&points)
    }

    /// A section of the report.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "\n## {}\n\n{}.\n\n| number | wall ms | memory MB |\n|---:|---:|---:|\n",
            self.name, self.what
        );
        for Point { number, wall, memory } in &self.points {
            let (wall, memory) = (digits(wall * 1e3), digits(memory / 1e6));
            let _ = writeln!(text, "| {number} | {wall} | {memory} |");
        }
        for (number, reason) in &self.failures {
            let _ = writeln!(text, "| {number} | failed: {reason} | |");
        }
        if let Some(exponent) = self.exponent() {
            let _ = writeln!(text, "\nTime grows with the number to the power {exponent:.2}.");
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let points = self.points.iter().map(|Point { number, wall, memory }| {
            json!({ "number": number, "wall_seconds": wall, "memory_bytes": memory })
        });
        json!({
            "name": self.name,
            "what": self.what,
            "points": points.collect::<Vec<_>>(),
            "exponent": self.exponent(),
            "markdown": self.markdown(),
        })
    }
}

/// The slope of the line through the logarithms.
fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean = |values: &dyn Fn(&(f64, f64)) -> f64| logs.iter().map(values).sum::<f64>() / count;
    let (x, y) = (mean(&|point| point.0), mean(&|point| point.1));
    let above: f64 = logs.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = logs.iter().map(|point| (point.0 - x).powi(2)).sum();
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_grows_with_the_square_has_the_exponent_two() {
        let points = [(1.0, 3.0), (10.0, 300.0), (100.0, 30_000.0)];
        assert!(exponent(&points).is_some_and(|found| (found - 2.0).abs() < 1e-9));
        assert_eq!(exponent(&[(1.0, 1.0)]), None);
    }
}
