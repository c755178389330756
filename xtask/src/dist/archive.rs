//! Archives whose bytes depend on nothing but their content.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use keys::Digest;
use xshell::cmd;

use crate::workspace;

/// Copies a program and makes it executable.
pub(crate) fn put_program(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Packs the directory `stage`, under its own name, into `archive` (GNU tar, gzip).
pub(crate) fn pack(stage: &Path, archive: &Path) -> Result<()> {
    let parent = stage.parent().context("a directory without a parent")?;
    let name = stage.file_name().context("a directory without a name")?;
    let tar = archive.with_extension("");
    tar_of("--create", parent, &[name], CLOSED, &tar)?;
    gzip(&tar).map(drop)
}

/// Packs what is in `root` as the root of a layer. Everybody may write into its `tmp`.
pub(crate) fn tar_of_content(root: &Path, tar: &Path) -> Result<()> {
    let names = std::fs::read_dir(root)?.map(|entry| entry.map(|it| it.file_name()));
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    let (open, closed): (Vec<_>, Vec<_>) = names.iter().partition(|name| *name == "tmp");
    tar_of("--create", root, &closed, CLOSED, tar)?;
    tar_of("--append", root, &open, "1777", tar)
}

/// Compresses `tar`, without a time and a name in it, and returns the path of what replaced it.
pub(crate) fn gzip(tar: &Path) -> Result<PathBuf> {
    let shell = workspace::shell()?;
    cmd!(shell, "gzip --force --no-name --best {tar}").quiet().run()?;
    Ok(PathBuf::from(format!("{}.gz", tar.display())))
}

/// Everybody may read, and run what can be run.
const CLOSED: &str = "u=rwX,go=rX";

/// Sorted, of no owner, and as old as the sources.
fn tar_of(
    how: &str,
    parent: &Path,
    names: &[impl AsRef<OsStr>],
    mode: &str,
    tar: &Path,
) -> Result<()> {
    let shell = workspace::shell()?;
    let (mtime, mode) = (format!("--mtime=@{}", source_date()?), format!("--mode={mode}"));
    let options = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"];
    cmd!(
        shell,
        "tar {how} {options...} {mode} {mtime} --file {tar} --directory {parent} {names...}"
    )
    .quiet()
    .run()?;
    Ok(())
}

/// When the sources were committed, in seconds since 1970; `SOURCE_DATE_EPOCH` says otherwise.
pub(crate) fn source_date() -> Result<u64> {
    if let Ok(date) = std::env::var("SOURCE_DATE_EPOCH") {
        return date.parse().context("SOURCE_DATE_EPOCH is not a number of seconds");
    }
    let shell = workspace::shell()?;
    let date = cmd!(shell, "git log -1 --format=%ct").quiet().read();
    date.context("no commit: set SOURCE_DATE_EPOCH")?.trim().parse().context("git gave no time")
}

/// Writes `SHA256SUMS` of `files`, as sha256sum does, and returns its path.
pub(crate) fn write_sums(home: &Path, files: &[PathBuf]) -> Result<PathBuf> {
    let mut sums = String::new();
    for file in files {
        let name = file.file_name().context("a file without a name")?.to_string_lossy();
        writeln!(sums, "{}  {name}", digest_of(file)?)?;
    }
    let path = home.join("SHA256SUMS");
    std::fs::write(&path, sums)?;
    Ok(path)
}

/// The SHA-256 of a file, in hex.
pub(crate) fn digest_of(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Digest::sha256(&bytes).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_depends_on_nothing_but_the_names_and_contents_of_its_files() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (directory, order) in [(&first, ["b", "a"]), (&second, ["a", "b"])] {
            let stage = directory.path().join("stage");
            std::fs::create_dir(&stage).unwrap();
            for name in order {
                std::fs::write(stage.join(name), name).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            put_program(&stage.join("a"), &stage.join("program")).unwrap();
            pack(&stage, &directory.path().join("a.tar.gz")).unwrap();
        }
        let digest = |directory: &tempfile::TempDir| digest_of(&directory.path().join("a.tar.gz"));
        assert_eq!(digest(&first).unwrap(), digest(&second).unwrap());
    }
}
