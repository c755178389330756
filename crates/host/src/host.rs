//! All parts together.

use std::sync::Arc;

use crate::clock::Clock;
use crate::env::Env;
use crate::programs::Programs;
use crate::transport::Transport;

/// The four of them together, as a program hands them to the crates below.
#[derive(Clone)]
#[non_exhaustive]
pub struct Host {
    /// The network.
    pub http: Arc<dyn Transport>,
    /// The environment.
    pub env: Arc<dyn Env>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Helper programs.
    pub programs: Arc<dyn Programs>,
}

impl Host {
    /// A host of these parts.
    pub fn new(
        http: Arc<dyn Transport>,
        env: Arc<dyn Env>,
        clock: Arc<dyn Clock>,
        programs: Arc<dyn Programs>,
    ) -> Self {
        Self { http, env, clock, programs }
    }

    /// The same with the network `http`.
    #[must_use]
    pub fn with_http(mut self, http: Arc<dyn Transport>) -> Self {
        self.http = http;
        self
    }

    /// The same with the environment `env`.
    #[must_use]
    pub fn with_env(mut self, env: Arc<dyn Env>) -> Self {
        self.env = env;
        self
    }

    /// The same with the clock `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same with the helper programs `programs`.
    #[must_use]
    pub fn with_programs(mut self, programs: Arc<dyn Programs>) -> Self {
        self.programs = programs;
        self
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Host { .. }")
    }
}
