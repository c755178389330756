//! Helper programs, run for real.

use std::io::{self, IsTerminal as _};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use host::{BoxFuture, Invocation, Launch, ProgramError, ProgramOutput, Programs};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

use crate::descendants;
use crate::env::SystemEnv;

/// Runs programs as children of this process, with its environment but for
/// [`Invocation::without`], and without a shell.
///
/// A program that is given up is killed with its process group and, on Linux, with what it started in
/// a session of its own (`setsid`). A daemon, whose parent has ended, is left running, and so is, at a
/// terminal, what the program started at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemPrograms;

impl Programs for SystemPrograms {
    fn run(&self, invocation: Invocation) -> BoxFuture<'_, Result<ProgramOutput, ProgramError>> {
        Box::pin(run(invocation))
    }

    fn launch(&self, launch: Launch) -> BoxFuture<'_, Result<Option<i32>, ProgramError>> {
        Box::pin(start(launch))
    }
}

/// Starts a program and waits for its end. It keeps running when the future is dropped: a launcher
/// may have become the user's browser.
async fn start(launch: Launch) -> Result<Option<i32>, ProgramError> {
    let program = launch.program.clone();
    let failed =
        |source: io::Error| ProgramError::Io { program: program.clone(), source: Arc::new(source) };
    let mut command = Command::new(&program);
    for name in SystemEnv::names().filter(|name| launch.withholds(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.args(&launch.args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Its own process group, so that Ctrl-C does not end the browser.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ProgramError::NotFound { program });
        }
        Err(error) => return Err(failed(error)),
    };
    Ok(child.wait().await.map_err(failed)?.code())
}

async fn run(invocation: Invocation) -> Result<ProgramOutput, ProgramError> {
    let withheld: Vec<_> =
        SystemEnv::names().filter(|name| invocation.withholds(&name.to_string_lossy())).collect();
    let program = invocation.program;
    let failed =
        |source: io::Error| ProgramError::Io { program: program.clone(), source: Arc::new(source) };
    let mut command = Command::new(&program);
    for name in &withheld {
        command.env_remove(name);
    }
    command
        .envs(invocation.variables)
        .args(&invocation.args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    // At a terminal it stays in our group: it may ask for a passphrase there, and Ctrl-C reaches it.
    let own_group = !io::stdin().is_terminal();
    #[cfg(unix)]
    if own_group {
        command.process_group(0);
    }
    let spawned = command.spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ProgramError::NotFound { program });
        }
        Err(error) => return Err(failed(error)),
    };
    let group = Group(child.id().filter(|_| own_group));
    let talk = talk(&mut child, &invocation.stdin, invocation.output_cap);
    let stop = match tokio::time::timeout(invocation.deadline, talk).await {
        Ok(Ok(output)) => {
            group.keep();
            return Ok(output);
        }
        Ok(Err(stop)) => stop,
        Err(_) => Stop::Deadline,
    };
    drop(group);
    end(&mut child).await;
    Err(match stop {
        Stop::Deadline => ProgramError::Timeout { program, deadline: invocation.deadline },
        Stop::Io(error) => failed(error),
        Stop::TooLarge => ProgramError::TooLarge { program, cap: invocation.output_cap },
    })
}

/// The process group of a child, which is ended with everything in it unless it is kept: a
/// grandchild must not survive the deadline, nor a call that is given up.
struct Group(Option<u32>);

impl Group {
    /// Leaves what is still running alone: the child has ended by itself.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The child leads its group and has not been waited for, so that the number is still its.
        #[cfg(unix)]
        if let Some(leader) = self.0 {
            use rustix::process::{Pid, Signal, kill_process, kill_process_group};

            let pid = |id| i32::try_from(id).ok().and_then(Pid::from_raw);
            let elsewhere = descendants::of(leader);
            // These fail only where the process has ended already.
            if let Some(group) = pid(leader) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            for process in elsewhere.into_iter().filter_map(pid) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }
}

/// Why a child is ended before its time.
enum Stop {
    Deadline,
    Io(io::Error),
    TooLarge,
}

