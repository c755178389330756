//! What the commands that work on many images share.

use std::path::{Path, PathBuf};

use image_signing::{FailedImage, NotDone, Run, Step};

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output::Stream;

/// Shows a run; its results go to `results`.
pub(super) fn show(results: Stream, context: &Context) -> impl Fn(Step<'_>) {
    let console = &context.console;
    move |step| match step {
        Step::Begin(name) => console.waits.begin(name),
        Step::End(name) => console.waits.end(name),
        Step::Progress(progress) => console.progress(progress),
        Step::Heartbeat => console.heartbeat(),
        Step::WaitFor(what) => console.wait_for(what),
        Step::Result(line) => console.say(results, line.clone()),
        Step::Note(text) | Step::Summary(text) => console.note(&text),
        _ => {}
    }
}

/// The failure of an image, for the results.
pub(super) fn failed(failure: &Failure) -> FailedImage {
    FailedImage::new("", &failure.problem, &failure.causes, failure.exit.exit_code())
}

/// Reports `failure`, which is of one of many images.
pub(super) fn reported(failure: &Failure, context: &Context) -> FailedImage {
    context.fail(failure);
    failed(failure)
}

/// Ends `run`.
pub(super) fn finish(run: Run<'_>, context: &Context) {
    if !run.finish() {
        let exit = context.end_with(Exit::Done);
        let stopped = Failure::new(exit, "stopped after the first failure (--fail-fast)");
        context.fail(&with_names(stopped, context.console.waits.unfinished().1));
    }
}

/// Adds `names`, which are not done, to `failure`: one on each line, or in a file where they are more
/// than a few.
pub(crate) fn with_names(failure: Failure, names: Vec<String>) -> Failure {
    let left = NotDone::keep(names, Path::new(""));
    let failure = left.cause.into_iter().fold(failure, Failure::cause);
    let again =
        |path: PathBuf| format!("go on with the same flags and --from-file {}", path.display());
    let failure = left.file.map(again).into_iter().fold(failure, Failure::hint);
    Failure { names: left.names, ..failure }
}
