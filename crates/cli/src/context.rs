//! What every command needs: the host, the console and the exit code so far.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use host::{Clock, Env, Host};
use http_client::{Deadline, Settings, SystemClock, SystemEnv, danger};
use tokio::sync::OnceCell;
use trust_update::Trust;

use crate::failure::{Exit, Failure};
use crate::flags::RootFlags;
use crate::output::Console;
use crate::{command_line, hints};

/// The surroundings of a command.
pub(crate) struct Context {
    pub(crate) console: Arc<Console>,
    pub(crate) env: Arc<dyn Env>,
    /// The time of `--timeout`.
    pub(crate) deadline: Arc<Deadline>,
    /// The trusted root that TUF keeps current, once it was loaded.
    pub(crate) trust: OnceCell<Arc<Trust>>,
    /// At a node: kubelet's configuration of credential providers, and where their programs are.
    pub(crate) providers: Option<(PathBuf, PathBuf)>,
    flags: RootFlags,
    arguments: Vec<OsString>,
    /// The flags that the command has.
    known: OnceLock<Vec<String>>,
    worst: Mutex<Exit>,
}

impl Context {
    pub(crate) fn new(arguments: Vec<OsString>, flags: RootFlags) -> Self {
        Self {
            console: Arc::new(Console::new()),
            env: Arc::new(SystemEnv),
            deadline: Deadline::of_program(flags.timeout, flags.retry_for),
            trust: OnceCell::new(),
            providers: None,
            flags,
            arguments,
            known: OnceLock::new(),
            worst: Mutex::new(Exit::Done),
        }
    }

    /// The same surroundings, with the environment and the credential providers of a node. A service
    /// that is down is not waited for: the container runtime has no patience.
    pub(crate) fn at_node(&self, env: Arc<dyn Env>, providers: (PathBuf, PathBuf)) -> Self {
        let flags = RootFlags { retry_for: Duration::ZERO, ..self.flags.clone() };
        Self {
            console: Arc::clone(&self.console),
            env,
            deadline: Arc::clone(&self.deadline),
            providers: Some(providers),
            ..Self::new(self.arguments.clone(), flags)
        }
    }

    /// Reports a failure now, and keeps its exit code whatever ends the command later.
    /// Hints that name flags of other commands are left out.
    pub(crate) fn fail(&self, failure: &Failure) {
        let known = self.known.get_or_init(|| {
            let command = command_line::named(&self.arguments);
            command
                .get_arguments()
                .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
                .collect()
        });
        let has =
            |flag: &str| failure.exit == Exit::WrongArguments || known.iter().any(|it| it == flag);
        let hints = failure.hints.iter().filter(|hint| hints::applies(hint, has));
        self.console.failure(&failure.problem, &failure.causes, hints);
        if !failure.names.is_empty() {
            self.console.note("not done:");
            failure.names.iter().for_each(|name| self.console.note(name));
        }
        self.end_with(failure.exit);
    }

    /// The program ends at least as severely as this, which was reported; returns how it ends.
    pub(crate) fn end_with(&self, exit: Exit) -> Exit {
        let mut worst = self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        *worst = exit.max(*worst);
        *worst
    }

    /// The network as the environment and the flags of every command describe it.
    pub(crate) fn settings(&self) -> Settings {
        let settings = Settings::from_env(&*self.env);
        match self.flags.allow_insecure_service {
            true => danger::allow_plain_http(settings),
            false => settings,
        }
    }

    /// The host for identities, which judges the times of tokens by the clocks of the services.
    pub(crate) fn service_host(&self) -> Host {
        let console = Arc::clone(&self.console);
        self.host(&self.settings()).following_services(move |difference| {
            console.warning(&format!(
                "{difference}: the times of identity tokens are judged by that one"
            ));
        })
    }

    /// A host whose network is set up by `settings`. Nothing is sent, and no trust store is read,
    /// before the first request.
    pub(crate) fn host(&self, settings: &Settings) -> Host {
        http_client::system_host_with(settings).with_env(Arc::clone(&self.env))
    }

    /// How long a service or registry that is down is waited for.
    pub(crate) fn retry_for(&self) -> Duration {
        self.flags.retry_for
    }

    pub(crate) fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    pub(crate) fn now(&self) -> std::time::SystemTime {
        SystemClock.now()
    }
}
