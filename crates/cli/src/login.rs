//! The person at the terminal, who is asked when nothing else here has an identity.

use std::io::{IsTerminal as _, Read as _};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use host::http::Request;
use host::{BoxFuture, Env, Host};
use http_client::LoopbackListener;
use oidc_interactive::{
    Callbacks, Error, Flow, Login, Loopback, Notice, Page, Person, Prompt, Untrusted,
};
use secrecy::SecretString;
use tokio::sync::oneshot;
use trust_root::SigningConfig;

use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::flags::{AuthFlow, IdentityFlags, LoginFlags, Secret};
use crate::output::Console;

/// Somebody who can log in, and whether the command line asks for that.
pub(crate) struct Planned {
    pub(crate) person: Arc<Person>,
    pub(crate) asked: bool,
}

/// `None` where nobody is to log in: another identity is named, or nobody is there.
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
    let asked = flags.fulcio_auth_flow.is_some();
    if let Some(other) = identity.named() {
        return match asked {
            true => Err(Failure::usage(format!(
                "--fulcio-auth-flow and {other} each name the identity: use one"
            ))),
            false => Ok(None),
        };
    }
    let marker = CI_MARKERS.iter().find(|name| is_set(&*context.env, name));
    match marker {
        Some(name) if asked => {
            return Err(Failure::usage(format!(
                "nobody can log in here: {name} is set, so this is a job"
            ))
            .hint("use the job's own identity; `ambisign identity` says what it lacks"));
        }
        Some(_) => return Ok(None),
        None if !asked && !at_a_terminal() => return Ok(None),
        None => {}
    }
    let issuer = match (&flags.oidc_issuer, config.oidc(context.now())) {
        (Some(issuer), _) => issuer.clone(),
        (None, Ok(service)) => service.url.to_string(),
        (None, Err(error)) if asked => {
            let problem = "the signing config names no issuer to log in at";
            return Err(
                Failure::of(Exit::Failed, problem, &error).hint("name one: --oidc-issuer URL")
            );
        }
        (None, Err(_)) => return Ok(None),
    };
    let secret = match &flags.oidc_client_secret_file {
        Some(path) => Some(read_secret(path).await?),
        None => None,
    };
    let mut login = Login::new(issuer).with_client(&flags.oidc_client_id, secret).with_flow(flow);
    if let Some(redirect) = &flags.oidc_redirect_url {
        login = login.with_redirect(redirect).map_err(|error| {
            Failure::of(Exit::Usage, "--oidc-redirect-url cannot be used", &error)
        })?;
    }
    let prompt = Arc::new(Terminal { console: Arc::clone(&context.console) });
    let person = Arc::new(Person::new(login, host.clone(), Arc::new(SystemLoopback), prompt));
    Ok(Some(Planned { person, asked }))
}

/// Somebody can read what is asked and answer it.
fn at_a_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// A variable that says so is set to something other than "no".
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

/// The terminal as the person sees it.
struct Terminal {
    console: Arc<Console>,
}

impl Prompt for Terminal {
    fn tell(&self, notice: &Notice<'_>) {
        let console = &self.console;
        match notice {
            Notice::Browser { url } => {
                console.note(PUBLICITY);
                console.note(&format!(
                    "Log in with the browser that opens now. If none does, open:\n\n    {url}\n"
                ));
                console.wait_for("waiting for a person to log in with the browser");
            }
            Notice::Device { user_code, url, complete_url, expires_in } => {
                console.note(PUBLICITY);
                console.note(&format!(
                    "Within {} s, open this page with any browser, and log in there with the code \
                     {user_code}:\n\n    {}\n",
                    expires_in.as_secs(),
                    complete_url.unwrap_or(url)
                ));
                console.wait_for("waiting for a person to log in with another device");
            }
            Notice::NoBrowser { reason, .. } => {
                console.note(&format!("No browser could be opened: {reason}."));
            }
            Notice::OutOfBand { url } => {
                console.note(&format!(
                    "Open this page with any browser, log in there, and type the code that it \
                     shows:\n\n    {url}\n"
                ));
                console.wait_for("waiting for the code that a person types");
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
            let line = String::from_utf8(line).map_err(|_| "it is not text".to_owned());
            // Whoever asked may have gone.
            drop(typed.send(line));
        });
        Box::pin(
            async move { answer.await.unwrap_or_else(|_| Err("stdin cannot be read".to_owned())) },
        )
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let failure = Self::of(Exit::Failed, "nobody is logged in", &error);
        match &error {
            Error::Answer { .. } => {
                failure.hint("--oidc-issuer must be the URL that the issuer's own documents state")
            }
            Error::Deadline { .. } => failure.hint(
                "start again; where no browser can come back to this machine, use \
                 --fulcio-auth-flow device",
            ),
            Error::Refused { error, .. } if error.contains("client") => {
                failure.hint("see --oidc-client-id and --oidc-client-secret-file")
            }
            Error::Setup { .. } => failure.hint(
                "let the browser come back elsewhere (--oidc-redirect-url \
                 http://localhost:0/auth/callback), or use --fulcio-auth-flow device",
            ),
            Error::Transport { source, .. } => failure.hints_for(source),
            Error::Unsupported { what: "the device flow", .. } => {
                failure.hint("use --fulcio-auth-flow normal")
            }
            Error::Untrusted {
                source: Untrusted::Expired { .. } | Untrusted::NotYet { .. },
                ..
            } => failure.hint("compare this machine's clock with the issuer's"),
            Error::WrongState { .. } => {
                failure.hint("close the pages of earlier logins and start again")
            }
            _ => failure,
        }
    }
}

/// What anyone should know who lends their name.
const PUBLICITY: &str = "The name or e-mail address that you log in with will be part of the \
                         signature, and of a log that anyone can read and nothing is deleted from.";

/// Variables of places where nobody looks at a screen.
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
