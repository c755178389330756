//! How time and memory of ours grow with the number of images and of referrers.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use super::chart;
use super::lab::Distance::Near;
use super::lab::Kind::Referrers;
use super::lab::Program::Ambisign;
use super::report::digits;
use super::rounds;
use super::scenarios::{Figure, Limit, Scenario, Work};
use super::work::Bench;

/// Something whose number grows.
struct Growth {
    name: &'static str,
    what: &'static str,
    steps: &'static [Scenario],
}

const fn step(name: &'static str, work: Work, rounds: usize) -> Scenario {
    let (kind, distance, programs) = (Referrers, Near, &[Ambisign] as &[_]);
    Scenario { name, work, kind, distance, rounds, programs, limit: Limit::None, goals: &[] }
}

const GROWTHS: &[Growth] = &[
    Growth {
        name: "growth-images",
        what: "`sign` of so many images in one call",
        steps: &[
            step("growth-images-1", Work::Sign(1), 3),
            step("growth-images-10", Work::Sign(10), 3),
            step("growth-images-100", Work::Sign(100), 3),
            step("growth-images-1000", Work::Sign(1000), 1),
            step("growth-images-2000", Work::Sign(2000), 1),
        ],
    },
    Growth {
        name: "growth-referrers",
        what: "`verify` of an image with one signature among so many referrers",
        steps: &[
            step("growth-referrers-1", Work::OneAmong(1), 3),
            step("growth-referrers-10", Work::OneAmong(10), 3),
            step("growth-referrers-100", Work::OneAmong(100), 3),
            step("growth-referrers-1000", Work::OneAmong(1000), 3),
            step("growth-referrers-10000", Work::OneAmong(10_000), 3),
        ],
    },
];

/// The names of what can be measured.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    GROWTHS.iter().map(|growth| growth.name)
}

/// Measures `name`, writes its chart to `directory`, and returns its section of the report.
pub(crate) fn run(bench: &Bench<'_>, name: &str, directory: &Path) -> Result<String> {
    let mut text = String::new();
    for growth in GROWTHS.iter().filter(|growth| growth.name == name) {
        let _ = writeln!(
            text,
            "\n## {}\n\n{}.\n\n| number | wall ms | memory MB |\n|---:|---:|---:|",
            growth.name, growth.what
        );
        let mut points = Vec::new();
        for step in growth.steps {
            let outcome = rounds::measure(bench, step, step.rounds)?;
            let Some(row) = outcome.row(Ambisign) else { continue };
            let (items, number) = (step.work.items(Ambisign) as f64, step.work.number());
            if let Some(failure) = &row.failure {
                let reason: String = failure.lines().last().unwrap_or_default().to_owned();
                let _ = writeln!(text, "| {number} | failed: {reason} | |");
                continue;
            }
            let Some(wall) = row.median(Figure::Wall) else { continue };
            let memory = row.median(Figure::Memory).unwrap_or_default();
            points.push((number as f64, wall * items));
            let (wall, memory) = (digits(wall * items * 1e3), digits(memory / 1e6));
            let _ = writeln!(text, "| {number} | {wall} | {memory} |");
        }
        let upper = points.get(points.len().saturating_sub(3)..).unwrap_or_default();
        if let Some(exponent) = exponent(upper) {
            let _ = writeln!(text, "\nThe last three grow with the number to the {exponent:.2}.");
        }
        if points.len() > 1 {
            let svg = chart::growth(&growth.what.replace('`', ""), &points);
            std::fs::write(directory.join(format!("{}.svg", growth.name)), svg)?;
        }
    }
    Ok(text)
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
