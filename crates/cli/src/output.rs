//! Writes results to stdout and messages to stderr.
//!
//! stdout is data only: JSON, or one line per result. Everything for people goes to stderr: first
//! `error:` with what failed, then `because:` with each cause, then `hint:` with the fix. Colour
//! and progress appear only on a terminal.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bundle::LargeText;
use http_client::Waits;
use id_token::IdToken;
use image_signing::file::{FileArgument, print_line, write_parts_atomically};
use indicatif::ProgressBar;

use crate::failure::{OrFail as _, Result};
use crate::flags::Output;

/// stdout and stderr.
pub(crate) struct Console {
    /// One line that says what is being waited for; hidden unless stderr is a terminal.
    waiting: ProgressBar,
    pub(crate) waits: Waits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Warnings, hints and masks, each of which is written once.
    said: BTreeSet<String>,
    /// How far the command is.
    progress: Option<String>,
    /// The line of what is being waited for is shown.
    moves: bool,
    /// The first result that could not be written, unless its reader had gone.
    unwritten: Option<io::Error>,
}

/// stdout or stderr.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// The stream for lines that are not results, when the results go to this one: stdout has
    /// nothing but JSON.
    pub(crate) fn of_people(self, output: Output) -> Self {
        match output {
            Output::Text => self,
            Output::Json => Self::Stderr,
        }
    }
}

impl Console {
    pub(crate) fn new() -> Self {
        Self {
            waiting: ProgressBar::new_spinner(),
            waits: Waits::default(),
            state: Mutex::default(),
        }
    }

    /// One line of data. Names from outside may stand in it: it stays one line, and cannot act on
    /// a terminal or on a CI runner.
    pub(crate) fn data(&self, line: impl Into<LargeText>) {
        let line = line.into();
        self.waiting.suspend(|| self.written(print_line(&line, &mut io::stdout().lock())));
    }

    /// A result: as JSON in one line, or as lines of text.
    pub(crate) fn result(&self, output: Output, report: &impl serde::Serialize, text: &str) {
        match output {
            Output::Json => self.data(json_line(report)),
            Output::Text => text.lines().for_each(|line| self.data(line)),
        }
    }

    /// A script, as it is.
    pub(crate) fn script(&self, script: &[u8]) {
        self.written(io::stdout().lock().write_all(script));
    }

    /// The first failure to write to stdout. A closed pipe is none: its reader has seen enough.
    pub(crate) fn write_error(&self) -> Option<io::Error> {
        self.written(io::stdout().lock().flush());
        self.state().unwritten.take()
    }

