//! One service, and the rules that choose among several of a kind.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::str::FromStr;
use std::time::SystemTime;

use bundle::proto_json::Message;
use serde_json::{Value, json};
use url::Url;

use crate::document::{in_document, quote};
use crate::error::Error;
use crate::window::Window;

/// One service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    /// Where it is: a base URL, of a timestamp authority the whole URL, of OIDC the issuer.
    pub url: Url,
    /// The major version of its API.
    pub major_api_version: u32,
    /// Who runs it.
    pub operator: String,
    /// When to use it.
    pub valid_for: Window,
}

/// How many of the services of a kind are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Selector {
    /// All of them.
    All,
    /// Any one. Here the newest: two runs with one config use the same service.
    Any,
    /// Exactly this number.
    Exact(u32),
}

/// Reads `ALL`, `ANY` or `EXACT:N`, as cosign's flags spell it.
impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let count = text.strip_prefix("EXACT:").and_then(|count| count.parse::<u32>().ok());
        match (text, count) {
            ("ALL", _) => Ok(Self::All),
            ("ANY", _) => Ok(Self::Any),
            (_, Some(count)) if count > 0 => Ok(Self::Exact(count)),
            _ => {
                let problem = format!("expected ANY, ALL or EXACT:N, found {}", quote(text));
                Err(Error::entry("selector", problem))
            }
        }
    }
}

/// A kind of service.
#[derive(Clone, Copy)]
pub(crate) struct ServiceKind {
    /// How errors call it.
    name: &'static str,
    /// The versions of its API that are supported.
    versions: &'static [u32],
}

/// The services of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Services {
    name: &'static str,
    supported: &'static [u32],
    pub(crate) list: Vec<Service>,
    /// `None` is what cosign writes where nothing is listed.
    pub(crate) selector: Option<Selector>,
    /// Given by the user: all are used, and the rules below do not apply.
    chosen: bool,
}

impl Service {
    /// A service that is used from `start` on.
    pub fn new(url: Url, major_api_version: u32, operator: &str, start: SystemTime) -> Self {
        let operator = operator.to_owned();
        Self { url, major_api_version, operator, valid_for: Window::since(start) }
    }

    pub(crate) fn read(mut message: Message<'_>) -> Result<Self, Error> {
        let wrong = in_document(WHAT);
        let path = message.path_of("url");
        let text = message.string("url").map_err(&wrong)?.unwrap_or_default();
        let url = Url::parse(&text)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::entry(path, format!("not an http URL: {}", quote(&text))))?;
        let version = message.int64("majorApiVersion").map_err(&wrong)?;
        let operator = message.string("operator").map_err(&wrong)?.unwrap_or_default();
        let valid_for = Window::read(&mut message, WHAT)?;
        Ok(Self {
            url,
            major_api_version: u32::try_from(version).unwrap_or(u32::MAX),
            operator,
            valid_for,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "url": self.url.as_str().trim_end_matches('/'),
            "majorApiVersion": self.major_api_version,
            "validFor": self.valid_for.to_json(),
            "operator": self.operator,
        })
    }
}

impl Selector {
    pub(crate) fn read(mut message: Message<'_>) -> Result<Option<Self>, Error> {
        let wrong = in_document(WHAT);
        let count_path = message.path_of("count");
        let selector = message.enumeration("selector", SELECTORS).map_err(&wrong)?;
        let count = message.int64("count").map_err(&wrong)?;
        match selector {
            Some("ALL") => Ok(Some(Self::All)),
            Some("ANY") => Ok(Some(Self::Any)),
            Some("EXACT") => match u32::try_from(count) {
                Ok(count) if count > 0 => Ok(Some(Self::Exact(count))),
                _ => Err(Error::entry(count_path, format!("expected at least 1, found {count}"))),
            },
            _ => Ok(None),
        }
    }

    pub(crate) fn to_json(self) -> Value {
        match self {
            Self::All => json!({ "selector": "ALL" }),
            Self::Any => json!({ "selector": "ANY" }),
            Self::Exact(count) => json!({ "selector": "EXACT", "count": count }),
        }
    }
}

impl Services {
    pub(crate) fn new(kind: ServiceKind, list: Vec<Service>, selector: Option<Selector>) -> Self {
        Self { name: kind.name, supported: kind.versions, list, selector, chosen: false }
    }

