//! What the commands stand on: the host, the console, and the work not yet finished.

use std::sync::Arc;

use host::{Clock as _, Env, Host};
use http_client::{HttpClient, Settings, SystemClock, SystemPrograms};

use crate::output::Console;

/// The process's surroundings.
pub(crate) struct World {
    pub(crate) console: Arc<Console>,
    pub(crate) env: Arc<dyn Env>,
}

impl World {
    /// The network as the environment describes it.
    pub(crate) fn settings(&self) -> Settings {
        Settings::from_env(&*self.env)
    }

    /// A host whose network is set up by `settings`. Nothing is sent, and no trust store is read,
    /// before the first request.
    pub(crate) fn host(&self, settings: &Settings) -> Host {
        Host {
            http: Arc::new(HttpClient::new(settings)),
            env: Arc::clone(&self.env),
            clock: Arc::new(SystemClock),
            programs: Arc::new(SystemPrograms),
        }
    }

    pub(crate) fn now(&self) -> std::time::SystemTime {
        SystemClock.now()
    }
}
