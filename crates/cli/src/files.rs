//! Files that the command line names; `-` is stdin or stdout.

use std::path::Path;

use host::FileError;
use image_signing::file::FileArgument;

/// Reads the file at `path`, or stdin for `-`, at most `cap` bytes.
pub(crate) async fn read(path: &Path, cap: usize) -> Result<Vec<u8>, FileError> {
    FileArgument::parse(path).read(cap).await
}

/// `-`: stdin where something is read, stdout where something is written.
pub(crate) fn is_standard(path: &Path) -> bool {
    FileArgument::parse(path).is_standard()
}
