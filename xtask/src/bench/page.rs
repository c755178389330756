//! A report as Markdown: `report.md`, and the tables of the documentation.

use std::fmt::Write as _;

use serde_json::Value;

/// The whole report.
pub(crate) fn whole(report: &Value) -> String {
    format!("{}\n{}{}", head(report), scenarios(report), sections(report))
}

/// Date, machine and versions, in one paragraph.
pub(crate) fn head(report: &Value) -> String {
    let versions = list(report, "versions").iter().filter_map(Value::as_str);
    let versions = versions.collect::<Vec<_>>().join(", ");
    let (date, machine) = (text(report, "date"), text(report, "machine"));
    format!("Measured on {date} with `cargo xtask bench`: {machine}; {versions}.\n")
}

/// Every scenario and program, the goals, and what bounds those that were missed.
pub(crate) fn scenarios(report: &Value) -> String {
    let mut all = String::from(TABLE);
    let mut goals = String::new();
    let mut bounds = String::new();
    for scenario in list(report, "scenarios") {
        all.push_str(&rows(scenario));
        goals.push_str(&goals_of(scenario));
        if let Some(bound) = scenario["bound"].as_str() {
            let name = text(scenario, "name");
            let _ = writeln!(bounds, "\n### What bounds {name}\n\n{}", bound.trim_end());
        }
    }
    if !goals.is_empty() {
        let _ = write!(all, "\n## Goals\n\n{GOALS}{goals}");
    }
    all + &bounds
}

/// The sections after the tables.
fn sections(report: &Value) -> String {
    let others = list(report, "growth").iter().chain([&report["in_process"], &report["counts"]]);
    let mut all: String = others.filter_map(|section| section["markdown"].as_str()).collect();
    let not_begun = list(report, "not_begun").iter().filter_map(Value::as_str);
    let not_begun = not_begun.collect::<Vec<_>>().join(", ");
    if !not_begun.is_empty() {
        let _ = writeln!(all, "\nNo time was left for: {not_begun}.");
    }
    all
}

const TABLE: &str = "| | | wall ms | CPU ms | memory MB | requests | connections | round trips | \
                     wall of ours | of the limit |\n|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n";
const GOALS: &str = "| | of | found | at most | |\n|---|---|---:|---:|---|\n";

/// The rows of one scenario, for the terminal as well.
pub(crate) fn rows(scenario: &Value) -> String {
    list(scenario, "programs").iter().map(|row| line(scenario, row)).collect()
}

fn line(scenario: &Value, row: &Value) -> String {
    let (name, program) = (text(scenario, "name"), text(row, "program"));
    if let Some(failure) = row["failure"].as_str() {
        let reason: String = reason(failure).chars().take(200).collect();
        return format!("| {name} | {program} | failed: {reason} | | | | | | | |\n");
    }
    let number = |field: &str, scale: f64| {
        row[field].as_f64().map_or_else(String::new, |value| digits(value * scale))
    };
    let count = |field: &str| {
        let count = row[field].as_u64().filter(|count| *count > 0);
        count.map_or_else(String::new, |count| count.to_string())
    };
    let ratio = row["wall_ratio"].as_f64().filter(|_| program != "ambisign");
    let of_limit = row["of_limit"].as_f64();
    format!(
        "| {name} | {program} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        number("wall_seconds", 1e3),
        number("cpu_seconds", 1e3),
        number("memory_bytes", 1e-6),
        count("requests"),
        count("connections"),
        count("round_trips"),
        ratio.map_or_else(String::new, |ratio| format!("{ratio:.3}")),
        of_limit.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
    )
}

/// The line of a failure that says most: a program's first cause, its error, or the last line.
fn reason(failure: &str) -> &str {
    let mut lines = failure.lines().filter(|line| !line.contains(" ended with "));
    let says = |what: &str| lines.clone().find(|line| line.contains(what));
    let found = says("because:").or_else(|| says("rror:"));
    let at = |line: &'_ str| line.find("because:").or_else(|| line.find("rror:")).unwrap_or(0);
    let found = found.map(|line| line.get(at(line).saturating_sub(1)..).unwrap_or(line).trim());
    found.or_else(|| lines.next_back()).or_else(|| failure.lines().last()).unwrap_or_default()
}

