//! Tests that cannot run on this machine.

use std::io::Write as _;

/// Says that the running test is skipped and why. Panics in CI, where no test may be skipped.
///
/// The line goes to stderr directly: the test runner hides what passing tests print.
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "in CI no test is skipped: {reason}");
    let thread = std::thread::current();
    let line = format!("skipped: {}: {reason}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
