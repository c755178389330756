//! The licences of everything that is linked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, ensure};

use super::dependencies::Package;

/// How the names of such files begin.
const NAMES: [&str; 5] = ["license", "licence", "copying", "copyright", "notice"];

/// Each different text once, after the packages that have it.
pub(super) fn text(packages: &[Package]) -> Result<String> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut named = String::new();
    for package in packages.iter().filter(|package| !package.is_ours()) {
        let licence = package.licence.as_deref().unwrap_or("see below");
        let title = format!("{} {}", package.name, package.version);
        writeln!(named, "{title}: {licence}")?;
        let files = files(&package.directory)?;
        ensure!(
            package.licence.is_some() || !files.is_empty(),
            "{title} says nothing about its licence"
        );
        for text in files {
            texts.entry(text).or_default().push(title.clone());
        }
    }
    let mut all = format!(
        "ambisign is licensed under Apache-2.0 (LICENSE). These packages are linked into its \
         programs:\n\n{named}"
    );
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|(_, a), (_, b)| a.cmp(b));
    for (text, packages) in texts {
        write!(all, "\n{}\n\n{}\n\n{text}\n", "=".repeat(80), packages.join(", "))?;
    }
    Ok(all)
}

fn files(directory: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        if NAMES.iter().any(|known| name.starts_with(known)) && entry.path().is_file() {
            files.push(String::from_utf8_lossy(&std::fs::read(entry.path())?).trim().to_owned());
        }
    }
    files.sort();
    Ok(files)
}
