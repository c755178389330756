//! Go and the modules of the example that signs with sigstore-go.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xshell::{Shell, cmd};

use crate::{debian, workspace};

/// The oldest Go that the example takes: major, minor.
const OLDEST: (u32, u32) = (1, 26);

/// Debian's, for machines whose own is missing or older.
const PACKAGES: [&str; 2] = ["golang-1.26-go", "golang-1.26-src"];

/// Leaves in `target/peers/go`: the modules, and the path of the program in the file `program`.
pub(crate) fn fetch(shell: &Shell, home: &Path) -> Result<()> {
    let home = home.join("go");
    shell.create_dir(&home)?;
    let program = match installed(shell) {
        Some(program) => program,
        None => unpacked(shell, &home)?,
    };
    let sums = workspace::root().join("examples/go/go.sum");
    let sums = shell.read_file(sums)?;
    let fetched = home.join("fetched.sum");
    if !fetched.is_file() || shell.read_file(&fetched)? != sums {
        let _modules = shell.push_env("GOMODCACHE", home.join("modules"));
        let _cache = shell.push_env("GOCACHE", home.join("cache"));
        let _toolchain = shell.push_env("GOTOOLCHAIN", "local");
        let _directory = shell.push_dir(workspace::root().join("examples/go"));
        cmd!(shell, "{program} mod download").quiet().run()?;
        // Compiled here, so that the test that needs it takes seconds.
        let _cgo = shell.push_env("CGO_ENABLED", "0");
        let flags = ["-mod=readonly", "-buildvcs=false", "-count=1", "-run", "^$"];
        cmd!(shell, "{program} test {flags...} ./...").quiet().ignore_stdout().run()?;
        shell.write_file(&fetched, sums)?;
    }
    shell.write_file(home.join("program"), program.display().to_string())?;
    Ok(())
}

/// The machine's own, if it is new enough.
fn installed(shell: &Shell) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut places = std::env::split_paths(&path).map(|place| place.join("go"));
    let program = places.find(|program| program.is_file())?;
    let version = cmd!(shell, "{program} env GOVERSION").quiet().ignore_stderr().read().ok()?;
    is_new_enough(&version).then_some(program)
}

fn is_new_enough(version: &str) -> bool {
    let numbers = version.trim().trim_start_matches("go").split('.');
    let numbers: Vec<u32> = numbers.map_while(|number| number.parse().ok()).collect();
    matches!(numbers.as_slice(), [major, minor, ..] if (*major, *minor) >= OLDEST)
}

fn unpacked(shell: &Shell, home: &Path) -> Result<PathBuf> {
    let program = home.join("usr/lib/go-1.26/bin/go");
    if !program.is_file() {
        debian::fetch(shell, home, &PACKAGES).context("Debian's Go could not be fetched")?;
    }
    ensure!(program.is_file(), "Debian's package of Go lacks {}", program.display());
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_go_are_compared_by_number() {
        for (version, expected) in [
            ("go1.26.8", true),
            ("go1.30", true),
            ("go1.9.2", false),
            ("go1.25.8", false),
            ("devel", false),
        ] {
            assert_eq!(is_new_enough(version), expected, "{version}");
        }
    }
}
