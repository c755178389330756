//! Docker's credential helpers: programs that know the credentials of a registry.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use host::{Host, Invocation, ProgramError, escape_remote};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::credentials::Credentials;
use crate::docker_config::Helper;
use crate::error::{CredentialsSource, Error};
use crate::locks::{Locks, guard};

/// What each helper answered, so that it runs once for all repositories of a registry.
#[derive(Debug, Default)]
pub(crate) struct Helpers {
    /// By program and server, and until when it is used.
    answers: Mutex<HashMap<(String, String), (Asked, SystemTime)>>,
    asking: Locks,
}

/// How a helper answered.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Credentials(Credentials),
    /// It knows no credentials for this registry.
    Nothing,
    NotInstalled {
        reason: String,
        /// It was not found out before.
        is_new: bool,
    },
}

impl Helpers {
    /// Asks `helper`, which `file` names.
    ///
    /// # Errors
    /// The helper failed: it may know credentials.
    pub(crate) async fn ask(
        &self,
        host: &Host,
        helper: &Helper,
        file: &str,
    ) -> Result<Asked, Error> {
        let key = (helper.program(), helper.server.clone());
        let _held = self.asking.hold(format!("{} {}", key.0, key.1)).await;
        let now = host.clock.now();
        let known = guard(&self.answers).get(&key).filter(|(_, until)| now < *until).cloned();
        if let Some((known, _)) = known {
            return Ok(known);
        }
        let asked = match run(host, helper, file).await {
            Ok(Some(credentials)) => Asked::Credentials(credentials),
            Ok(None) => Asked::Nothing,
            Err(error) if is_missing(&error) => {
                Asked::NotInstalled { reason: host::with_causes(&error), is_new: true }
            }
            Err(error) => return Err(error),
        };
        let kept = match &asked {
            Asked::NotInstalled { reason, .. } => {
                Asked::NotInstalled { reason: reason.clone(), is_new: false }
            }
            asked => asked.clone(),
        };
        if let Some(until) = now.checked_add(KEPT) {
            guard(&self.answers).insert(key, (kept, until));
        }
        Ok(asked)
    }
}

/// Runs a helper. `None` if it knows no credentials; every other failure is an error.
async fn run(host: &Host, helper: &Helper, file: &str) -> Result<Option<Credentials>, Error> {
    let program = helper.program();
    let failed = |reason: String, source: Option<CredentialsSource>| Error::Credentials {
        origin: format!("{program} (named by {file})"),
        reason,
        source,
    };
    let invocation = Invocation::new(&program, ["get"])
        .with_stdin(helper.server.clone())
        .without(id_token::SECRET_VARIABLES)
        .with_deadline(HELPER_DEADLINE)
        .with_output_cap(HELPER_OUTPUT_CAP);
    let output = host.programs.run(invocation).await.map_err(|source| {
        failed("the credential helper did not run".to_owned(), Some(source.into()))
    })?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if output.code != Some(0) {
        let stderr = String::from_utf8_lossy(&output.stderr);
        if [&stdout, &stderr].iter().any(|text| is_not_found(text)) {
            return Ok(None);
        }
        // Helpers report on stdout by convention; what looks like an answer is never shown.
        let said = match stdout.trim() {
            "" => stderr.trim(),
            text if text.contains(['{', '}']) => "",
            text => text,
        };
        let code = output.code.map_or_else(|| "by a signal".to_owned(), |code| code.to_string());
        let said = match said {
            "" => String::new(),
            said => format!(": {}", escape_remote(said)),
        };
        return Err(failed(format!("it ended with {code}{said}"), None));
    }
    let Ok(answer) = serde_json::from_str::<HelperAnswer>(&stdout) else {
        return Err(failed("its answer is not the JSON of a credential helper".to_owned(), None));
    };
    let password = SecretString::from(answer.secret);
    if answer.username.is_empty() && password.expose_secret().is_empty() {
        return Ok(None);
    }
    Ok(Some(Credentials::from_pair(answer.username, password)))
}

fn is_missing(error: &Error) -> bool {
    let Error::Credentials { source: Some(source), .. } = error else { return false };
    matches!(source, CredentialsSource::Program(ProgramError::NotFound { .. }))
}

fn is_not_found(text: &str) -> bool {
    text.contains("credentials not found") || text.contains("no credentials server URL")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// What a helper gives may end soon: Google's access tokens live an hour.
const KEPT: Duration = Duration::from_secs(300);
const HELPER_DEADLINE: Duration = Duration::from_secs(30);
const HELPER_OUTPUT_CAP: usize = 64 << 10;
