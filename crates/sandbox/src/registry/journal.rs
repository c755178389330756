//! What changed in a registry since it started, a line each, so that a change costs as much with
//! ten thousand repositories as with one.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::state::file_error;

const NAME: &str = "changes.jsonl";

/// The longest journal read back, in bytes.
const JOURNAL_CAP: usize = 256 << 20;

/// A change of what belongs to a repository.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Change {
    Blob {
        repository: String,
        digest: String,
    },
    NoBlob {
        repository: String,
        digest: String,
    },
    Manifest {
        repository: String,
        digest: String,
        media_type: String,
        tag: Option<String>,
    },
    /// A tag alone, or a manifest by its digest with its tags.
    NoManifest {
        repository: String,
        reference: String,
    },
}

impl Change {
    pub(super) fn repository(&self) -> &str {
        match self {
            Self::Blob { repository, .. }
            | Self::NoBlob { repository, .. }
            | Self::Manifest { repository, .. }
            | Self::NoManifest { repository, .. } => repository,
        }
    }
}

/// The journal of one run.
pub(super) struct Journal(File);

impl Journal {
    /// The changes that an earlier run left in `directory`. A last line that a crash cut off is
    /// none.
    pub(super) fn read(directory: &Path) -> Result<Vec<Change>, Error> {
        let path = directory.join(NAME);
        let bytes = match host::read_file(&path, JOURNAL_CAP) {
            Ok(bytes) => bytes,
            Err(host::FileError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(file_error(&path)(std::io::Error::other(error))),
        };
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        lines
            .filter(|line| line.ends_with(b"\n"))
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()
            .map_err(|error| file_error(&path)(error.into()))
    }

    /// An empty journal in `directory`.
    pub(super) fn start(directory: &Path) -> Result<Self, Error> {
        let path = directory.join(NAME);
        File::create(&path).map(Self).map_err(file_error(&path))
    }

    pub(super) fn write(&mut self, change: &Change) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(change)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}
