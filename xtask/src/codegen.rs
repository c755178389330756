//! The code of proto/, generated without protoc and committed, so that nobody who only builds
//! needs a generator.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::{readme, workspace};

/// What is generated from proto/spiffe/workload.proto: the file, and which side of the wire.
const OUTPUTS: [(&str, Side); 2] = [
    ("crates/spiffe-workload-api/src/proto.rs", Side::Client),
    ("crates/sandbox/src/spiffe/proto.rs", Side::Server),
];

/// Messages that hold tokens or private keys and therefore must not be printable.
const SECRET: [&str; 5] =
    ["JWTSVID", "JWTSVIDResponse", "ValidateJWTSVIDRequest", "X509SVID", "X509SVIDResponse"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// The task `codegen`: writes the files, or with `check` compares them and fails on a difference.
pub(crate) fn run(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for (file, side) in OUTPUTS {
        let path = workspace::root().join(file);
        let code = generate(side).with_context(|| format!("cannot generate {file}"))?;
        if check {
            if std::fs::read_to_string(&path).ok().as_deref() != Some(code.as_str()) {
                stale.push(file);
            }
        } else {
            std::fs::write(&path, code).with_context(|| format!("cannot write {file}"))?;
        }
    }
    if !stale.is_empty() {
        bail!("{} not what proto/ says: run `cargo xtask codegen`", stale.join(" and "));
    }
    readme::run(check)
}

fn generate(side: Side) -> Result<String> {
    let includes = workspace::root().join("proto");
    let descriptors = protox::compile(["spiffe/workload.proto"], [&includes])?;
    let directory = scratch(side)?;
    tonic_prost_build::configure()
        .build_client(side == Side::Client)
        .build_server(side == Side::Server)
        // Would name tonic's own TCP transport; we bring a connection of our own.
        .build_transport(false)
        .skip_debug(SECRET)
        .out_dir(&directory)
        .compile_fds(descriptors)?;
    // The file has no package, and a file without one is called so.
    let code = std::fs::read_to_string(directory.join("_.rs"))?;
    std::fs::remove_dir_all(&directory)?;
    Ok(code)
}

fn scratch(side: Side) -> Result<PathBuf> {
    let side = match side {
        Side::Client => "client",
        Side::Server => "server",
    };
    let name = format!("{side}-{}", std::process::id());
    let directory = workspace::target().join("codegen").join(name);
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_code_is_what_proto_says() {
        super::run(true).unwrap();
    }
}
