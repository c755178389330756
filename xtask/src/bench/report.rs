//! What was measured, as text, JSON and charts.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::chart;
use super::in_process::InProcess;
use super::lab::Program;
use super::rounds::{Outcome, Row, milliseconds};
use super::scenarios::{Figure, Goal};

/// Where and when it was measured.
pub(crate) struct Setting {
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) versions: Vec<String>,
}

/// All results of one call.
pub(crate) struct Report {
    pub(crate) setting: Setting,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) in_process: Option<InProcess>,
    /// Sections that are made elsewhere, as Markdown.
    pub(crate) more: Vec<String>,
}

impl Report {
    /// Writes `report.md`, `report.json` and a chart for each scenario to `directory`.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        std::fs::write(directory.join("report.md"), self.markdown())?;
        let json = serde_json::to_string_pretty(&self.json())?;
        std::fs::write(directory.join("report.json"), format!("{json}\n"))?;
        for outcome in &self.outcomes {
            let path = directory.join(format!("{}.svg", outcome.scenario.name));
            std::fs::write(path, chart::bars(&title(outcome), &bars(outcome)))?;
        }
        Ok(())
    }

    /// The whole report.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n{}", self.head(), self.table());
        text.push_str(&self.goals());
        text.push_str(&self.in_process.as_ref().map(InProcess::markdown).unwrap_or_default());
        for section in &self.more {
            text.push_str(section);
        }
        text.push_str(&self.missed());
        text
    }

    /// Date, machine and versions, in one paragraph.
    pub(crate) fn head(&self) -> String {
        let Setting { date, machine, versions } = &self.setting;
        let versions = versions.join(", ");
        format!("Measured on {date} with `cargo xtask bench`: {machine}; {versions}.\n")
    }

    /// Every scenario and program.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from(
            "| | | wall ms | CPU ms | memory MB | requests | connections | round trips | wall of \
             ours | of the limit |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        );
        for outcome in &self.outcomes {
            for row in &outcome.rows {
                text.push_str(&line(outcome, row));
            }
        }
        text
    }

    fn goals(&self) -> String {
        let mut text =
            String::from("\n## Goals\n\n| | of | found | at most | |\n|---|---|---:|---:|---|\n");
        let before = text.len();
        for outcome in &self.outcomes {
            for goal in outcome.scenario.goals {
                text.push_str(&goal_line(outcome, goal));
            }
        }
        if text.len() == before { String::new() } else { text }
    }

    /// For each goal that was missed: what ours waited for, in the run in the middle.
    fn missed(&self) -> String {
        let mut text = String::new();
        for outcome in &self.outcomes {
            let missed = outcome
                .scenario
                .goals
                .iter()
                .any(|goal| outcome.reached(goal).is_some_and(|(_, reached)| !reached));
            let typical = outcome.row(Program::Ambisign).and_then(Row::typical);
            let Some(run) = typical.filter(|_| missed) else { continue };
            let _ = writeln!(text, "\n### What bounds {}\n", outcome.scenario.name);
            let items = outcome.scenario.work.items(Program::Ambisign) as f64;
            let _ = writeln!(
                text,
                "{:.1} ms; the program took {:.1} ms of processor time, services and registries \
                 took {:.0} ms on the same cores.",
                run.wall * items * 1e3,
                run.cpu * items * 1e3,
                milliseconds(run.servers),
            );
            if run.traffic.chain.is_empty() {
                continue;
            }
            let idle = milliseconds(run.traffic.idle);
            let _ = writeln!(text, "No request was under way for {idle:.1} ms.\n");
            text.push_str("| began ms | took ms | request |\n|---:|---:|---|\n");
            for (what, begin, took) in run.traffic.chain.iter().take(40) {
                let (begin, took) = (milliseconds(*begin), milliseconds(*took));
                let _ = writeln!(text, "| {begin:.0} | {took:.0} | `{}` |", short(what));
            }
        }
        text
    }

    fn json(&self) -> Value {
        let Setting { date, machine, versions } = &self.setting;
        json!({
            "date": date,
            "machine": machine,
            "versions": versions,
            "scenarios": self.outcomes.iter().map(scenario).collect::<Vec<_>>(),
            "in_process": self.in_process.as_ref().map(InProcess::json),
        })
    }
}