/// Feeds `child` and reads it to its end.
async fn talk(child: &mut Child, input: &[u8], cap: usize) -> Result<ProgramOutput, Stop> {
    let missing = || Stop::Io(io::Error::other("a stream of the child is missing"));
    let stdin = child.stdin.take().ok_or_else(missing)?;
    let out = child.stdout.take().ok_or_else(missing)?;
    let err = child.stderr.take().ok_or_else(missing)?;
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let ended = {
        let streams = async {
            tokio::try_join!(
                feed(stdin, input),
                read(out, &mut stdout, cap),
                read(err, &mut stderr, cap),
            )
        };
        tokio::pin!(streams);
        tokio::select! {
            read = &mut streams => {
                read?;
                None
            }
            status = child.wait() => {
                // A grandchild that inherited the streams may keep them open long after the child
                // is gone: what was written by then is the answer.
                if let Ok(read) = tokio::time::timeout(GRACE, &mut streams).await {
                    read?;
                }
                Some(status)
            }
        }
    };
    let status = match ended {
        Some(status) => status,
        None => child.wait().await,
    };
    Ok(ProgramOutput { code: status.map_err(Stop::Io)?.code(), stdout, stderr })
}

/// A program need not read what it is given: one that has ended or closed its input is no error.
async fn feed(mut stdin: ChildStdin, input: &[u8]) -> Result<(), Stop> {
    match stdin.write_all(input).await {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::Io(error)),
        _ => Ok(()),
    }
}

/// Reads into `bytes` to the end of the stream, if that comes within `cap` bytes.
async fn read(stream: impl AsyncRead + Unpin, bytes: &mut Vec<u8>, cap: usize) -> Result<(), Stop> {
    let limit = (cap as u64).saturating_add(1);
    stream.take(limit).read_to_end(bytes).await.map_err(Stop::Io)?;
    if bytes.len() > cap { Err(Stop::TooLarge) } else { Ok(()) }
}

/// Ends a child and waits a moment for it to be gone, so that no zombie stays.
async fn end(child: &mut Child) {
    if child.start_kill().is_ok() {
        // The outcome is decided already; whoever cannot be ended now is reaped by the runtime.
        let _ = tokio::time::timeout(GRACE, child.wait()).await;
    }
}

const GRACE: Duration = Duration::from_millis(500);

