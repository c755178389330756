//! `ambisign version`: no runtime, no file, no network.

use serde_json::json;

use crate::failure::Exit;
use crate::flags::VersionFlags;
use crate::output::Console;

pub(crate) fn version(flags: &VersionFlags, console: &Console) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    if flags.json {
        console.json(&json!({ "name": "ambisign", "version": version, "platform": platform }));
    } else {
        console.data(&format!("ambisign {version} ({platform})"));
    }
    Exit::Done
}
