//! `ambisign version`: no runtime, no file, no network.

use serde_json::json;

use crate::flags::{VersionFlags, version as text};
use crate::output::Console;

pub(crate) fn version(flags: &VersionFlags, console: &Console) {
    if flags.json {
        let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
        let version = env!("CARGO_PKG_VERSION");
        console.json(&json!({ "name": "ambisign", "version": version, "platform": platform }));
    } else {
        console.data(&format!("ambisign {}", text()));
    }
}
