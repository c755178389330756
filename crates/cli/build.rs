//! Leaves the tables for unwinding out of the release program, which aborts where it would panic.

use std::env::{var, var_os};

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
    }
}
