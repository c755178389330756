//! What one run of a program costs.
//!
//! The kernel keeps the processor time of finished children as one number over all of them, so each
//! measurement happens in a process of its own: this task.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// The cost of one run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// From start to end.
    pub(crate) wall: Duration,
    /// Processor time, user and system.
    pub(crate) cpu: Duration,
    /// The peak of resident memory, in KiB; unknown when the program ended unseen.
    pub(crate) memory: Option<u64>,
}

/// Runs `command` in the directory `at`, in a process of its own, and returns what it cost. Its
/// output is discarded. When `go_on` fails, everything that was started ends.
pub(crate) fn cost(
    command: &[String],
    env: &[(String, String)],
    at: &Path,
    go_on: &dyn Fn() -> Result<()>,
) -> Result<Cost> {
    let this = std::env::current_exe()?;
    let mut measuring = Command::new(this);
    measuring
        .arg("measure")
        .args(command)
        .current_dir(at)
        .env_clear()
        .envs(env.iter().cloned())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut group = Group::spawn(&mut measuring)?;
    let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());
    let (status, stdout, stderr) = std::thread::scope(|scope| {
        let stdout = scope.spawn(|| read(stdout));
        let stderr = scope.spawn(|| read(stderr));
        let status = group.wait(go_on);
        (status, stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default())
    });
    let name = shorten(&command.join(" "));
    let status = status.with_context(|| name.clone())?;
    ensure!(status.success(), "{name} failed: {}", stderr.trim());
    let numbers: Vec<u64> =
        stdout.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (wall, cpu, memory) = match *numbers.as_slice() {
        [wall, cpu] => (wall, cpu, None),
        [wall, cpu, memory] => (wall, cpu, Some(memory)),
        _ => anyhow::bail!("{name}: no measurement in {stdout:?}"),
    };
    Ok(Cost { wall: Duration::from_micros(wall), cpu: Duration::from_micros(cpu), memory })
}

fn read(from: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    // What was read before an error is what there is to show.
    let _ = from.map(|mut from| from.read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The beginning of a long command.
fn shorten(command: &str) -> String {
    const MOST: usize = 400;
    let mut text: String = command.chars().take(MOST).collect();
    if text.len() < command.len() {
        text.push_str(" ...");
    }
    text
}

/// A process with all that it starts, ended together when dropped.
struct Group {
    child: Child,
    ended: bool,
}

impl Group {
    fn spawn(command: &mut Command) -> Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        Ok(Self { child: command.spawn()?, ended: false })
    }

    fn wait(&mut self, go_on: &dyn Fn() -> Result<()>) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.ended = true;
                return Ok(status);
            }
            if let Err(stopped) = go_on() {
                self.end();
                return Err(stopped);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn end(&mut self) {
        // What has ended already need not be ended.
        #[cfg(unix)]
        if let Ok(id) = i32::try_from(self.child.id()) {
            use nix::sys::signal::{Signal, killpg};
            let _ = killpg(nix::unistd::Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.ended = true;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
        }
    }
}

/// The task: runs its arguments and prints wall time, processor time (both in microseconds) and,
/// if it was seen, peak memory (in KiB).
#[cfg(unix)]
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike as _;

    let (program, rest) = arguments.split_first().context("nothing to measure")?;
    let start = Instant::now();
    let mut child = Command::new(program).args(rest).stdout(Stdio::null()).spawn()?;
    let (process, ended) = (child.id(), AtomicBool::new(false));
    let (status, wall, memory) = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut memory = None;
            while !ended.load(Ordering::Relaxed) {
                memory = peak_memory(process).max(memory);
                // Short enough for a program of a few milliseconds; a longer one, and the servers
                // that it waits for, keep the processor.
                let pause = if start.elapsed() < MOMENT { 100 } else { 2000 };
                std::thread::sleep(Duration::from_micros(pause));
            }
            memory
        });
        let status = child.wait();
        let wall = start.elapsed();
        ended.store(true, Ordering::Relaxed);
        (status, wall, watch.join().unwrap_or(None))
    });
    let status = status?;
    ensure!(status.success(), "{program} ended with {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    // The kernel's own account of a finished child is no less than what its parent used when it
    // started it; above that it is exact.
    let own = peak_memory(std::process::id());
    let kernel = u64::try_from(usage.max_rss()).ok().filter(|all| Some(*all) > own);
    let memory = kernel.max(memory).map_or_else(String::new, |memory| memory.to_string());
    println!("{} {cpu} {memory}", wall.as_micros());
    Ok(())
}

#[cfg(unix)]
const MOMENT: Duration = Duration::from_millis(10);

/// The peak of a running process so far, in KiB, where procfs tells it.
/// What grows in its last few microseconds is missed.
#[cfg(unix)]
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The processor time of the process `process` so far, where procfs tells it: in hundredths of a
/// second, as the kernel counts it there.
pub(crate) fn processor_time(process: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may hold anything: user and system time are the 12th and 13th.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_whitespace().skip(11).map(|word| word.parse::<u64>().ok());
    Some(Duration::from_millis(10 * (times.next()?? + times.next()??)))
}

/// Elsewhere there is no such measurement.
#[cfg(not(unix))]
pub(crate) fn run(_: &[String]) -> Result<()> {
    anyhow::bail!("measuring needs a Unix system")
}
