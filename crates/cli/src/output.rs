//! What is written, and where.
//!
//! stdout is data only: JSON, or one line per result. Everything for people goes to stderr: first
//! `error:` with what happened, then `because:` with each cause, then `hint:` with the mend.
//! Colour and progress appear only on a terminal. A reader that goes away ends the program's
//! writing, not the program.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use anstyle::{AnsiColor, Style};
use id_token::IdToken;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::Failure;
use crate::flags::Output;

/// stdout and stderr.
pub(crate) struct Console {
    /// One line that says what is being waited for; invisible when stderr is no terminal.
    waiting: ProgressBar,
    warned: Mutex<Vec<String>>,
    masked: Mutex<Vec<String>>,
    progress: Mutex<Progress>,
}

/// One of the two.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// Where the lines that are not results go, when these go here: JSON stays alone.
    pub(crate) fn of_people(self, output: Output) -> Self {
        match output {
            Output::Text => self,
            Output::Json => Self::Stderr,
        }
    }
}

#[derive(Default)]
struct Progress {
    waiting_for: Option<String>,
    unfinished: Vec<String>,
}

impl Console {
    pub(crate) fn new() -> Self {
        let waiting = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(ProgressStyle::default_spinner());
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            waiting,
            warned: Mutex::default(),
            masked: Mutex::default(),
            progress: Mutex::default(),
        }
    }

    /// One line of data.
    pub(crate) fn data(&self, line: &str) {
        self.waiting.suspend(|| {
            // A closed pipe is the reader's decision.
            let _ = writeln!(io::stdout().lock(), "{line}");
        });
    }

    /// One line of data, as compact JSON.
    pub(crate) fn json(&self, value: &Value) {
        self.data(&value.to_string());
    }

    /// The workflow command that has GitHub's runner hide `token` in what it shows of a job, said
    /// once. Nothing else that is written has a token in it.
    pub(crate) fn mask(&self, token: &IdToken, stream: Stream) {
        let command = format!("::add-mask::{}", token.reveal());
        let mut masked = self.masked.lock().unwrap_or_else(PoisonError::into_inner);
        if masked.contains(&command) {
            return;
        }
        self.say(stream, &command);
        masked.push(command);
    }

    /// One line to where it belongs.
    pub(crate) fn say(&self, stream: Stream, line: &str) {
        match stream {
            Stream::Stdout => self.data(line),
            Stream::Stderr => self.line(line),
        }
    }

    /// Something to know that stops nothing, said once.
    pub(crate) fn warning(&self, text: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if !warned.iter().any(|said| said == text) {
            warned.push(text.to_owned());
            self.message(AnsiColor::Yellow, "warning", text);
        }
    }

    /// Something that went as it should.
    pub(crate) fn note(&self, text: &str) {
        self.line(text);
    }

    /// What went wrong, why, and what to do.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.message(AnsiColor::Red, "error", &failure.problem);
        for cause in &failure.causes {
            self.message(AnsiColor::Red, "because", cause);
        }
        for hint in &failure.hints {
            self.message(AnsiColor::Cyan, "hint", hint);
        }
    }

    /// What is being waited for: shown on a terminal, and when time is up.
    pub(crate) fn wait_for(&self, what: &str) {
        tracing::debug!("{what}");
        self.progress().waiting_for = Some(what.to_owned());
        self.waiting.set_message(what.to_owned());
        self.waiting.enable_steady_tick(TICK);
    }

    pub(crate) fn waiting_for(&self) -> Option<String> {
        self.progress().waiting_for.clone()
    }

    /// Work on `what` begins. What is never ended is named when the program is stopped.
    pub(crate) fn begin(&self, what: &str) {
        self.progress().unfinished.push(what.to_owned());
    }

    pub(crate) fn end(&self, what: &str) {
        let mut progress = self.progress();
        if let Some(index) = progress.unfinished.iter().position(|unfinished| unfinished == what) {
            progress.unfinished.remove(index);
        }
    }

    pub(crate) fn unfinished(&self) -> Vec<String> {
        self.progress().unfinished.clone()
    }

    /// A help text or a syntax error, in clap's words.
    pub(crate) fn clap(&self, message: &clap::Error) {
        let text = message.render();
        if message.use_stderr() {
            // A token in the wrong place of the command line would be repeated here.
            let _ = write!(anstream::stderr().lock(), "{}", host::scrub(&text.ansi().to_string()));
        } else {
            let _ = write!(anstream::stdout().lock(), "{}", text.ansi());
        }
    }

    /// Nothing is being waited for any more.
    pub(crate) fn settle(&self) {
        self.waiting.finish_and_clear();
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn message(&self, color: AnsiColor, label: &str, text: &str) {
        let style = Style::new().bold().fg_color(Some(color.into()));
        self.line(&format!("{style}{label}:{style:#} {text}"));
    }

    fn line(&self, text: &str) {
        self.waiting.suspend(|| {
            let _ = writeln!(anstream::stderr().lock(), "{text}");
        });
    }
}

/// `report` as JSON in one line.
pub(crate) fn json_line(report: &impl serde::Serialize) -> String {
    serde_json::to_value(report).unwrap_or_default().to_string()
}

/// RFC 3339, UTC.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "(out of range)".to_owned(), |t| t.to_string())
}

const TICK: Duration = Duration::from_millis(120);
