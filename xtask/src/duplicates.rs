//! Runs of equal lines that stand in two crates: one of them should call the other's.
//!
//! Blank lines, comments, imports, attributes and lone punctuation do not count.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;

use crate::source;

/// So many equal lines are too many.
const RUN: usize = 6;

/// A line that counts, and its number in the file.
type Line = (usize, String);

/// A file, and the crate that it belongs to.
struct File {
    of: String,
    path: PathBuf,
    lines: Vec<Line>,
}

/// The runs that stand in two crates. Each of `crates` is a name and its directories of sources.
pub(crate) fn find(crates: &[(String, Vec<PathBuf>)], but_for: &[&str]) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for (of, directories) in crates {
        for path in directories.iter().filter(|path| path.is_dir()) {
            for path in source::rust_files(path)? {
                if !but_for.iter().any(|name| path.ends_with(name)) {
                    let lines = counted(&std::fs::read_to_string(&path)?);
                    files.push(File { of: of.clone(), path, lines });
                }
            }
        }
    }
    let mut places: BTreeMap<Vec<&str>, Vec<(&File, usize)>> = BTreeMap::new();
    for file in &files {
        for (at, run) in file.lines.windows(RUN).enumerate() {
            let run = run.iter().map(|(_, text)| text.as_str()).collect();
            places.entry(run).or_default().push((file, at));
        }
    }
    let mut findings = Vec::new();
    for places in places.values() {
        let Some(((first, at), rest)) = places.split_first() else { continue };
        for (second, there) in rest.iter().filter(|(file, _)| file.of != first.of) {
            // Only where it begins.
            let before =
                |file: &File, at: usize| Some(file.lines.get(at.checked_sub(1)?)?.1.clone());
            let (here, other) = (before(first, *at), before(second, *there));
            if here.is_none() || here != other {
                findings.push(format!("{} ~ {}", shown(first, *at), shown(second, *there)));
            }
        }
    }
    Ok(findings)
}

fn shown(file: &File, at: usize) -> String {
    let line = file.lines.get(at).map_or(0, |(number, _)| *number);
    format!("{}:{line}", file.path.display())
}

fn counted(text: &str) -> Vec<Line> {
    let lines = text.lines().map(str::trim).enumerate();
    let counts = |line: &str| {
        let is_ignored =
            ["//", "use ", "pub use ", "#[", "#!["].iter().any(|it| line.starts_with(it));
        !is_ignored && line.chars().any(char::is_alphanumeric) && line != "mod tests {"
    };
    lines.filter(|(_, line)| counts(line)).map(|(at, line)| (at + 1, line.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The findings in two crates with these contents.
    fn found(a: &str, b: &str) -> usize {
        let directory = tempfile::tempdir().unwrap();
        let crates = [("a", a), ("b", b)].map(|(name, text)| {
            let place = directory.path().join(name);
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join("lib.rs"), text).unwrap();
            (name.to_owned(), vec![place])
        });
        find(&crates, &["proto.rs"]).unwrap().len()
    }

    #[test]
    fn a_run_of_six_equal_lines_in_two_crates_is_found_once() {
        let run: String = (0..8).map(|line| format!("let a{line} = {line};\n")).collect();
        let other = format!("fn f() {{\n{}}}", run.replace('\n', "\n\n    // why\n    "));
        assert_eq!(found(&run, &other), 1);
        assert_eq!(found(&format!("{run}{run}"), ""), 0, "within one crate");
        let [short, ..] = run.split("let a5").collect::<Vec<_>>()[..] else { return };
        assert_eq!(found(short, &other), 0, "five lines");
    }
}