/// The goals of one scenario with what was found.
pub(crate) fn goals_of(scenario: &Value) -> String {
    let name = text(scenario, "name");
    let one = |goal: &Value| {
        let (figure, of) = (text(goal, "figure"), text(goal, "of"));
        let number = |field: &str| {
            goal[field].as_f64().map_or_else(String::new, |value| format!("{value:.3}"))
        };
        let verdict = match goal["reached"].as_bool() {
            Some(true) => "reached",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let (found, most) = (number("found"), number("most"));
        format!("| {name}, {figure} | {of} | {found} | {most} | {verdict} |\n")
    };
    list(scenario, "goals").iter().map(one).collect()
}

/// The short table of the README: what both programs do, in time and memory.
pub(crate) fn short_table(report: &Value) -> String {
    let mut table = String::from("| | ambisign | cosign | ratio |\n|---|---:|---:|---:|\n");
    for (name, what, figure) in SHORT {
        let scenarios = list(report, "scenarios");
        let Some(scenario) = scenarios.iter().find(|one| text(one, "name") == *name) else {
            continue;
        };
        let row =
            |program| list(scenario, "programs").iter().find(|row| text(row, "program") == program);
        let (Some(ours), Some(theirs)) = (row("ambisign"), row("cosign")) else { continue };
        let (field, ratio) = match figure {
            Short::Time => ("wall_seconds", "wall_ratio"),
            Short::Memory => ("memory_bytes", "memory_ratio"),
            Short::Size => ("size_bytes", ""),
        };
        let (Some(a), Some(b)) = (ours[field].as_f64(), theirs[field].as_f64()) else { continue };
        let items = f64::from(items(name));
        let shown = |value: f64| match figure {
            Short::Time => time(value * items),
            Short::Memory | Short::Size => format!("{} MB", digits(value / 1e6)),
        };
        let ratio = theirs[ratio].as_f64().unwrap_or(a / b);
        let _ = writeln!(table, "| {what} | {} | {} | {ratio:.2} |", shown(a), shown(b));
    }
    table
}

#[derive(Clone, Copy)]
enum Short {
    Time,
    Memory,
    Size,
}

const SHORT: &[(&str, &str, Short)] = &[
    ("start", "size of the program", Short::Size),
    ("start", "start (`version`)", Short::Time),
    ("sign-1-referrers", "`sign` of one image, everything on this machine", Short::Time),
    ("sign-1-far-referrers", "the same, far", Short::Time),
    ("sign-10-far-referrers", "`sign` of ten images, far", Short::Time),
    ("sign-50-far", "`sign` of fifty images, far", Short::Time),
    ("verify-digest-far-referrers", "`verify` of one image by digest, far", Short::Time),
    ("verify-10-far", "`verify` of ten images, far", Short::Time),
    ("signatures-100", "`verify` of one image with 100 signatures", Short::Time),
    ("sign-blob-1gib", "`sign-blob` of 1 GiB", Short::Time),
    ("sign-blob-1gib", "its memory", Short::Memory),
    ("sign-200", "memory of `sign` of 200 images", Short::Memory),
];

/// How many things a scenario of the short table does, whose times are those of each.
fn items(name: &str) -> u16 {
    let count = name.strip_prefix("sign-").or_else(|| name.strip_prefix("verify-"));
    let count = count.and_then(|rest| rest.split('-').next());
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

fn time(seconds: f64) -> String {
    match seconds {
        long if long >= 1.0 => format!("{} s", digits(long)),
        short => format!("{} ms", digits(short * 1e3)),
    }
}

/// Three digits that matter.
pub(crate) fn digits(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_short_table_has_the_time_of_all_images_and_the_ratio_of_the_rounds() {
        let row = |program: &str, wall: f64| json!({ "program": program, "wall_seconds": wall, "wall_ratio": 0.1 });
        let programs = [row("ambisign", 0.025), row("cosign", 0.26)];
        let report = json!({
            "scenarios": [{ "name": "verify-10-far", "programs": programs }],
        });
        let expected = "| `verify` of ten images, far | 250 ms | 2.60 s | 0.10 |\n";
        assert!(short_table(&report).ends_with(expected), "{}", short_table(&report));
    }

    #[test]
    fn a_program_that_failed_is_a_row_with_the_reason() {
        let row = |failure: &str| {
            let programs = [json!({ "program": "cosign", "failure": failure })];
            rows(&json!({ "name": "sign-1", "programs": programs }))
        };
        let late = "| sign-1 | cosign | failed: not done within 20 s |";
        assert!(row("first\nnot done within 20 s").starts_with(late));
        let refused = "x failed: error: no\nbecause: too long\nhint: y\nerror: x ended with 1";
        assert!(row(refused).starts_with("| sign-1 | cosign | failed: because: too long |"));
        let theirs = "x failed: Error: signing: EOF\nerror: x ended with 1";
        assert!(row(theirs).starts_with("| sign-1 | cosign | failed: Error: signing: EOF |"));
    }
}
