//! Asking a program of the platform for a token.

use std::time::Duration;

use host::{Host, Invocation, ProgramError, ProgramOutput, escape_remote, with_causes};
use id_token::IdToken;

use crate::redact;

/// Why a program gave no token.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It is not installed.
    Missing,
    /// It failed; how, and what it wrote, escaped and scrubbed.
    Failed(String),
}

/// Runs `program` and takes what it writes as the token. Of the secrets in the environment it gets
/// only those in `needed`.
pub(crate) async fn token(
    host: &Host,
    program: &str,
    args: &[&str],
    needed: &[&str],
) -> Result<IdToken, Failure> {
    let invocation = Invocation::new(program, args.iter().copied())
        .without(id_token::secret_variables_but(needed))
        .keeping(needed.iter().copied())
        .with_deadline(DEADLINE)
        .with_output_cap(OUTPUT_CAP);
    let output = match host.programs.run(invocation).await {
        Ok(output) => output,
        Err(ProgramError::NotFound { .. }) => return Err(Failure::Missing),
        Err(error) => return Err(Failure::Failed(with_causes(&error))),
    };
    if output.code != Some(0) {
        return Err(Failure::Failed(complaint(host, program, needed, &output)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    IdToken::parse(&text).map_err(|error| {
        Failure::Failed(format!("the output of `{program}` is not an identity token: {error}"))
    })
}

/// How a program failed, and the last lines that it wrote for people, without the secrets that it
/// was given in the variables `given`.
pub(crate) fn complaint(
    host: &Host,
    program: &str,
    given: &[&str],
    output: &ProgramOutput,
) -> String {
    let how = match output.code {
        Some(code) => format!("`{program}` ended with code {code}"),
        None => format!("`{program}` was ended by a signal"),
    };
    // The last lines say why; a long log comes before them.
    let text = String::from_utf8_lossy(&output.stderr);
    let tail: Vec<&str> =
        text.lines().rev().filter(|line| !line.trim().is_empty()).take(2).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    if tail.is_empty() {
        return how;
    }
    let secrets = redact::of_variables(host.env.as_ref(), given);
    format!("{how}: `{}`", escape_remote(&redact::without(&tail.join(" "), secrets)))
}

/// Agents retry by themselves for half a minute.
const DEADLINE: Duration = Duration::from_secs(45);
const OUTPUT_CAP: usize = 64 << 10;
