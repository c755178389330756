//! `ambisign version`: no runtime, no file, no network.

use serde_json::json;

use crate::flags::{VersionFlags, version as text};
use crate::output::{Console, json_line};

pub(crate) fn version(flags: &VersionFlags, console: &Console) {
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    let report = json!({ "name": "ambisign", "version": version, "platform": platform });
    console.data(&if flags.json { json_line(&report) } else { format!("ambisign {}", text()) });
}
