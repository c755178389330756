//! What a user types at a terminal.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use zeroize::Zeroizing;

/// Whether a user can be asked: stdin and stderr are terminals.
#[expect(clippy::disallowed_methods, reason = "nothing is printed")]
pub fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// One line from stdin, without its end; of a longer one the first 8192 bytes. The line is wiped when
/// it is dropped. Dropping the future leaves a thread that waits for the line.
///
/// # Errors
/// What the operating system says; the line is not UTF-8.
pub async fn read_line() -> io::Result<Zeroizing<String>> {
    let read = || {
        // Of this size from the beginning, so that no copy of the line is left behind.
        let mut line = Zeroizing::new(String::with_capacity(LONGEST_LINE));
        io::stdin().lock().take(LONGEST_LINE as u64).read_line(&mut line)?;
        let length = line.trim_end_matches(['\r', '\n']).len();
        line.truncate(length);
        Ok(line)
    };
    host::off_thread(read).await?
}

/// What a user types after each of `prompts`, which stderr shows: one line, which the terminal does not
/// show, and the same every time. A new password is asked for twice.
///
/// # Errors
/// As [`read_line`]; stdin is not a terminal; the lines differ.
pub async fn ask_hidden(prompts: &[&str]) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut typed: Option<Zeroizing<Vec<u8>>> = None;
    for prompt in prompts {
        let line = ask_once(prompt).await?;
        if typed.as_ref().is_some_and(|first| *first != line) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the two answers differ"));
        }
        typed = Some(line);
    }
    Ok(typed.unwrap_or_default())
}

#[expect(clippy::disallowed_methods, reason = "the prompt belongs to the terminal")]
async fn ask_once(prompt: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let hidden = HiddenInput::begin()?;
    write!(io::stderr(), "{prompt}")?;
    let line = read_line().await?;
    drop(hidden);
    writeln!(io::stderr())?;
    Ok(Zeroizing::new(line.as_bytes().to_vec()))
}

/// The terminal does not show what is typed until this is dropped, whatever ends the program. What
/// was typed before is discarded.
#[cfg(unix)]
#[derive(Debug)]
struct HiddenInput(rustix::termios::Termios);

#[cfg(unix)]
impl HiddenInput {
    /// From now on.
    ///
    /// # Errors
    /// stdin is not a terminal.
    fn begin() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for HiddenInput {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};

        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// The terminal of this system cannot hide what is typed.
#[cfg(not(unix))]
#[derive(Debug)]
struct HiddenInput;

#[cfg(not(unix))]
impl HiddenInput {
    /// Never.
    ///
    /// # Errors
    /// Always.
    fn begin() -> io::Result<Self> {
        Err(io::Error::other("the terminal of this system cannot hide what is typed"))
    }
}

/// In bytes. A terminal gives no longer ones.
const LONGEST_LINE: usize = 8192;