#[cfg(all(test, unix))]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Invocation {
        Invocation::new("/bin/sh", ["-c", script]).with_deadline(Duration::from_secs(10))
    }

    #[tokio::test]
    async fn a_program_reads_writes_and_tells_its_code() {
        let mut invocation = shell("cat; echo oops >&2; exit 3");
        invocation.stdin = b"hello".to_vec();
        let output = SystemPrograms.run(invocation).await.unwrap();
        assert_eq!(output.code, Some(3));
        assert_eq!(output.stdout, b"hello");
        assert_eq!(output.stderr, b"oops\n");
    }

    #[tokio::test]
    async fn arguments_reach_the_program_untouched() {
        let mut invocation = shell("");
        invocation.program = "printf".into();
        invocation.args = vec!["%s".to_owned(), "$HOME; `id` 'x".to_owned()];
        let output = SystemPrograms.run(invocation).await.unwrap();
        assert_eq!(output.stdout, b"$HOME; `id` 'x");
    }

    #[tokio::test]
    async fn a_withheld_variable_does_not_reach_the_program() {
        // Every process that cargo starts has this one.
        let script = "echo ${CARGO_MANIFEST_DIR:-none}";
        let mut invocation = shell(script);
        assert_ne!(SystemPrograms.run(invocation.clone()).await.unwrap().stdout, b"none\n");
        invocation.without = vec!["CARGO_MANIFEST_DIR".to_owned(), "AMBISIGN_UNSET".to_owned()];
        assert_eq!(SystemPrograms.run(invocation).await.unwrap().stdout, b"none\n");
    }

    #[tokio::test]
    async fn a_program_that_never_reads_its_input_is_no_error() {
        let mut invocation = shell("exit 0");
        invocation.stdin = vec![b'x'; 1 << 20];
        assert_eq!(SystemPrograms.run(invocation).await.unwrap().code, Some(0));
    }

    #[tokio::test]
    async fn a_missing_program_is_not_found() {
        let mut invocation = shell("");
        invocation.program = "ambisign-no-such-program".into();
        let error = SystemPrograms.run(invocation).await.unwrap_err();
        assert!(matches!(error, ProgramError::NotFound { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_at_its_deadline() {
        let mut invocation = shell("exec sleep 60");
        invocation.deadline = Duration::from_millis(100);
        let started = Instant::now();
        let error = SystemPrograms.run(invocation).await.unwrap_err();
        assert!(matches!(error, ProgramError::Timeout { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }

    /// Waits until `path` has stopped growing, and returns whether that was soon.
    async fn stops_growing(path: &std::path::Path) -> bool {
        let length = || std::fs::metadata(path).map_or(0, |file| file.len());
        for _ in 0..20 {
            let before = length();
            tokio::time::sleep(Duration::from_millis(200)).await;
            if before > 0 && length() == before {
                return true;
            }
        }
        false
    }

    #[tokio::test]
    async fn a_grandchild_does_not_survive_the_deadline_or_a_call_that_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let ticks = |name: &str| {
            let path = directory.path().join(name);
            let script = match name {
                // In a session of its own it is in another process group.
                "session" => {
                    "setsid sh -c 'while :; do echo x >> \"$0\"; sleep 0.02; done' \"$0\" & wait"
                }
                _ => "(while :; do echo x >> \"$0\"; sleep 0.02; done) & wait",
            };
            let program = Invocation::new("/bin/sh", ["-c", script, path.to_str().unwrap()]);
            (path, program)
        };
        let (path, program) = ticks("deadline");
        let program = program.with_deadline(Duration::from_millis(300));
        let error = SystemPrograms.run(program).await.unwrap_err();
        assert!(matches!(error, ProgramError::Timeout { .. }), "{error}");
        assert!(stops_growing(&path).await, "it still runs after its deadline");
        if cfg!(target_os = "linux") {
            let (path, program) = ticks("session");
            let program = program.with_deadline(Duration::from_millis(300));
            SystemPrograms.run(program).await.unwrap_err();
            assert!(stops_growing(&path).await, "it still runs in a session of its own");
        }
        let (path, program) = ticks("dropped");
        let given_up = SystemPrograms.run(program);
        assert!(tokio::time::timeout(Duration::from_millis(300), given_up).await.is_err());
        assert!(stops_growing(&path).await, "it still runs after the call was given up");
    }

    #[tokio::test]
    async fn endless_output_ends_at_the_cap() {
        for script in ["exec yes", "exec yes >&2"] {
            let mut invocation = shell(script);
            invocation.output_cap = 1000;
            let error = SystemPrograms.run(invocation).await.unwrap_err();
            assert!(matches!(error, ProgramError::TooLarge { cap: 1000, .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_daemon_left_behind_does_not_hold_us_up() {
        let started = Instant::now();
        let output = SystemPrograms.run(shell("sleep 20 & echo done")).await.unwrap();
        assert_eq!(output.stdout, b"done\n");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_launched_program_returns_its_code_and_keeps_running_when_its_future_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let launch = |script: String| Launch::new("/bin/sh", ["-c".to_owned(), script]);
        assert_eq!(SystemPrograms.launch(launch("exit 3".to_owned())).await.unwrap(), Some(3));
        let slow = launch(format!("sleep 0.3; echo > {}", mark.display()));
        let waited =
            tokio::time::timeout(Duration::from_millis(100), SystemPrograms.launch(slow)).await;
        assert!(waited.is_err());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !mark.exists() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(mark.exists());
        let missing = Launch::new("ambisign-no-such-program", [""]);
        let error = SystemPrograms.launch(missing).await.unwrap_err();
        assert!(matches!(error, ProgramError::NotFound { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_signal_leaves_no_code() {
        let output = SystemPrograms.run(shell("kill -9 $$")).await.unwrap();
        assert_eq!(output.code, None);
    }
}
