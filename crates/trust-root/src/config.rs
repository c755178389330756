use std::cmp::Reverse;
use std::time::SystemTime;

use bundle::proto_json::Message;
use serde_json::{Value, json};
use url::Url;

use crate::error::Error;
use crate::root::{CAP, TrustedRoot, document, quote};
use crate::window::Window;

/// Which services to sign with, and how many of each (`signing_config.json`, v0.2).
#[derive(Clone, Debug)]
pub struct SigningConfig {
    fulcio: Services,
    oidc: Services,
    rekor: Services,
    tsa: Services,
}

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
pub enum Selector {
    /// All of them.
    All,
    /// Any one. Here the newest: two runs with one config use the same service.
    Any,
    /// So many, and no fewer.
    Exact(u32),
}

/// A trusted root and a signing config in one file.
#[derive(Clone, Debug)]
pub struct ClientTrustConfig {
    /// Whom to trust.
    pub trusted_root: TrustedRoot,
    /// What to sign with.
    pub signing_config: SigningConfig,
}

#[derive(Clone, Debug)]
struct Services {
    name: &'static str,
    supported: &'static [u32],
    list: Vec<Service>,
    /// `None`: undefined, as cosign writes it where nothing is listed.
    selector: Option<Selector>,
    /// Given by the user: used as they are, whatever the rules would leave of them.
    chosen: bool,
}

impl SigningConfig {
    /// Reads a signing config v0.2 of at most 16 MiB. Fields of later versions are ignored.
    ///
    /// # Errors
    ///
    /// When it is no signing config, or of the older v0.1, whose one URL of each kind says neither
    /// its version nor its window.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(Message::parse(bytes, CAP).map_err(document(WHAT))?)
    }

    /// The public-good instance's, as embedded: Rekor v1 and its timestamp authority.
    #[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
    pub fn public_good() -> Self {
        let json = include_bytes!("../data/signing_config.v0.2.json");
        Self::from_json(json).expect("the embedded signing config is valid")
    }

    /// A config that lists these services, all of which are used. With none of a kind, signing
    /// does without where it can.
    pub fn new(
        fulcio: Vec<Service>,
        oidc: Vec<Service>,
        rekor: Vec<Service>,
        tsa: Vec<Service>,
    ) -> Self {
        let services = |(name, supported), list| Services {
            name,
            supported,
            list,
            selector: Some(Selector::All),
            chosen: false,
        };
        Self {
            fulcio: services(FULCIO, fulcio),
            oidc: services(OIDC, oidc),
            rekor: services(REKOR, rekor),
            tsa: services(TSA, tsa),
        }
    }

    /// The document.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    /// Uses the Fulcio at `url` instead of those listed.
    #[must_use]
    pub fn with_fulcio_url(mut self, url: Url) -> Self {
        self.fulcio.replace(vec![url]);
        self
    }

    /// Uses the issuer `url` instead of those listed.
    #[must_use]
    pub fn with_oidc_url(mut self, url: Url) -> Self {
        self.oidc.replace(vec![url]);
        self
    }

    /// Uses the Rekor logs at `urls`, all of them, instead of those listed; none for no log.
    ///
    /// The API version is that of the listed service with the same URL, else 1.
    #[must_use]
    pub fn with_rekor_urls(mut self, urls: Vec<Url>) -> Self {
        self.rekor.replace(urls);
        self
    }

    /// Uses the timestamp authorities at `urls`, all of them, instead of those listed; none for no
    /// timestamp.
    #[must_use]
    pub fn with_tsa_urls(mut self, urls: Vec<Url>) -> Self {
        self.tsa.replace(urls);
        self
    }

    /// The Fulcio to ask at `now`.
    ///
    /// # Errors
    ///
    /// When none is listed, or none listed is usable at `now`.
    pub fn fulcio(&self, now: SystemTime) -> Result<Service, Error> {
        self.fulcio.first(now)
    }

    /// The issuer a person logs in at.
    ///
    /// # Errors
    ///
    /// As [`SigningConfig::fulcio`].
    pub fn oidc(&self, now: SystemTime) -> Result<Service, Error> {
        self.oidc.first(now)
    }

    /// The logs to write to at `now`, every one of them. Empty when the config lists none.
    ///
    /// # Errors
    ///
    /// When it lists some and fewer are usable at `now` than it demands.
    pub fn rekor(&self, now: SystemTime) -> Result<Vec<Service>, Error> {
        self.rekor.select(now)
    }

    /// The timestamp authorities to ask at `now`, every one of them. Empty when the config lists
    /// none.
    ///
    /// # Errors
    ///
    /// As [`SigningConfig::rekor`].
    pub fn tsa(&self, now: SystemTime) -> Result<Vec<Service>, Error> {
        self.tsa.select(now)
    }

    pub(crate) fn read(mut message: Message) -> Result<Self, Error> {
        let media_type = message.string("mediaType").map_err(document(WHAT))?;
        if media_type.as_deref() != Some(MEDIA_TYPE) {
            return Err(Error::MediaType {
                what: WHAT,
                expected: MEDIA_TYPE,
                found: match media_type.as_deref() {
                    None => "none".to_owned(),
                    Some(MEDIA_TYPE_V0_1) => {
                        format!("{MEDIA_TYPE_V0_1} (v0.1, which names no API versions)")
                    }
                    Some(other) => quote(other),
                },
            });
        }
        let mut services = |(name, supported), urls, config: Option<&str>| {
            let list = message.messages(urls).map_err(document(WHAT))?;
            let list = list.into_iter().map(Service::read).collect::<Result<_, _>>()?;
            let selector = match config {
                None => Some(Selector::Any),
                Some(config) => match message.message(config).map_err(document(WHAT))? {
                    Some(config) => Selector::read(config)?,
                    None => Some(Selector::All),
                },
            };
            Ok::<_, Error>(Services { name, supported, list, selector, chosen: false })
        };
        Ok(Self {
            fulcio: services(FULCIO, "caUrls", None)?,
            oidc: services(OIDC, "oidcUrls", None)?,
            rekor: services(REKOR, "rekorTlogUrls", Some("rekorTlogConfig"))?,
            tsa: services(TSA, "tsaUrls", Some("tsaConfig"))?,
        })
    }

    pub(crate) fn to_value(&self) -> Value {
        let list =
            |services: &Services| services.list.iter().map(Service::to_json).collect::<Vec<_>>();
        json!({
            "mediaType": MEDIA_TYPE,
            "caUrls": list(&self.fulcio),
            "oidcUrls": list(&self.oidc),
            "rekorTlogUrls": list(&self.rekor),
            "rekorTlogConfig": self.rekor.selector.map_or_else(|| json!({}), Selector::to_json),
            "tsaUrls": list(&self.tsa),
            "tsaConfig": self.tsa.selector.map_or_else(|| json!({}), Selector::to_json),
        })
    }
}

