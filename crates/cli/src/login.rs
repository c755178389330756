//! Interactive login: asked for by a flag, or at a terminal when no other identity is found.

use std::io::{IsTerminal as _, Read as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use host::http::Request;
use host::{BoxFuture, Env, Host};
use http_client::LoopbackListener;
use id_token::{Audience, IdToken, Outcome, TokenSource};
use oidc_interactive::{Callbacks, Flow, Login, Loopback, Notice, Page, Person, Prompt};
use secrecy::SecretString;
use tokio::sync::oneshot;
use trust_root::SigningConfig;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::flags::{AuthFlow, IdentityFlags, LoginFlags, Secret};
use crate::output::Console;

/// An interactive login, and whether the command line asks for it.
pub(crate) struct Planned {
    pub(crate) person: Arc<Untimed>,
    pub(crate) asked: bool,
}

/// A person, whose time does not count for `--timeout`: the login has a deadline of its own.
pub(crate) struct Untimed {
    person: Person,
    deadline: Option<Arc<Deadline>>,
}

impl Untimed {
    pub(crate) async fn token(
        &self,
        min_ttl: Duration,
    ) -> Result<IdToken, oidc_interactive::Error> {
        let _paused = self.deadline.as_ref().map(Deadline::pause);
        self.person.token(min_ttl).await
    }
}

impl TokenSource for Untimed {
    fn name(&self) -> &str {
        self.person.name()
    }

    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let _paused = self.deadline.as_ref().map(Deadline::pause);
            self.person.find(audience, min_ttl).await
        })
    }
}

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
) -> Result<Option<Planned>, Failure> {
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
    let mut login = Login::new(issuer).with_client(&flags.oidc_client_id, secret).with_flow(flow);
    if let Some(redirect) = &flags.oidc_redirect_url {
        login = login
            .with_redirect(redirect)
            .map_err(|error| Failure::of(Exit::Usage, "cannot use --oidc-redirect-url", &error))?;
    }
    let prompt = Arc::new(Terminal { console: Arc::clone(&context.console) });
    let person = Person::new(login, host.clone(), Arc::new(SystemLoopback), prompt);
    let person = Arc::new(Untimed { person, deadline: context.deadline().cloned() });
    Ok(Some(Planned { person, asked }))
}

/// Whether a person can read the prompt and answer it.
fn at_a_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
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

/// The prompts of the login, on stderr.
struct Terminal {
    console: Arc<Console>,
}

impl Prompt for Terminal {
    fn tell(&self, notice: &Notice<'_>) {
        let console = &self.console;
        let url_below = |text: &str, url: &str| {
            [text, "", &format!("    {url}"), ""].iter().for_each(|line| console.note(line));
        };
        match notice {
            Notice::Browser { url } => {
                console.note(PUBLICITY);
                let text = "Log in with the browser that opens now. If it does not open, use:";
                url_below(text, url);
                console.wait_for("waiting for the login in the browser");
            }
            Notice::Device { user_code, url, complete_url, expires_in } => {
                console.note(PUBLICITY);
                let seconds = expires_in.as_secs();
                let text = format!(
                    "Within {seconds} s, open this page in any browser and log in with the code \
                     {user_code}:"
                );
                url_below(&text, complete_url.unwrap_or(url));
                console.wait_for("waiting for the login on another device");
            }
            Notice::NoBrowser { reason, .. } => {
                console.note(&format!("Cannot open a browser: {reason}."));
            }
            Notice::OutOfBand { url } => {
                let text =
                    "Open this page in any browser, log in, and type the code that it shows:";
                url_below(text, url);
                console.wait_for("waiting for the code to be typed");
            }
            Notice::Unsteady { reason } => {
                console.warning(&format!("{reason}; trying again"));
            }
            _ => {}
        }
    }

    fn takes_codes(&self) -> bool {
        std::io::stdin().is_terminal()
    }

    fn ask_code(&self) -> BoxFuture<'_, Result<String, String>> {
        let (typed, answer) = oneshot::channel();
        // Nothing can end a read from a terminal but a line: the thread ends with the process.
        std::thread::spawn(move || {
            let mut line = Vec::new();
            for byte in std::io::stdin().lock().bytes().take(CODE_CAP) {
                match byte {
                    Ok(b'\n') => break,
                    Ok(byte) => line.push(byte),
                    Err(error) => {
                        drop(typed.send(Err(error.to_string())));
                        return;
                    }
                }
            }
            let line = String::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned());
            // The login may have been abandoned.
            drop(typed.send(line));
        });
        Box::pin(
            async move { answer.await.unwrap_or_else(|_| Err("cannot read stdin".to_owned())) },
        )
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
const CODE_CAP: usize = 8192;

/// The largest file with a secret, in bytes.
const SECRET_CAP: usize = 64 << 10;

/// The listener of `http-client` for the logins of `oidc-interactive`.
struct SystemLoopback;

impl Loopback for SystemLoopback {
    fn listen(
        &self,
        addresses: &[IpAddr],
        port: u16,
    ) -> BoxFuture<'_, Result<Box<dyn Callbacks>, std::io::Error>> {
        let addresses = addresses.to_vec();
        Box::pin(async move {
            let listener = LoopbackListener::bind(&addresses, port).await?;
            Ok(Box::new(Listener(listener)) as Box<dyn Callbacks>)
        })
    }
}

struct Listener(LoopbackListener);

impl Callbacks for Listener {
    fn port(&self) -> u16 {
        self.0.port()
    }

    fn serve<'a>(
        &'a mut self,
        answer: &'a mut (dyn FnMut(&Request<()>) -> Page + Send),
    ) -> BoxFuture<'a, ()> {
        Box::pin(self.0.serve(|request| {
            let page = answer(request);
            (page.response, page.last)
        }))
    }
}
