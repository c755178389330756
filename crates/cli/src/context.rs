//! What every command needs: the host, the console and the exit code so far.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use host::{Clock as _, Env, Host};
use http_client::{Settings, SystemClock, SystemEnv, danger};
use trust_update::Trust;

use crate::deadline::{Deadline, Paused};
use crate::failure::{Exit, Failure};
use crate::output::Console;
use crate::{command_line, hints};

/// One thread is enough: the program waits for others nearly all of the time.
pub(crate) fn runtime(opens_sockets: bool) -> std::io::Result<tokio::runtime::Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    match opens_sockets {
        true => runtime.enable_all().build(),
        false => runtime.enable_time().build(),
    }
}

/// The surroundings of a command.
pub(crate) struct Context {
    pub(crate) console: Arc<Console>,
    pub(crate) env: Arc<dyn Env>,
    /// The trusted root that TUF keeps current, once it was loaded.
    trust: Mutex<Option<Arc<Trust>>>,
    worst: Mutex<Exit>,
    /// The names of the running command.
    command: OnceLock<Vec<String>>,
    /// Its flags.
    flags: OnceLock<Vec<String>>,
    deadline: OnceLock<Arc<Deadline>>,
    /// Plain http to services was allowed (`--allow-insecure-service`).
    plain_http: OnceLock<()>,
}

impl Context {
    pub(crate) fn new() -> Self {
        let trust = Mutex::new(None);
        Self {
            console: Arc::new(Console::new()),
            env: Arc::new(SystemEnv),
            trust,
            worst: Mutex::new(Exit::Done),
            command: OnceLock::new(),
            flags: OnceLock::new(),
            deadline: OnceLock::new(),
            plain_http: OnceLock::new(),
        }
    }

    /// Reports a failure now, and keeps its exit code whatever ends the command later.
    /// Hints that name flags of other commands are left out.
    pub(crate) fn fail(&self, failure: &Failure) {
        let flags = self.flags.get_or_init(|| {
            let command = self.command.get().map(Vec::as_slice).unwrap_or_default();
            command_line::flags_of(command)
        });
        let has = |flag: &str| failure.exit == Exit::Usage || flags.iter().any(|it| it == flag);
        let hints = failure.hints.iter().filter(|hint| hints::applies(hint, has));
        self.console.failure(&failure.problem, &failure.causes, hints);
        self.end_with(failure.exit);
    }

    /// The command that runs, by its names.
    pub(crate) fn set_command(&self, names: Vec<String>) {
        _ = self.command.set(names);
    }

    /// The clock of `--timeout` starts.
    pub(crate) fn set_deadline(&self, timeout: Duration) -> &Arc<Deadline> {
        self.deadline.get_or_init(|| Deadline::new(timeout))
    }

    /// The deadline of the command.
    pub(crate) fn deadline(&self) -> Option<&Arc<Deadline>> {
        self.deadline.get()
    }

    /// Stops the clock of `--timeout` while a person or stdin is waited for.
    pub(crate) fn pause(&self) -> Option<Paused> {
        self.deadline().map(Deadline::pause)
    }

    /// The program ends at least as severely as this. What failed was said already.
    pub(crate) fn end_with(&self, exit: Exit) {
        let mut worst = self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        *worst = exit.max(*worst);
    }

    /// The exit code: that of the most severe failure so far.
    pub(crate) fn exit(&self) -> Exit {
        *self.worst.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn trust(&self) -> Option<Arc<Trust>> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn keep_trust(&self, trust: &Arc<Trust>) {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(trust));
    }

    /// Services may be reached over plain http from now on.
    pub(crate) fn allow_plain_http(&self) {
        self.console.warning(
            "plain http to services is allowed (--allow-insecure-service): whoever is on the way \
             can read the identity tokens",
        );
        _ = self.plain_http.set(());
    }

    /// The network as the environment and the flags of every command describe it.
    pub(crate) fn settings(&self) -> Settings {
        let settings = Settings::from_env(&*self.env);
        match self.plain_http.get() {
            Some(()) => danger::allow_plain_http(settings),
            None => settings,
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

    pub(crate) fn now(&self) -> std::time::SystemTime {
        SystemClock.now()
    }
}