    pub(crate) fn replace(&mut self, urls: Vec<Url>) {
        let list = urls
            .into_iter()
            .map(|url| {
                let listed = self.list.iter().find(|service| same(&service.url, &url));
                Service {
                    major_api_version: listed.map_or(1, |service| service.major_api_version),
                    operator: url.host_str().unwrap_or_default().to_owned(),
                    valid_for: Window::since(SystemTime::UNIX_EPOCH),
                    url,
                }
            })
            .collect();
        self.list = list;
        self.selector = Some(Selector::All);
        self.chosen = true;
    }

    pub(crate) fn first(&self, now: SystemTime) -> Result<Service, Error> {
        self.usable(now).into_iter().next().cloned().ok_or_else(|| self.none(now))
    }

    pub(crate) fn select(&self, now: SystemTime) -> Result<Vec<Service>, Error> {
        if self.list.is_empty() {
            return Ok(Vec::new());
        }
        let usable = self.usable(now);
        if usable.is_empty() {
            return Err(self.none(now));
        }
        let take = match self.selector {
            Some(Selector::All) => usable.len(),
            Some(Selector::Any) => 1,
            Some(Selector::Exact(count)) => usize::try_from(count).unwrap_or(usize::MAX),
            None => {
                let reason = "its selector is missing: expected ALL, ANY or EXACT";
                return Err(Error::NoService { service: self.name, reason: reason.to_owned() });
            }
        };
        if take > usable.len() {
            return Err(Error::NoService {
                service: self.name,
                reason: format!("it requires exactly {take}, {} can be used", usable.len()),
            });
        }
        Ok(usable.into_iter().take(take).cloned().collect())
    }

    /// What is usable beside what [`select`](Self::select) takes.
    pub(crate) fn spare(&self, now: SystemTime) -> Vec<Service> {
        let taken = self.select(now).map_or(usize::MAX, |taken| taken.len());
        self.usable(now).into_iter().skip(taken).cloned().collect()
    }

    /// What the rules leave: supported versions in their window, the highest version of those,
    /// the newest of each operator; newest first.
    fn usable(&self, now: SystemTime) -> Vec<&Service> {
        if self.chosen {
            return self.list.iter().collect();
        }
        let mut usable: Vec<&Service> = self
            .list
            .iter()
            .filter(|service| self.supported.contains(&service.major_api_version))
            .filter(|service| service.valid_for.contains(now))
            .collect();
        usable.sort_by_key(|service| Reverse(service.valid_for.start));
        let highest = usable.iter().map(|service| service.major_api_version).max();
        usable.retain(|service| Some(service.major_api_version) == highest);
        let mut operators = HashSet::new();
        usable.retain(|service| operators.insert(service.operator.as_str()));
        usable
    }

    fn none(&self, now: SystemTime) -> Error {
        let listed = self
            .list
            .iter()
            .take(8)
            .map(|service| {
                let why = if !self.supported.contains(&service.major_api_version) {
                    format!("API version {} is not supported", service.major_api_version)
                } else if service.valid_for.contains(now) {
                    "usable".to_owned()
                } else {
                    format!("valid {}", service.valid_for)
                };
                format!("{} ({why})", service.url)
            })
            .collect::<Vec<_>>();
        let reason =
            if listed.is_empty() { "none is listed".to_owned() } else { listed.join(", ") };
        Error::NoService { service: self.name, reason }
    }
}

fn same(a: &Url, b: &Url) -> bool {
    a.as_str().trim_end_matches('/') == b.as_str().trim_end_matches('/')
}

pub(crate) const FULCIO: ServiceKind =
    ServiceKind { name: "certificate authority", versions: &[1] };
pub(crate) const OIDC: ServiceKind = ServiceKind { name: "OIDC issuer", versions: &[1] };
pub(crate) const REKOR: ServiceKind = ServiceKind { name: "transparency log", versions: &[1, 2] };
pub(crate) const TSA: ServiceKind = ServiceKind { name: "timestamp authority", versions: &[1] };
const WHAT: &str = "signing config";
const SELECTORS: &[(i64, &str)] =
    &[(0, "SERVICE_SELECTOR_UNDEFINED"), (1, "ALL"), (2, "ANY"), (3, "EXACT")];
