//! A browser that is steered over its debugging port.

use std::path::{Path, PathBuf};

use crate::peers::Peers;
use crate::program::Program;
use crate::skip::skip;

/// Chromium, and node, which steers it.
pub struct Browser {
    chromium: PathBuf,
    node: PathBuf,
}

impl Browser {
    /// Where Chromium is missing, the running test is skipped.
    pub fn find() -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let chromium = std::env::split_paths(&path).map(|place| place.join("chromium"));
        let Some(chromium) = chromium.into_iter().find(|chromium| chromium.is_file()) else {
            skip("no chromium; as root: apt-get install --no-install-recommends chromium");
            return None;
        };
        Some(Self { chromium, node: Peers::find().node })
    }

    /// A script of node that is told where Chromium is by the variable `CHROMIUM`, with `directory`
    /// as its home.
    pub fn script(&self, script: &Path, directory: &Path) -> Program {
        Program::at(&self.node, directory).env("CHROMIUM", &self.chromium).arg(script)
    }
}
