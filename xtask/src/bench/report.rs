//! What was measured, as JSON, from which every table is made, and as charts.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::chart;
use super::growth::Grown;
use super::in_process::InProcess;
use super::lab::Program;
use super::page;
use super::place::{Counts, Setting};
use super::rounds::{Outcome, Row, milliseconds};
use super::scenarios::{Figure, Goal};

/// All results of one call.
pub(crate) struct Report {
    setting: Setting,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) growth: Vec<Grown>,
    pub(crate) in_process: Option<InProcess>,
    pub(crate) counts: Option<Counts>,
    /// For which no time was left.
    pub(crate) not_begun: Vec<&'static str>,
}

impl Report {
    pub(crate) fn new(setting: Setting) -> Self {
        Self {
            setting,
            outcomes: Vec::new(),
            growth: Vec::new(),
            in_process: None,
            counts: None,
            not_begun: Vec::new(),
        }
    }

    /// Writes `report.md`, `report.json` and a chart for each scenario to `directory`.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        let report = self.json();
        std::fs::write(directory.join("report.md"), page::whole(&report))?;
        let json = serde_json::to_string_pretty(&report)?;
        std::fs::write(directory.join("report.json"), format!("{json}\n"))?;
        for outcome in &self.outcomes {
            let path = directory.join(format!("{}.svg", outcome.scenario.name));
            std::fs::write(path, chart::bars(&title(outcome), &bars(outcome)))?;
        }
        Ok(())
    }

    pub(crate) fn json(&self) -> Value {
        let Setting { date, machine, versions } = &self.setting;
        json!({
            "date": date,
            "machine": machine,
            "versions": versions,
            "scenarios": self.outcomes.iter().map(scenario).collect::<Vec<_>>(),
            "growth": self.growth.iter().map(Grown::json).collect::<Vec<_>>(),
            "in_process": self.in_process.as_ref().map(InProcess::json),
            "counts": self.counts.as_ref().map(Counts::json),
            "not_begun": self.not_begun,
        })
    }
}

/// One scenario.
pub(crate) fn scenario(outcome: &Outcome) -> Value {
    let limit = outcome.limit();
    let rows = outcome.rows.iter().map(|row| {
        let ratio = |figure| outcome.ratio(Program::Ambisign, row.program, figure);
        let wall = row.median(Figure::Wall);
        json!({
            "program": row.program.name(),
            "wall_seconds": wall,
            "cpu_seconds": row.median(Figure::Cpu),
            "memory_bytes": row.median(Figure::Memory),
            "size_bytes": row.size,
            "requests": row.traffic(|traffic| traffic.requests),
            "connections": row.traffic(|traffic| traffic.connections),
            "round_trips": row.traffic(|traffic| traffic.round_trips),
            "servers_cpu_seconds": row.servers(),
            "rounds": row.runs.len(),
            "wall_ratio": ratio(Figure::Wall),
            "cpu_ratio": ratio(Figure::Cpu),
            "memory_ratio": ratio(Figure::Memory),
            "of_limit": limit.and_then(|limit| Some(wall? / limit)),
            "failure": row.failure,
        })
    });
    let goals = outcome.scenario.goals.iter().map(|goal| {
        let found = outcome.reached(goal);
        json!({
            "figure": name_of(goal.figure),
            "of": goal.of.name(),
            "most": goal.most,
            "found": found.map(|(found, _)| found),
            "reached": found.map(|(_, reached)| reached),
        })
    });
    json!({
        "name": outcome.scenario.name,
        "what": outcome.scenario.work.text(),
        "limit_seconds": limit,
        "programs": rows.collect::<Vec<_>>(),
        "goals": goals.collect::<Vec<_>>(),
        "bound": bound(outcome),
    })
}

fn name_of(figure: Figure) -> &'static str {
    match figure {
        Figure::Wall => "wall",
        Figure::Cpu => "CPU",
        Figure::Memory => "memory",
        Figure::Size => "size",
    }
}

/// Where a goal was missed: what ours waited for, in the run in the middle.
fn bound(outcome: &Outcome) -> Option<String> {
    let missed = |goal: &Goal| outcome.reached(goal).is_some_and(|(_, reached)| !reached);
    if !outcome.scenario.goals.iter().any(missed) {
        return None;
    }
    let run = outcome.row(Program::Ambisign).and_then(Row::typical)?;
    let items = outcome.scenario.work.items(Program::Ambisign) as f64;
    let mut text = format!(
        "{:.1} ms; the program took {:.1} ms of processor time, services and registries took {:.0} \
         ms on the same cores.",
        run.wall * items * 1e3,
        run.cpu * items * 1e3,
        milliseconds(run.servers),
    );
    if !run.traffic.chain.is_empty() {
        let idle = milliseconds(run.traffic.idle);
        let _ = writeln!(text, " No request was under way for {idle:.1} ms.\n");
        text.push_str("| began ms | took ms | request |\n|---:|---:|---|\n");
        for (what, begin, took) in run.traffic.chain.iter().take(40) {
            let (begin, took) = (milliseconds(*begin), milliseconds(*took));
            let _ = writeln!(text, "| {begin:.0} | {took:.0} | `{}` |", short(what));
        }
    }
    Some(text)
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
