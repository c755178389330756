//! `ambisign version`: no runtime, no file, no network.

use crate::flags::version as text;
use crate::output::{Console, json_line};

pub(crate) fn version(json: bool, console: &Console) {
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let version = env!("CARGO_PKG_VERSION");
    let report =
        serde_json::json!({ "name": "ambisign", "version": version, "platform": platform });
    console.data(&if json { json_line(&report) } else { format!("ambisign {}", text()) });
}
