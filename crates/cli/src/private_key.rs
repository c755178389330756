//! The private key of `--key`, and passwords.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use image_signing::{PrivateKey, PrivateKeyError};
use keys::KeyPair;
use zeroize::Zeroizing;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _};

type Password = Zeroizing<Vec<u8>>;

/// Reads the private key that `name` names, with its password where it is encrypted.
pub(crate) async fn private_key(name: &str, context: &Context) -> Result<Arc<KeyPair>, Failure> {
    let problem = || format!("cannot use --key {name}");
    let key = PrivateKey::read(name, &*context.env).await.or_fail(problem)?;
    let password = match key.is_encrypted() {
        true => password(&["Password of the private key: "], context).await?,
        false => None,
    };
    key.open(password).await.map(Arc::new).or_fail(problem)
}

/// The password of a new key file.
pub(crate) async fn new_password(context: &Context) -> Result<Password, Failure> {
    let prompts = ["Password for the new private key: ", "The same password again: "];
    password(&prompts, context).await?.ok_or_else(|| PrivateKeyError::NoPassword.into())
}

/// The password in the environment, or what is typed at each of `prompts`, where there is a terminal.
async fn password(prompts: &[&str], context: &Context) -> Result<Option<Password>, Failure> {
    let variables = ["AMBISIGN_PASSWORD", "COSIGN_PASSWORD"];
    if let Some(given) = variables.iter().find_map(|name| context.env.var_os(name)) {
        return Ok(Some(Zeroizing::new(OsString::into_encoded_bytes(given))));
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    let _paused = context.deadline.pause();
    let mut typed: Option<Password> = None;
    for prompt in prompts {
        context.console.settle();
        let line = ask(prompt).await.or_fail(|| "no password was read".to_owned())?;
        if typed.as_ref().is_some_and(|first| *first != line) {
            return Err(Failure::usage("the two passwords differ"));
        }
        typed = Some(line);
    }
    Ok(typed)
}

/// What is typed, which is not shown.
async fn ask(prompt: &str) -> io::Result<Password> {
    let hidden = Hidden::new()?;
    write!(io::stderr(), "{prompt}")?;
    let read = || {
        let mut line = Zeroizing::new(String::with_capacity(LONGEST_LINE));
        io::stdin().read_line(&mut line).map(|_| line)
    };
    let line = host::off_thread(read).await??;
    drop(hidden);
    writeln!(io::stderr())?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).as_bytes().to_vec()))
}

/// The terminal does not show what is typed until this is dropped, whatever ends the program.
#[cfg(unix)]
struct Hidden(rustix::termios::Termios);

#[cfg(unix)]
impl Hidden {
    fn new() -> io::Result<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};

        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(not(unix))]
struct Hidden;

#[cfg(not(unix))]
impl Hidden {
    fn new() -> io::Result<Self> {
        Err(io::Error::other("on this system the password must be in AMBISIGN_PASSWORD"))
    }
}

/// A terminal gives no longer ones.
const LONGEST_LINE: usize = 4096;
