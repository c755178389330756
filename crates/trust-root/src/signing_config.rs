//! Which services to sign with.

use std::time::SystemTime;

use bundle::Limits;
use bundle::proto_json::{Message, without_bom};
use serde_json::{Value, json};
use url::Url;

use crate::document::{SIZE_CAP, in_document, quote};
use crate::error::Error;
use crate::service::{FULCIO, OIDC, REKOR, Selector, Service, Services, TSA};

/// Which services to sign with, and how many of each (`signing_config.json`, v0.2).
#[derive(Clone, Debug)]
pub struct SigningConfig {
    pub(crate) fulcio: Services,
    pub(crate) oidc: Services,
    pub(crate) rekor: Services,
    pub(crate) tsa: Services,
}

impl SigningConfig {
    /// Reads a signing config v0.2 of at most 16 MiB, with or without a byte order mark. Fields of later versions are ignored.
    ///
    /// # Errors
    ///
    /// When it is not a signing config, or of the older v0.1, which has neither API versions nor
    /// windows.
    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_json_within(bytes, &Limits::default().with_size(SIZE_CAP))
    }

    /// Reads it as [`Self::from_json`] does, within other limits.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn from_json_within(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let message = Message::parse_within(without_bom(bytes), limits);
        Self::read(message.map_err(in_document(WHAT))?)
    }

    /// The public-good instance's, as embedded: Rekor v1 and its timestamp authority.
    #[expect(clippy::expect_used, reason = "a constant, and a test reads it")]
    pub fn public_good() -> Self {
        let json = include_bytes!("../data/signing_config.v0.2.json");
        Self::from_json(json).expect("the embedded signing config is valid")
    }

    /// A config that lists these services, all of which are used. A kind may be empty.
    pub fn new(
        fulcio: Vec<Service>,
        oidc: Vec<Service>,
        rekor: Vec<Service>,
        tsa: Vec<Service>,
    ) -> Self {
        let all = Some(Selector::All);
        Self {
            fulcio: Services::new(FULCIO, fulcio, all),
            oidc: Services::new(OIDC, oidc, all),
            rekor: Services::new(REKOR, rekor, all),
            tsa: Services::new(TSA, tsa, all),
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

    /// The logs that may be written to at `now` in place of one that [`SigningConfig::rekor`] gives:
    /// where its selector wants one or some number of those that are usable.
    pub fn spare_rekor(&self, now: SystemTime) -> Vec<Service> {
        self.rekor.spare(now)
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

    pub(crate) fn read(mut message: Message<'_>) -> Result<Self, Error> {
        let media_type = message.string("mediaType").map_err(in_document(WHAT))?;
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
        let mut services = |kind, urls, config: Option<&str>| {
            let list = message.messages(urls).map_err(in_document(WHAT))?;
            let list = list.into_iter().map(Service::read).collect::<Result<_, _>>()?;
            let selector = match config {
                None => Some(Selector::Any),
                Some(config) => match message.message(config).map_err(in_document(WHAT))? {
                    Some(config) => Selector::read(config)?,
                    None => Some(Selector::All),
                },
            };
            Ok::<_, Error>(Services::new(kind, list, selector))
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

const WHAT: &str = "signing config";
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";
const MEDIA_TYPE_V0_1: &str = "application/vnd.dev.sigstore.signingconfig.v0.1+json";
