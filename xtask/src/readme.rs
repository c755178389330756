//! The section of crates/README.md with an example for each crate: the first paragraph and the first
//! example of the crate's own README, where the example is compiled.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};

use crate::tidy::LAYERS;
use crate::workspace;

const BEGIN: &str = "<!-- crates: written by `cargo xtask codegen` -->\n";
const END: &str = "<!-- crates: end -->\n";

/// Writes the section, or with `check` compares it.
pub(crate) fn run(check: bool) -> Result<()> {
    let path = workspace::root().join("crates/README.md");
    let readme = std::fs::read_to_string(&path)?;
    let (before, rest) =
        readme.split_once(BEGIN).context("crates/README.md has no section of examples")?;
    let (found, after) =
        rest.split_once(END).context("the section of examples in crates/README.md has no end")?;
    let expected = section()?;
    if found == expected {
        return Ok(());
    }
    if check {
        bail!("the examples in crates/README.md are stale: run `cargo xtask codegen`");
    }
    std::fs::write(path, format!("{before}{BEGIN}{expected}{END}{after}"))?;
    Ok(())
}

fn section() -> Result<String> {
    let mut section = String::new();
    let libraries = LAYERS.iter().copied().flatten().filter(|name| **name != "cli");
    for directory in libraries {
        let path = workspace::root().join("crates").join(directory).join("README.md");
        let readme = std::fs::read_to_string(&path)
            .with_context(|| format!("crates/{directory} has no README.md"))?;
        let part = Part::of(&readme).with_context(|| format!("crates/{directory}/README.md"))?;
        let Part { name, summary, example } = part;
        write!(
            section,
            "\n### [{name}]({directory}/README.md)\n\n{summary}\n\n```rust\n{example}```\n"
        )?;
    }
    section.push('\n');
    Ok(section)
}

/// The block of code that a line is in.
#[derive(Clone, Copy)]
enum CodeBlock {
    None,
    Rust,
    Other,
}

struct Part {
    name: String,
    summary: String,
    example: String,
}

impl Part {
    fn of(readme: &str) -> Result<Self> {
        let name = readme.lines().next().and_then(|line| line.strip_prefix("# "));
        let name = name.context("expected a heading in its first line")?.to_owned();
        let summary = readme.split("\n\n").nth(1).context("expected a paragraph")?.trim();
        let mut example = String::new();
        let mut fence = CodeBlock::None;
        for line in readme.lines() {
            let info = line.strip_prefix("```");
            match (fence, info) {
                (CodeBlock::None, Some("" | "rust" | "rust,no_run" | "no_run")) => {
                    fence = CodeBlock::Rust;
                }
                (CodeBlock::None, Some(_)) => fence = CodeBlock::Other,
                (CodeBlock::None, None) => {}
                (CodeBlock::Rust, Some(_)) => break,
                (CodeBlock::Other, Some(_)) => fence = CodeBlock::None,
                // What rustdoc hides, too.
                (CodeBlock::Rust, None) if line == "#" || line.starts_with("# ") => {}
                (CodeBlock::Rust, None) => {
                    example.push_str(line);
                    example.push('\n');
                }
                (CodeBlock::Other, None) => {}
            }
        }
        ensure!(!example.is_empty(), "expected an example in Rust");
        let example = format!("{}\n", example.trim());
        Ok(Self { name, summary: summary.to_owned(), example })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use crate::workspace;

    #[test]
    fn the_sandbox_that_the_readme_starts_is_signed_with() {
        let readme = std::fs::read_to_string(workspace::root().join("README.md")).unwrap();
        let (_, script) = readme.split_once("```sh\nsigstore-sandbox").unwrap();
        let (script, _) = script.split_once("```").unwrap();
        let programs = workspace::build_programs().unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("README.md"), &readme).unwrap();
        // Whatever happens, the sandbox ends with the script.
        let script = format!("set -e\ntrap 'kill $! || true' EXIT\nsigstore-sandbox{script}");
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(&directory)
            .env_clear()
            .env("HOME", directory.path())
            .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:#?}");
        assert!(text.contains(r#""provider":"github-actions""#), "{text}");
    }

    #[test]
    fn the_map_of_the_crates_shows_the_examples_that_are_compiled() {
        super::run(true).unwrap();
    }
}