    fn written(&self, result: io::Result<()>) {
        if let Err(error) = result
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            self.state().unwritten.get_or_insert(error);
        }
    }

    /// Writes, once, the workflow command by which GitHub's runner hides `token` in the log of a
    /// job. Nothing else that is written contains a token.
    pub(crate) fn mask(&self, token: &IdToken, stream: Stream) {
        let command = format!("::add-mask::{}", token.reveal());
        if self.is_new(&command) {
            self.say(stream, command);
        }
    }

    /// One line to `stream`.
    pub(crate) fn say(&self, stream: Stream, line: impl Into<LargeText>) {
        match stream {
            Stream::Stdout => self.data(line),
            Stream::Stderr => self.note(&line.into().to_string()),
        }
    }

    /// A warning, printed once.
    pub(crate) fn warning(&self, text: &str) {
        if self.is_new(text) {
            self.message(AnsiColor::Yellow, "warning", text);
        }
    }

    fn is_new(&self, text: &str) -> bool {
        self.state().said.insert(text.to_owned())
    }

    /// A message that is neither a warning nor an error.
    pub(crate) fn note(&self, text: &str) {
        self.raw(&host::escape(text));
    }

    /// The closing line of a command with more than one image or file.
    pub(crate) fn tally(&self, done: &str, total: usize, failed: usize) {
        if total > 1 {
            let succeeded = total.saturating_sub(failed);
            self.note(&format!("{done} {succeeded} of {total}, {failed} failed"));
        }
    }

    /// A fix for a failure that was reported before, printed once.
    pub(crate) fn hint(&self, text: &str) {
        if self.is_new(text) {
            self.message(AnsiColor::Cyan, "hint", text);
        }
    }

    /// What failed, why, and what to do.
    pub(crate) fn failure<'a>(
        &self,
        problem: &str,
        causes: &[String],
        hints: impl Iterator<Item = &'a String>,
    ) {
        self.message(AnsiColor::Red, "error", problem);
        causes.iter().for_each(|cause| self.message(AnsiColor::Red, "because", cause));
        hints.for_each(|hint| self.message(AnsiColor::Cyan, "hint", hint));
    }

    /// Sets what is being waited for: shown on a terminal, and when the time is up.
    pub(crate) fn wait_for(&self, what: &str) {
        tracing::debug!("{what}");
        self.waits.wait_for(what);
        self.show();
    }

    /// Sets how far the command is, such as `37/200`: shown on a terminal.
    pub(crate) fn progress(&self, progress: Option<String>) {
        self.state().progress = progress;
        self.show();
    }

    /// Says how far the command is, where no terminal shows it.
    pub(crate) fn heartbeat(&self) {
        let (Some(progress), true) = (self.state().progress.clone(), self.waiting.is_hidden())
        else {
            return;
        };
        let wait = self.waits.last().unwrap_or_else(|| "working".to_owned());
        self.note(&format!("{progress} done; {wait}"));
    }

    fn show(&self) {
        if self.waiting.is_hidden() {
            return;
        }
        let parts = [self.state().progress.clone(), self.waits.last()];
        self.waiting.set_message(parts.into_iter().flatten().collect::<Vec<_>>().join(" "));
        // It moves by a thread, which each call would start anew.
        if !std::mem::replace(&mut self.state().moves, true) {
            self.waiting.reset();
            self.waiting.enable_steady_tick(TICK);
        }
    }

    /// A help text or a syntax error in clap's words, and what else to say about it.
    pub(crate) fn clap(&self, message: &clap::Error, hints: &[String]) {
        let text = message.render();
        if message.use_stderr() {
            // It may repeat arguments: a token in the wrong place, or control characters.
            let plain = text.to_string();
            let lines: Vec<_> = plain.lines().map(host::escape).collect();
            let text = match plain.lines().eq(lines.iter().map(String::as_str)) {
                true => text.ansi().to_string(),
                false => lines.join("\n") + "\n",
            };
            let _ = write!(anstream::stderr().lock(), "{}", host::scrub(&text));
            hints.iter().for_each(|hint| self.message(AnsiColor::Cyan, "hint", hint));
        } else {
            self.written(write!(anstream::stdout().lock(), "{}", text.ansi()));
        }
    }

    /// Clears the line that says what is being waited for.
    pub(crate) fn settle(&self) {
        self.state().moves = false;
        self.waiting.finish_and_clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn message(&self, color: AnsiColor, label: &str, text: &str) {
        let style = Style::new().bold().fg_color(Some(color.into()));
        self.raw(&format!("{style}{label}:{style:#} {}", host::escape(text)));
    }

    /// Some lines to stderr as they are.
    fn raw(&self, text: &str) {
        self.waiting.suspend(|| {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        });
    }
}

/// `report` as JSON in one line.
pub(crate) fn json_line(report: &impl serde::Serialize) -> String {
    host::escape_json(&serde_json::to_value(report).unwrap_or_default().to_string())
}

/// How wide the terminal of stdout is, else as `columns` says, else without end.
pub(crate) fn width(columns: Option<String>) -> usize {
    let terminal = terminal_size::terminal_size_of(io::stdout());
    let terminal = terminal.map(|(columns, _)| usize::from(columns.0));
    terminal.or_else(|| columns?.parse().ok()).unwrap_or(usize::MAX)
}

const TICK: Duration = Duration::from_millis(120);

/// Writes `text` to the file at `path`, or prints it where that is `-`.
pub(crate) fn write(path: &Path, text: &LargeText, console: &Console) -> Result<()> {
    if FileArgument::parse(path).is_standard() {
        console.data(text.clone());
        return Ok(());
    }
    let problem = || format!("cannot write {}", path.display());
    write_parts_atomically(path, text.parts()).or_fail(problem)
}
