//! Interactive login: asked for by a flag, or at a terminal when no other identity is found.

use std::any::Any;
use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;

use host::{BoxFuture, Host};
use http_client::{Deadline, SystemLoopback};
use oidc_interactive::{Flow, InteractiveLogin, Login, Notice, Prompt};
use secrecy::{ExposeSecret as _, SecretString};
use trust_root::SigningConfig;

use crate::context::Context;
use crate::failure::{Failure, OrFail as _, Result};
use crate::files;
use crate::flags::{AuthFlow, IdentityFlags, LoginFlags};
use crate::output::Console;

/// The login that the flags describe, before anything is sent; only its issuer may still be unknown.
/// `None` when another identity is named, in a CI job and where there is no terminal.
pub(crate) async fn prepare(
    flags: &LoginFlags,
    identity: &IdentityFlags,
    context: &Context,
) -> Result<Option<Login>> {
    let Some(flow) = flow(flags, identity, context)? else { return Ok(None) };
    let secret = match &flags.oidc_client_secret_file {
        Some(path) => Some(read_secret(path, context).await?),
        None => None,
    };
    let issuer = flags.oidc_issuer.clone().unwrap_or_default();
    let login = Login::new(issuer).with_flow(flow).with_client(&flags.oidc_client_id, secret);
    match &flags.oidc_redirect_url {
        None => Ok(Some(login)),
        Some(redirect) => {
            login.with_redirect(redirect).map(Some).or_usage("cannot use --oidc-redirect-url")
        }
    }
}

fn flow(flags: &LoginFlags, identity: &IdentityFlags, context: &Context) -> Result<Option<Flow>> {
    let (flow, asked) = match flags.fulcio_auth_flow {
        Some(AuthFlow::Token) => return Ok(None),
        Some(AuthFlow::Device) => (Flow::Device, true),
        Some(AuthFlow::Normal) => (Flow::Browser, true),
        None => (Flow::Browser, false),
    };
    match (identity.named(), oidc_ambient::ci_marker(&*context.env)) {
        (Some(other), _) if asked => Err(Failure::usage(format!(
            "--fulcio-auth-flow cannot be used with {other}: both name the identity"
        ))),
        (None, Some(name)) if asked => Err(Failure::usage(format!(
            "an interactive login is not possible in a CI job: {name} is set"
        ))
        .hint("use the identity of the job; `ambisign identity` shows what it needs")),
        (None, None) if asked || http_client::can_ask() => Ok(Some(flow)),
        _ => Ok(None),
    }
}

/// `login` as an identity source. `None` where no issuer is known, unless a login is asked for.
pub(crate) fn source(
    mut login: Login,
    flags: &LoginFlags,
    config: &SigningConfig,
    context: &Context,
    host: &Host,
) -> Result<Option<Arc<InteractiveLogin>>> {
    if flags.oidc_issuer.is_none() {
        login = match config.oidc(context.now()) {
            Ok(service) => login.with_issuer(service.url),
            Err(_) if flags.fulcio_auth_flow.is_none() => return Ok(None),
            Err(error) => {
                return Err(Failure::from(error).hint("name the issuer: --oidc-issuer URL"));
            }
        };
    }
    let (console, deadline) = (Arc::clone(&context.console), Arc::clone(&context.deadline));
    let prompt = Arc::new(Terminal { console, deadline });
    let login = InteractiveLogin::new(login, host.clone(), Arc::new(SystemLoopback), prompt);
    Ok(Some(Arc::new(login)))
}

async fn read_secret(named: &SecretString, context: &Context) -> Result<SecretString> {
    let (path, flag) = (Path::new(named.expose_secret()), "--oidc-client-secret-file");
    // The value may be the secret itself.
    if path.symlink_metadata().is_err() {
        return Err(Failure::usage(format!("{flag} names no existing file"))
            .cause(format!("found a text of {} bytes", named.expose_secret().len()))
            .hint("write the secret to a file and give its name"));
    }
    let secret = |bytes: &[u8]| std::str::from_utf8(bytes).map(|text| text.trim().into());
    files::parse(flag, path, SECRET_CAP, context, secret).await
}

/// The prompts of the login, on stderr.
struct Terminal {
    console: Arc<Console>,
    deadline: Arc<Deadline>,
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

    /// The time that the user takes does not count for `--timeout`: a login has its own deadline.
    fn waiting(&self) -> Box<dyn Any + Send> {
        Box::new(self.deadline.pause())
    }

    fn takes_codes(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn ask_code(&self) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async {
            let line = http_client::read_line().await;
            line.map(|line| line.to_string()).map_err(|error| error.to_string())
        })
    }
}

/// What a user should know before logging in.
const PUBLICITY: &str = "The name or e-mail address that you log in with becomes part of the \
                         signature and of a public log. It cannot be deleted there.";

/// The largest file with a secret, in bytes.
const SECRET_CAP: usize = 64 << 10;
