//! Writes the tables and charts of the documentation from the last report.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::page;
use crate::workspace;

const BEGIN: &str = "<!-- bench: written by `cargo xtask bench --publish` -->\n";
const END: &str = "<!-- bench: end -->\n";

/// The charts that the documentation shows.
const CHARTS: &[&str] = &[
    "start",
    "sign-10-far-referrers",
    "verify-10-far",
    "signatures-100",
    "sign-blob-1gib",
    "growth-images",
    "growth-referrers",
    "growth-policy",
];

/// Reads `target/bench` and writes `docs/costs.md`, its charts, and the README's table.
pub(crate) fn run() -> Result<()> {
    let measured = workspace::target().join("bench");
    let report_file = measured.join("report.json");
    let json = std::fs::read(&report_file).with_context(|| {
        format!("{} is missing: run `cargo xtask bench`", report_file.display())
    })?;
    let report: Value = serde_json::from_slice(&json)?;
    let root = workspace::root();
    let charts = root.join("docs/costs");
    std::fs::create_dir_all(&charts)?;
    let mut shown = String::new();
    // A chart of an earlier run may still lie there.
    let measured_now = |name: &str| {
        let parts = [&report["scenarios"], &report["growth"]];
        let mut all = parts.into_iter().filter_map(Value::as_array).flatten();
        all.any(|part| part["name"].as_str() == Some(name))
    };
    for name in CHARTS.iter().filter(|name| measured_now(name)) {
        let (chart, file) = (measured.join(format!("{name}.svg")), format!("{name}.svg"));
        std::fs::copy(&chart, charts.join(&file))
            .with_context(|| format!("the chart {} cannot be copied", chart.display()))?;
        shown.push_str(&format!("![{name}](costs/{file})\n"));
    }
    ensure!(!shown.is_empty(), "{} names no scenario with a chart", report_file.display());
    let whole = page::whole(&report);
    replace(&root.join("docs/costs.md"), &format!("\n{whole}\n## Charts\n\n{shown}\n"))?;
    let table = format!("\n{}\n{}\n", page::short_table(&report), page::head(&report));
    replace(&root.join("README.md"), &table)?;
    println!("wrote docs/costs.md, docs/costs/*.svg and the table of README.md");
    Ok(())
}

/// Writes `text` between the two marks of the file.
fn replace(path: &Path, text: &str) -> Result<()> {
    let page = std::fs::read_to_string(path)?;
    let marks = || format!("{} has no place for the measurements", path.display());
    let (before, rest) = page.split_once(BEGIN).with_context(marks)?;
    let (_, after) = rest.split_once(END).with_context(marks)?;
    std::fs::write(path, format!("{before}{BEGIN}{text}{END}{after}"))?;
    Ok(())
}