/// One row, for the terminal as well.
pub(crate) fn line(outcome: &Outcome, row: &Row) -> String {
    let scenario = outcome.scenario;
    let name = row.program.name();
    if let Some(failure) = &row.failure {
        let reason: String = failure.lines().last().unwrap_or_default().chars().take(200).collect();
        return format!("| {} | {name} | failed: {reason} | | | | | | | |\n", scenario.name);
    }
    let number = |value: Option<f64>, scale: f64| {
        value.map_or_else(String::new, |value| digits(value * scale))
    };
    let count = |value: Option<usize>| {
        value.filter(|value| *value > 0).map_or_else(String::new, |value| value.to_string())
    };
    let ratio = outcome.ratio(Program::Ambisign, row.program, Figure::Wall);
    let ratio = ratio.filter(|_| row.program != Program::Ambisign);
    let wall = row.median(Figure::Wall);
    let of_limit = outcome.limit().and_then(|limit| Some(wall? / limit));
    format!(
        "| {} | {name} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        scenario.name,
        number(wall, 1e3),
        number(row.median(Figure::Cpu), 1e3),
        number(row.median(Figure::Memory), 1e-6),
        count(row.traffic(|traffic| traffic.requests)),
        count(row.traffic(|traffic| traffic.connections)),
        count(row.traffic(|traffic| traffic.round_trips)),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}")),
        of_limit.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
    )
}

/// A goal with what was found.
pub(crate) fn goal_line(outcome: &Outcome, goal: &Goal) -> String {
    let figure = match goal.figure {
        Figure::Wall => "wall",
        Figure::Cpu => "CPU",
        Figure::Memory => "memory",
        Figure::Size => "size",
    };
    let (found, verdict) = match outcome.reached(goal) {
        Some((found, true)) => (format!("{found:.3}"), "reached"),
        Some((found, false)) => (format!("{found:.3}"), "**missed**"),
        None => (String::new(), "not measured"),
    };
    let (name, of) = (outcome.scenario.name, goal.of.name());
    format!("| {name}, {figure} | {of} | {found} | {:.3} | {verdict} |\n", goal.most)
}

fn scenario(outcome: &Outcome) -> Value {
    let rows = outcome.rows.iter().map(|row| {
        json!({
            "program": row.program.name(),
            "wall_seconds": row.median(Figure::Wall),
            "cpu_seconds": row.median(Figure::Cpu),
            "memory_bytes": row.median(Figure::Memory),
            "size_bytes": row.size,
            "requests": row.traffic(|traffic| traffic.requests),
            "connections": row.traffic(|traffic| traffic.connections),
            "round_trips": row.traffic(|traffic| traffic.round_trips),
            "servers_cpu_seconds": row.servers(),
            "rounds": row.runs.len(),
            "wall_ratio": outcome.ratio(Program::Ambisign, row.program, Figure::Wall),
            "cpu_ratio": outcome.ratio(Program::Ambisign, row.program, Figure::Cpu),
            "memory_ratio": outcome.ratio(Program::Ambisign, row.program, Figure::Memory),
            "failure": row.failure,
        })
    });
    json!({
        "name": outcome.scenario.name,
        "what": outcome.scenario.work.text(),
        "limit_seconds": outcome.limit(),
        "programs": rows.collect::<Vec<_>>(),
    })
}

fn title(outcome: &Outcome) -> String {
    format!("{}: {}", outcome.scenario.name, outcome.scenario.work.text().replace('`', ""))
}

fn bars(outcome: &Outcome) -> Vec<chart::Bar> {
    let programs = outcome.rows.iter().filter_map(|row| {
        let milliseconds = row.median(Figure::Wall)? * 1e3;
        let ours = row.program == Program::Ambisign;
        Some(chart::Bar { name: row.program.name().to_owned(), milliseconds, ours })
    });
    let limit = outcome.limit().map(|limit| chart::Bar {
        name: "the limit".to_owned(),
        milliseconds: limit * 1e3,
        ours: false,
    });
    programs.chain(limit).collect()
}

/// Three digits that matter.
pub(crate) fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// A request without the long part of its digests.
fn short(what: &str) -> String {
    let mut text = String::new();
    let mut hex = 0;
    for character in what.chars() {
        hex = if character.is_ascii_hexdigit() { hex + 1 } else { 0 };
        match hex {
            9 => text.push('…'),
            10.. => {}
            _ => text.push(character),
        }
    }
    text
}
