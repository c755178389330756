//! A registry and the services of a sandbox behind proxies that delay and count.

use std::time::{Duration, Instant};

use sandbox::RekorVersion;

use crate::hostile::{Exchange, HostileServer, Reply};
use crate::program::Program;
use crate::setup::Setup;

/// How long a request is held back.
#[derive(Clone, Copy)]
pub struct Delays {
    /// On its way to the registry.
    pub registry: Duration,
    /// On its way to Fulcio, the log, the timestamp authority and the token's issuer.
    pub services: Duration,
}

/// The proxies of one registry and of a sandbox's services.
pub struct Counted {
    proxies: Vec<(&'static str, HostileServer, usize)>,
    token_url: String,
    config: String,
}

impl Counted {
    /// Proxies before `registry` and the services of `setup`; `log` is the log in use.
    pub fn new(setup: &Setup, registry: &str, log: RekorVersion, delays: Delays) -> Self {
        let front = |behind: &str, delay: Duration| {
            HostileServer::before(behind, move |_| {
                std::thread::sleep(delay);
                Reply::Forward
            })
        };
        let mut proxies = vec![(REGISTRY, front(registry, delays.registry), 0)];
        let endpoints = setup.sandbox.endpoints();
        let mut config = std::fs::read_to_string(setup.sandbox.signing_config(log)).unwrap();
        for (to, url) in [
            ("Fulcio", &endpoints.fulcio),
            ("Rekor", &endpoints.rekor_v1),
            ("Rekor", &endpoints.rekor_v2),
            ("the TSA", &endpoints.tsa),
        ] {
            let proxy = front(host_of(url), delays.services);
            config = config.replace(host_of(url), proxy.address());
            proxies.push((to, proxy, 0));
        }
        let env = setup.sandbox.github_env();
        let (_, url) = env.iter().find(|(name, _)| name == TOKEN_URL).unwrap();
        let issuer = front(host_of(url), delays.services);
        let token_url = url.replace(host_of(url), issuer.address());
        proxies.push(("the issuer", issuer, 0));
        Self { proxies, token_url, config }
    }

    /// The registry's address.
    pub fn registry(&self) -> &str {
        self.proxies[0].1.address()
    }

    /// The program about to sign, as a step of a GitHub job.
    pub fn sign(&self, setup: &Setup) -> Program {
        let config = setup.write("counted.json", &self.config);
        let job = setup.job().env(TOKEN_URL, &self.token_url);
        job.args(["sign", "--signing-config"]).arg(config)
    }

    /// How many requests whose line holds `part` went to `to` since [`Counted::forget`].
    pub fn count(&self, to: &str, part: &str) -> usize {
        let calls = self.calls();
        calls.iter().filter(|(name, call)| *name == to && call.line.contains(part)).count()
    }

    /// How many requests the registry got.
    pub fn requests(&self) -> usize {
        self.count(REGISTRY, "")
    }

    /// Counts anew.
    pub fn forget(&mut self) {
        for (_, proxy, seen) in &mut self.proxies {
            *seen = proxy.exchanges().len();
        }
    }

    /// The longest chain of requests each of which began when the one before it had ended, and all
    /// requests, each with its place in such a chain and its times in milliseconds.
    pub fn round_trips(&self) -> (usize, String) {
        let mut calls = self.calls();
        calls.sort_by_key(|(_, call)| call.start);
        let begin = calls.first().map(|(_, call)| call.start);
        let since = |at: Instant| begin.map_or(0, |begin| (at - begin).as_millis());
        let (mut depths, mut shown) = (Vec::<(Instant, usize)>::new(), String::new());
        for (to, call) in &calls {
            let before = depths.iter().filter(|(end, _)| *end <= call.start);
            let depth = before.map(|(_, depth)| *depth).max().unwrap_or(0) + 1;
            let (start, end) = (since(call.start), since(call.end));
            shown.push_str(&format!("{depth:>3} {start:>5}..{end:<5} {to}: {}\n", call.line));
            depths.push((call.end, depth));
        }
        (depths.into_iter().map(|(_, depth)| depth).max().unwrap_or(0), shown)
    }

    fn calls(&self) -> Vec<(&'static str, Exchange)> {
        let calls = self.proxies.iter().flat_map(|(to, proxy, seen)| {
            proxy.exchanges().into_iter().skip(*seen).map(move |call| (*to, call))
        });
        calls.collect()
    }
}

/// `HOST:PORT` of a URL.
fn host_of(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap();
    rest.split('/').next().unwrap()
}

const REGISTRY: &str = "the registry";
const TOKEN_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
