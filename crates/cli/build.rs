//! Leaves the tables for unwinding out of the release program, which aborts where it would panic, and
//! writes its relocations in their short form where the C library reads that.

use std::env::{var, var_os};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=release.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // One linker knows no linker scripts.
    let knows = !var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().contains("mold");
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && knows {
        let script = var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
        let script = std::path::Path::new(&script).join("release.ld");
        println!("cargo::rustc-link-arg-bins=-Wl,-T,{}", script.display());
        println!("cargo::rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        let is_here = var_os("HOST") == var_os("TARGET");
        if is("CARGO_CFG_TARGET_ENV", "musl") || is_here && is_recent() {
            println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        }
    }
}

/// Whether this machine has glibc 2.36 or later. The program then needs as much.
fn is_recent() -> bool {
    let said = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok();
    let version = said.and_then(|said| String::from_utf8(said.stdout).ok()).unwrap_or_default();
    let minor = version.trim().strip_prefix("glibc 2.").and_then(|minor| minor.parse().ok());
    minor.is_some_and(|minor: u32| minor >= 36)
}
