//! Interactive login: asked for by a flag, or at a terminal when no other identity is found.

use std::any::Any;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;
use std::sync::Arc;

use host::{BoxFuture, Env, Host};
use http_client::SystemLoopback;
use oidc_interactive::{Flow, InteractiveLogin, Notice, Prompt};
use secrecy::SecretString;
use trust_root::SigningConfig;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::flags::{AuthFlow, IdentityFlags, LoginFlags, Secret};
use crate::identity::Login;
use crate::output::Console;

/// Whether a person may be asked to log in.
pub(crate) fn check(
    flags: &LoginFlags,
    identity: &IdentityFlags,
    context: &Context,
) -> Result<bool, Failure> {
    if flags.fulcio_auth_flow == Some(AuthFlow::Token) {
        return Ok(false);
    }
    let asked = flags.fulcio_auth_flow.is_some();
    if let Some(other) = identity.named() {
        return match asked {
            true => Err(Failure::usage(format!(
                "--fulcio-auth-flow cannot be used with {other}: both name the identity"
            ))),
            false => Ok(false),
        };
    }
    let marker = CI_MARKERS.iter().find(|name| is_set(&*context.env, name));
    match marker {
        Some(name) if asked => {
            return Err(Failure::usage(format!(
                "an interactive login is not possible in a CI job: {name} is set"
            ))
            .hint("use the identity of the job; `ambisign identity` shows what it needs"));
        }
        Some(_) => return Ok(false),
        None if !asked && !at_a_terminal() => return Ok(false),
        None => {}
    }
    Ok(true)
}

/// `None` without an interactive login: another identity is named, or there is no terminal.
pub(crate) async fn plan(
    flags: &LoginFlags,
    identity: &IdentityFlags,
    config: &SigningConfig,
    context: &Context,
    host: &Host,
) -> Result<Option<Login>, Failure> {
    let flow = match flags.fulcio_auth_flow {
        Some(AuthFlow::Token) => return Ok(None),
        Some(AuthFlow::Device) => Flow::Device,
        Some(AuthFlow::Normal) | None => Flow::Browser,
    };
    if !check(flags, identity, context)? {
        return Ok(None);
    }
    let asked = flags.fulcio_auth_flow.is_some();
    let issuer = match (&flags.oidc_issuer, config.oidc(context.now())) {
        (Some(issuer), _) => issuer.clone(),
        (None, Ok(service)) => service.url.to_string(),
        (None, Err(error)) if asked => {
            let problem = "the signing config has no OIDC issuer to log in at";
            return Err(Failure::of(Exit::Failed, problem, &error)
                .hint("name the issuer: --oidc-issuer URL"));
        }
        (None, Err(_)) => return Ok(None),
    };
    let secret = match &flags.oidc_client_secret_file {
        Some(path) => Some(read_secret(path).await?),
        None => None,
    };
    let mut login = oidc_interactive::Login::new(issuer)
        .with_client(&flags.oidc_client_id, secret)
        .with_flow(flow);
    if let Some(redirect) = &flags.oidc_redirect_url {
        login = login
            .with_redirect(redirect)
            .map_err(|error| Failure::of(Exit::Usage, "cannot use --oidc-redirect-url", &error))?;
    }
    let (console, deadline) = (Arc::clone(&context.console), context.deadline().cloned());
    let prompt = Arc::new(Terminal { console, deadline });
    let login = InteractiveLogin::new(login, host.clone(), Arc::new(SystemLoopback), prompt);
    Ok(Some((Arc::new(login), asked)))
}

/// Whether a person can read the prompt and answer it.
fn at_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether the variable is set to something other than "no".
fn is_set(env: &dyn Env, name: &str) -> bool {
    env.var(name).is_some_and(|value| !matches!(value.as_str(), "0" | "false" | "False"))
}

async fn read_secret(named: &Secret) -> Result<SecretString, Failure> {
    let path = Path::new(named.reveal());
    let flag = "--oidc-client-secret-file";
    // The value may be the secret itself.
    if path.symlink_metadata().is_err() {
        return Err(Failure::usage(format!("{flag} names no existing file"))
            .cause(format!("found {}", named.describe()))
            .hint("write the secret to a file and give its name"));
    }
    let problem = || format!("cannot use {flag} {}", path.display());
    let bytes = files::read(path, SECRET_CAP)
        .await
        .map_err(|error| Failure::of(Exit::Failed, problem(), &error))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::new(Exit::Failed, problem()).cause("the file is not UTF-8"))?;
    Ok(SecretString::from(text.trim()))
}

/// The prompts of the login, on stderr. The time that the user takes does not count for
/// `--timeout`: the login has a deadline of its own.
struct Terminal {
    console: Arc<Console>,
    deadline: Option<Arc<Deadline>>,
}

impl Prompt for Terminal {
    fn tell(&self, notice: &Notice<'_>) {
        match notice {
            Notice::Unsteady { .. } => return self.console.warning(&notice.to_string()),
            Notice::Browser { .. } | Notice::Device { .. } => self.console.note(PUBLICITY),
            _ => (),
        }
        notice.to_string().split('\n').for_each(|line| self.console.note(line));
        if let Some(what) = notice.waits_for() {
            self.console.wait_for(&format!("waiting for {what}"));
        }
    }

    fn waiting(&self) -> Box<dyn Any + Send> {
        Box::new(self.deadline.as_ref().map(Deadline::pause))
    }

    fn takes_codes(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn ask_code(&self) -> BoxFuture<'_, Result<String, String>> {
        // Nothing can end a read from a terminal but a line: the thread ends with the process.
        let read = || {
            let mut line = String::new();
            io::stdin().lock().take(CODE_CAP).read_line(&mut line).map(|_| line)
        };
        Box::pin(async move {
            let line = tokio::task::spawn_blocking(read).await.map_err(io::Error::other);
            line.and_then(|line| line).map_err(|error| error.to_string())
        })
    }
}

/// What a person should know before logging in.
const PUBLICITY: &str = "The name or e-mail address that you log in with becomes part of the \
                         signature and of a public log. It cannot be deleted there.";

/// Variables of CI systems, where a prompt has no answer.
const CI_MARKERS: [&str; 16] = [
    "CI",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "BUILDKITE",
    "CIRCLECI",
    "CF_BUILD_ID",
    "BUDDY",
    "TF_BUILD",
    "BITBUCKET_BUILD_NUMBER",
    "SEMAPHORE",
    "TFC_RUN_ID",
    "VERCEL",
    "JENKINS_URL",
    "TEAMCITY_VERSION",
    "DRONE",
    "CODEBUILD_BUILD_ID",
];

/// The longest line that is read, in bytes.
const CODE_CAP: u64 = 8192;

/// The largest file with a secret, in bytes.
const SECRET_CAP: usize = 64 << 10;
