//! What one run of a program costs.
//!
//! The kernel keeps the processor time of finished children as one number over all of them, so each
//! measurement happens in a process of its own: this task.

use std::process::{Command, Stdio};
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

/// Runs `command` in a process of its own and returns what it cost. Its output is discarded.
pub(crate) fn cost(command: &[String], env: &[(String, String)]) -> Result<Cost> {
    let this = std::env::current_exe()?;
    let output = Command::new(this)
        .arg("measure")
        .args(command)
        .env_clear()
        .envs(env.iter().cloned())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    let name = command.join(" ");
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {}", stderr.trim());
    let line = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let (wall, cpu, memory) = match *numbers.as_slice() {
        [wall, cpu] => (wall, cpu, None),
        [wall, cpu, memory] => (wall, cpu, Some(memory)),
        _ => anyhow::bail!("{name}: no measurement in {line:?}"),
    };
    Ok(Cost { wall: Duration::from_micros(wall), cpu: Duration::from_micros(cpu), memory })
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
    let mut memory = None;
    let status = loop {
        memory = peak_memory(child.id()).max(memory);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        // A program that is over in a moment must not be missed.
        if start.elapsed() > MOMENT {
            std::thread::sleep(Duration::from_micros(50));
        }
    };
    let wall = start.elapsed();
    ensure!(status.success(), "{program} ended with {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let memory = memory.map_or_else(String::new, |memory| memory.to_string());
    println!("{} {cpu} {memory}", wall.as_micros());
    Ok(())
}

#[cfg(unix)]
const MOMENT: Duration = Duration::from_millis(50);

/// The peak of a running process so far, in KiB, where procfs tells it.
///
/// The kernel's own account of a finished child (`ru_maxrss`) is no less than what its parent used
/// when it started it, which is more than a small program ever needs. So the process is watched;
/// what grows in its last few microseconds is missed.
#[cfg(unix)]
fn peak_memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Elsewhere there is no such measurement.
#[cfg(not(unix))]
pub(crate) fn run(_: &[String]) -> Result<()> {
    anyhow::bail!("measuring needs a Unix system")
}
