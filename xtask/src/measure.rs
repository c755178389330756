//! What one run of a program costs.
//!
//! The kernel keeps the peak memory of finished children as one number over all of them, so each
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
    /// The peak of resident memory, in KiB.
    pub(crate) memory: u64,
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
    let &[wall, cpu, memory] = numbers.as_slice() else {
        anyhow::bail!("{name}: no measurement in {line:?}");
    };
    Ok(Cost { wall: Duration::from_micros(wall), cpu: Duration::from_micros(cpu), memory })
}

/// The task: runs its arguments and prints wall time, processor time (both in microseconds) and
/// peak memory (in KiB).
#[cfg(unix)]
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike as _;

    let (program, rest) = arguments.split_first().context("nothing to measure")?;
    let start = Instant::now();
    let status = Command::new(program).args(rest).stdout(Stdio::null()).status()?;
    let wall = start.elapsed();
    ensure!(status.success(), "{program} ended with {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    println!("{} {cpu} {}", wall.as_micros(), usage.max_rss());
    Ok(())
}

/// Elsewhere there is no such measurement.
#[cfg(not(unix))]
pub(crate) fn run(_: &[String]) -> Result<()> {
    anyhow::bail!("measuring needs a Unix system")
}
