//! What lies in the archive beside the programs: completions, manual pages, texts.

use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use clap_complete::Shell;

use crate::workspace;

/// Texts of the repository that go along.
const TEXTS: [&str; 3] = ["LICENSE", "README.md", "CHANGELOG.md"];

/// Writes all of it below `stage`.
pub(super) fn write(stage: &Path) -> Result<()> {
    let completions = stage.join("completions");
    std::fs::create_dir(&completions)?;
    for shell in Shell::value_variants() {
        let mut command = ambisign::command();
        clap_complete::generate_to(*shell, &mut command, "ambisign", &completions)
            .with_context(|| format!("no completions for {shell}"))?;
    }
    let man = stage.join("man/man1");
    std::fs::create_dir_all(&man)?;
    clap_mangen::generate_to(ambisign::command().name("ambisign"), &man)
        .context("no manual pages")?;
    for text in TEXTS {
        std::fs::copy(workspace::root().join(text), stage.join(text))?;
    }
    let sandbox = workspace::root().join("crates/sandbox/README.md");
    std::fs::copy(sandbox, stage.join("sigstore-sandbox.md"))?;
    Ok(())
}
