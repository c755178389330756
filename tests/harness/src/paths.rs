//! Where the program, the build directory and the sources are.

use std::path::{Path, PathBuf};

/// The program under test.
///
/// Cargo names it at run time; where it does not (before 1.94), it lies beside the directory of the
/// running test.
pub fn ambisign() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_ambisign")
        .map_or_else(|| profile().join("ambisign"), PathBuf::from)
}

/// The sandbox's program, which `cargo test --workspace` builds beside ours.
///
/// # Panics
/// It was not built.
pub fn sandbox_program() -> PathBuf {
    let program = profile().join("sigstore-sandbox");
    assert!(program.is_file(), "no {}: cargo build -p sigstore-sandbox", program.display());
    program
}

/// The build directory, `target`.
pub fn target() -> PathBuf {
    profile().parent().unwrap().to_owned()
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The directory of the profile, `target/debug`: tests run in `target/debug/deps`.
fn profile() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}
