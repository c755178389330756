//! A program with an environment of its own, and what it did.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::{namespace, paths};

/// How long a program may take. Without the limit a hanging program would hang the tests.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program about to be run.
pub struct Program {
    command: Command,
    args: Vec<OsString>,
    wrapper: Wrapper,
    patience: Duration,
}

/// What runs the program.
enum Wrapper {
    None,
    /// A shell that limits the address space to so many bytes.
    Memory(u64),
    /// `script`, which gives it a terminal.
    Terminal,
    /// A mount namespace with these files: path inside and path outside.
    Files(Vec<(PathBuf, PathBuf)>),
}

impl Program {
    /// ambisign, with `directory` as its home and its working directory.
    pub fn new(directory: &Path) -> Self {
        let program = Self::at(&paths::ambisign(), directory);
        // It must not ask the metadata service of the machine that the tests run on.
        let program = program.env("NO_GCE_CHECK", "true").env("AWS_EC2_METADATA_DISABLED", "true");
        // Services that stay down are not waited for, unless a test says so.
        program.env("AMBISIGN_RETRY_FOR", "0s")
    }

    /// Any program, with `directory` as its home and its working directory.
    pub fn at(path: &Path, directory: &Path) -> Self {
        let mut command = Command::new(path);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory);
        command.current_dir(directory).stdin(Stdio::null());
        Self { command, args: Vec::new(), wrapper: Wrapper::None, patience: PATIENCE }
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets variables.
    pub fn envs(mut self, pairs: impl IntoIterator<Item = impl Pair>) -> Self {
        for pair in pairs {
            let (name, value) = pair.pair();
            self.command.env(name, value);
        }
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Puts the command's name before all other arguments.
    pub fn command(mut self, name: &str) -> Self {
        self.args.insert(0, name.into());
        self
    }

    /// Works in `directory` instead of its home.
    pub fn in_directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// stdin is a pipe that stays open.
    pub fn piped(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self
    }

    /// stdin is this file.
    pub fn reading(mut self, file: &Path) -> Self {
        self.command.stdin(std::fs::File::open(file).unwrap());
        self
    }

    /// Limits the address space to so many bytes.
    pub fn limited_to(mut self, bytes: u64) -> Self {
        self.wrapper = Wrapper::Memory(bytes);
        self
    }

    /// Gives it a terminal of its own, whose output is its stdout, and an empty `PATH`.
    pub fn at_a_terminal(mut self) -> Self {
        self.command.stdin(Stdio::piped());
        self.wrapper = Wrapper::Terminal;
        self
    }

    /// Gives it a root directory where these files are: path inside and path outside.
    pub fn with_files(mut self, files: &[(PathBuf, PathBuf)]) -> Self {
        if !files.is_empty() {
            self.wrapper = Wrapper::Files(files.to_vec());
        }
        self
    }

    /// Fails the test when it runs for longer than this.
    pub fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it with its output in pipes.
    pub fn spawn(self) -> Child {
        self.build().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn run(self) -> Outcome {
        let patience = self.patience;
        let mut command = self.build();
        let shown = format!("{command:?}");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait(child, patience, &shown)
    }

    /// Runs it to its end with this on its stdin.
    #[track_caller]
    pub fn run_with_stdin(self, input: &[u8]) -> Outcome {
        let patience = self.patience;
        let mut command = self.piped().build();
        let shown = format!("{command:?}");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        wait(child, patience, &shown)
    }

    /// Runs all of them at the same time.
    pub fn run_all(programs: Vec<Self>) -> Vec<Outcome> {
        std::thread::scope(|scope| {
            let running: Vec<_> =
                programs.into_iter().map(|program| scope.spawn(|| program.run())).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// `sign-blob` of some file.
    #[track_caller]
    pub fn sign(self) -> Outcome {
        self.args(["/etc/passwd", "--bundle", "bundle.json"]).command("sign-blob").run()
    }

    /// `identity -o json`: how it ends, and the report.
    #[track_caller]
    pub fn identity(self) -> (Outcome, Value) {
        let outcome = self.args(["-o", "json"]).command("identity").run();
        let report = serde_json::from_str(&outcome.stdout).unwrap_or(Value::Null);
        (outcome, report)
    }

    fn build(mut self) -> Command {
        self.command.args(&self.args);
        let wrapped = match &self.wrapper {
            Wrapper::None => return self.command,
            Wrapper::Memory(bytes) => {
                let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", bytes / 1024);
                let mut shell = Command::new("sh");
                shell.args(["-c", &script]).arg(self.command.get_program()).args(&self.args);
                self.with_environment(shell)
            }
            Wrapper::Terminal => {
                let quoted = |text: &OsStr| format!("'{}'", text.to_str().unwrap());
                let program = [self.command.get_program()].into_iter();
                let words: Vec<_> = program.chain(self.command.get_args()).map(quoted).collect();
                let line = format!("PATH=/nowhere exec {}", words.join(" "));
                let mut script = Command::new("/usr/bin/script");
                script.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::piped());
                return self.with_environment(script);
            }
            Wrapper::Files(files) => {
                let root = self.command.get_current_dir().unwrap().join("root");
                namespace::with_files(&self.command, &root, files)
            }
        };
        let mut wrapped = wrapped;
        wrapped.stdin(Stdio::null());
        wrapped
    }

    fn with_environment(&self, mut wrapper: Command) -> Command {
        wrapper.env_clear();
        wrapper.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        wrapper.current_dir(self.command.get_current_dir().unwrap());
        wrapper
    }
}

/// The name and the value of a variable.
pub trait Pair {
    /// Both.
    fn pair(&self) -> (&OsStr, &OsStr);
}

impl Pair for (String, String) {
    fn pair(&self) -> (&OsStr, &OsStr) {
        (self.0.as_ref(), self.1.as_ref())
    }
}

impl Pair for &(String, String) {
    fn pair(&self) -> (&OsStr, &OsStr) {
        (self.0.as_ref(), self.1.as_ref())
    }
}

#[track_caller]
fn wait(mut child: Child, patience: Duration, shown: &str) -> Outcome {
    // It must see the end of its stdin.
    drop(child.stdin.take());
    let stdout = read(child.stdout.take().unwrap());
    let stderr = read(child.stderr.take().unwrap());
    let status = end(&mut child, patience);
    if status.is_none() {
        child.kill().unwrap();
    }
    let output = Output {
        status: status.unwrap_or_else(|| child.wait().unwrap()),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    };
    let outcome = Outcome { shown: shown.to_owned(), ..Outcome::new(output) };
    assert!(status.is_some(), "still running after {patience:?}: {outcome:#?}");
    outcome
}

/// Its status when it ends in time.
fn end(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < patience {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    None
}

fn read(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// What a program did.
#[derive(Debug)]
pub struct Outcome {
    /// The command line, for a failing test.
    pub shown: String,
    /// Its exit code, or -1 where a signal ended it.
    pub code: i32,
    /// All of stdout.
    pub stdout: String,
    /// All of stderr.
    pub stderr: String,
}

impl Outcome {
    /// From what a child left.
    pub fn new(output: Output) -> Self {
        Self {
            shown: String::new(),
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Demands this exit code.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Demands the exit code 0.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.ends(0)
    }

    /// Demands that stderr holds each of these texts.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(!text.is_empty(), "every output holds an empty text");
            assert!(self.stderr.contains(text), "{text:?} is missing in {self:#?}");
        }
        self
    }

    /// Demands that neither stream holds this text.
    #[track_caller]
    pub fn hides(self, text: &str) -> Self {
        assert!(!self.stderr.contains(text) && !self.stdout.contains(text), "{self:#?}");
        self
    }

    /// Demands this exit code and this text on either stream, whatever its line breaks.
    #[track_caller]
    pub fn refuses(self, code: i32, reason: &str) {
        assert_eq!(self.code, code, "{self:#?}");
        // sigstore-python breaks lines to a width.
        let said = format!("{}{}", self.stdout, self.stderr);
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(reason), "{reason:?} is missing in {self:#?}");
    }

    /// stdout, parsed: each line is a JSON document.
    #[track_caller]
    pub fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The signatures that a verification of one image printed.
    #[track_caller]
    pub fn signatures(&self) -> Vec<Map<String, Value>> {
        let found: Result<Vec<Map<String, Value>>, _> = serde_json::from_str(&self.stdout);
        found.unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}
