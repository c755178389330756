//! Files that the command line names; `-` is stdin or stdout.

use std::path::Path;

use image_signing::file::FileArgument;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};

/// `-`: stdin where something is read, stdout where something is written.
pub(crate) fn is_standard(path: &Path) -> bool {
    FileArgument::parse(path).is_standard()
}

/// The content of the file that `flag` names, at most `cap` bytes.
pub(crate) async fn read(
    flag: &str,
    path: &Path,
    cap: usize,
    context: &Context,
) -> Result<Vec<u8>> {
    context.console.wait_for(&format!("reading {flag} {}", path.display()));
    let bytes = match FileArgument::parse(path) {
        FileArgument::Standard => {
            let _paused = context.deadline.pause();
            FileArgument::Standard.read(cap).await
        }
        FileArgument::File(path) => context.env.read(&path, cap).await,
    };
    context.console.settle();
    bytes.or_fail(|| format!("cannot use {flag} {}", path.display()))
}

/// What `parse` makes of the file that `flag` names, which has at most `cap` bytes.
pub(crate) async fn parse<T, E: Into<Failure>>(
    flag: &str,
    path: &Path,
    cap: usize,
    context: &Context,
    parse: impl FnOnce(&[u8]) -> Result<T, E>,
) -> Result<T> {
    let bytes = read(flag, path, cap, context).await?;
    parse(&bytes).or_fail(|| format!("cannot use {flag} {}", path.display()))
}