impl Service {
    /// A service that is used from `start` on.
    pub fn new(url: Url, major_api_version: u32, operator: &str, start: SystemTime) -> Self {
        let operator = operator.to_owned();
        Self { url, major_api_version, operator, valid_for: Window::since(start) }
    }

    fn read(mut message: Message) -> Result<Self, Error> {
        let wrong = document(WHAT);
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

    fn to_json(&self) -> Value {
        json!({
            "url": self.url.as_str().trim_end_matches('/'),
            "majorApiVersion": self.major_api_version,
            "validFor": self.valid_for.to_json(),
            "operator": self.operator,
        })
    }
}

impl Selector {
    fn read(mut message: Message) -> Result<Option<Self>, Error> {
        let wrong = document(WHAT);
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

    fn to_json(self) -> Value {
        match self {
            Self::All => json!({ "selector": "ALL" }),
            Self::Any => json!({ "selector": "ANY" }),
            Self::Exact(count) => json!({ "selector": "EXACT", "count": count }),
        }
    }
}

impl Services {
    fn replace(&mut self, urls: Vec<Url>) {
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
        *self = Self { list, selector: Some(Selector::All), chosen: true, ..*self };
    }

    fn first(&self, now: SystemTime) -> Result<Service, Error> {
        self.usable(now).into_iter().next().cloned().ok_or_else(|| self.none(now))
    }

    fn select(&self, now: SystemTime) -> Result<Vec<Service>, Error> {
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
                let reason = "it does not say how many: expected the selector ALL, ANY or EXACT";
                return Err(Error::NoService { service: self.name, reason: reason.to_owned() });
            }
        };
        if take > usable.len() {
            return Err(Error::NoService {
                service: self.name,
                reason: format!("it demands exactly {take}, {} can be used", usable.len()),
            });
        }
        Ok(usable.into_iter().take(take).cloned().collect())
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
        let mut operators = Vec::new();
        usable.retain(|service| {
            let first = !operators.contains(&service.operator.as_str());
            operators.push(service.operator.as_str());
            first
        });
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

impl ClientTrustConfig {
    /// Reads a client trust config of at most 16 MiB.
    ///
    /// # Errors
    ///
    /// When it is none, or one of its two parts cannot be read.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        let what = "client trust config";
        let mut message = Message::parse(bytes, CAP).map_err(document(what))?;
        let media_type = message.string("mediaType").map_err(document(what))?;
        if media_type.as_deref() != Some(CLIENT_MEDIA_TYPE) {
            return Err(Error::MediaType {
                what,
                expected: CLIENT_MEDIA_TYPE,
                found: media_type.map_or_else(|| "none".to_owned(), |found| quote(&found)),
            });
        }
        let mut part = |name| {
            message
                .message(name)
                .map_err(document(what))?
                .ok_or_else(|| Error::entry(name, "missing"))
        };
        Ok(Self {
            trusted_root: TrustedRoot::read(part("trustedRoot")?)?,
            signing_config: SigningConfig::read(part("signingConfig")?)?,
        })
    }

    /// The document.
    pub fn to_json(&self) -> String {
        json!({
            "mediaType": CLIENT_MEDIA_TYPE,
            "trustedRoot": self.trusted_root.to_value(),
            "signingConfig": self.signing_config.to_value(),
        })
        .to_string()
    }
}

fn same(a: &Url, b: &Url) -> bool {
    a.as_str().trim_end_matches('/') == b.as_str().trim_end_matches('/')
}

const WHAT: &str = "signing config";
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";
const MEDIA_TYPE_V0_1: &str = "application/vnd.dev.sigstore.signingconfig.v0.1+json";
const CLIENT_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";
const FULCIO: (&str, &[u32]) = ("certificate authority", &[1]);
const OIDC: (&str, &[u32]) = ("OIDC issuer", &[1]);
const REKOR: (&str, &[u32]) = ("transparency log", &[1, 2]);
const TSA: (&str, &[u32]) = ("timestamp authority", &[1]);
const SELECTORS: &[(i64, &str)] =
    &[(0, "SERVICE_SELECTOR_UNDEFINED"), (1, "ALL"), (2, "ANY"), (3, "EXACT")];
