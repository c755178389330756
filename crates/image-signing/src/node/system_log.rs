//! The system's log: containerd logs of an admitted image only at its level debug.

use std::path::Path;

/// Writes a warning to the log of the system (`/dev/log`), where there is one. It never waits:
/// whether it was written does not change a verdict.
pub fn warn_system_log(text: &str) {
    write(Path::new("/dev/log"), text);
}

#[cfg(unix)]
fn write(socket: &Path, text: &str) -> bool {
    let send = || -> std::io::Result<usize> {
        let log = std::os::unix::net::UnixDatagram::unbound()?;
        log.set_nonblocking(true)?;
        let text: String = host::escape(text).chars().take(LONGEST).collect();
        log.send_to(format!("<{WARNING}>ambisign-image-verifier: {text}").as_bytes(), socket)
    };
    send().is_ok()
}

#[cfg(not(unix))]
fn write(_: &Path, _: &str) -> bool {
    false
}

/// A warning of a service of the system, as RFC 3164 writes it.
#[cfg(unix)]
const WARNING: u8 = 3 * 8 + 4;
/// In characters.
#[cfg(unix)]
const LONGEST: usize = 1000;

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_as_a_warning_and_a_missing_log_is_passed_over() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        assert!(!write(&path, "x"));
        let log = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        assert!(write(&path, "one\ntwo"));
        let mut bytes = [0; 100];
        let length = log.recv(&mut bytes).unwrap();
        let line = String::from_utf8_lossy(&bytes[..length]);
        assert!(line.starts_with("<28>ambisign-image-verifier: one"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}
