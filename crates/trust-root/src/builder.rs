//! Trusted roots and signing configs put together from parts, with or without one to begin with.

use std::time::SystemTime;

use keys::PublicKey;
use x509::Certificate;

use crate::document::quote;
use crate::error::Error;
use crate::log::Log;
use crate::root::{CertificateAuthority, TrustedRoot};
use crate::service::{FULCIO, OIDC, REKOR, Selector, Service, Services, TSA};
use crate::signing_config::SigningConfig;
use crate::window::Window;

/// Puts a trusted root together. It begins empty or with another root ([`From`]).
#[derive(Clone, Debug, Default)]
pub struct TrustedRootBuilder {
    tlogs: Vec<Log>,
    certificate_authorities: Vec<CertificateAuthority>,
    ctlogs: Vec<Log>,
    timestamp_authorities: Vec<CertificateAuthority>,
}

impl From<&TrustedRoot> for TrustedRootBuilder {
    fn from(root: &TrustedRoot) -> Self {
        Self {
            tlogs: root.tlogs().to_vec(),
            certificate_authorities: root.certificate_authorities().to_vec(),
            ctlogs: root.ctlogs().to_vec(),
            timestamp_authorities: root.timestamp_authorities().to_vec(),
        }
    }
}

impl TrustedRootBuilder {
    /// Removes all certificate authorities.
    #[must_use]
    pub fn without_certificate_authorities(mut self) -> Self {
        self.certificate_authorities.clear();
        self
    }

    /// Removes all timestamp authorities.
    #[must_use]
    pub fn without_timestamp_authorities(mut self) -> Self {
        self.timestamp_authorities.clear();
        self
    }

    /// Removes all logs of signatures.
    #[must_use]
    pub fn without_tlogs(mut self) -> Self {
        self.tlogs.clear();
        self
    }

    /// Removes all logs of certificates.
    #[must_use]
    pub fn without_ctlogs(mut self) -> Self {
        self.ctlogs.clear();
        self
    }

    /// Adds `authorities` to the certificate authorities that it began with, or replaces them unless
    /// `keep`.
    #[must_use]
    pub fn certificate_authorities(self, keep: bool, authorities: &[CertificateAuthority]) -> Self {
        let start = if keep { self } else { self.without_certificate_authorities() };
        authorities.iter().cloned().fold(start, Self::certificate_authority)
    }

    /// Adds `authorities` to the timestamp authorities that it began with, or replaces them unless
    /// `keep`.
    #[must_use]
    pub fn timestamp_authorities(self, keep: bool, authorities: &[CertificateAuthority]) -> Self {
        let start = if keep { self } else { self.without_timestamp_authorities() };
        authorities.iter().cloned().fold(start, Self::timestamp_authority)
    }

    /// Adds `logs` to the logs of signatures that it began with, or replaces them unless `keep`.
    #[must_use]
    pub fn tlogs(self, keep: bool, logs: &[Log]) -> Self {
        let start = if keep { self } else { self.without_tlogs() };
        logs.iter().cloned().fold(start, Self::tlog)
    }

    /// Adds `logs` to the logs of certificates that it began with, or replaces them unless `keep`.
    #[must_use]
    pub fn ctlogs(self, keep: bool, logs: &[Log]) -> Self {
        let start = if keep { self } else { self.without_ctlogs() };
        logs.iter().cloned().fold(start, Self::ctlog)
    }

    /// Adds a certificate authority.
    #[must_use]
    pub fn certificate_authority(mut self, authority: CertificateAuthority) -> Self {
        self.certificate_authorities.push(authority);
        self
    }

    /// Adds a timestamp authority.
    #[must_use]
    pub fn timestamp_authority(mut self, authority: CertificateAuthority) -> Self {
        self.timestamp_authorities.push(authority);
        self
    }

    /// Adds a log of signatures. It replaces those with its id.
    #[must_use]
    pub fn tlog(mut self, log: Log) -> Self {
        add_log(&mut self.tlogs, log);
        self
    }

    /// Adds a log of certificates. It replaces those with its id.
    #[must_use]
    pub fn ctlog(mut self, log: Log) -> Self {
        add_log(&mut self.ctlogs, log);
        self
    }

    /// The trusted root.
    ///
    /// # Errors
    ///
    /// When an authority has no certificate.
    pub fn build(self) -> Result<TrustedRoot, Error> {
        TrustedRoot::new(
            self.tlogs,
            self.certificate_authorities,
            self.ctlogs,
            self.timestamp_authorities,
        )
    }
}

fn add_log(logs: &mut Vec<Log>, log: Log) {
    logs.retain(|other| other.log_id() != log.log_id());
    logs.push(log);
}

impl CertificateAuthority {
    /// A Fulcio at `uri` with the PEM `chain`, the root last. Without a `start` it is trusted from
    /// the first moment of its root.
    ///
    /// # Errors
    ///
    /// When the chain cannot be read or is empty, or the window ends before it starts.
    pub fn fulcio(
        uri: &str,
        chain: &str,
        start: Option<SystemTime>,
        end: Option<SystemTime>,
    ) -> Result<Self, Error> {
        let chain = read_chain(chain)?;
        let start = start.or_else(|| chain.last().map(Certificate::not_before));
        Self::with_window(uri, chain, start, end)
    }

    /// A timestamp authority at `uri` with the PEM `chain`, the certificate it signs with first.
    /// Without a `start` it is trusted from the first moment of that certificate.
    ///
    /// # Errors
    ///
    /// As [`CertificateAuthority::fulcio`].
    pub fn timestamp(
        uri: &str,
        chain: &str,
        start: Option<SystemTime>,
        end: Option<SystemTime>,
    ) -> Result<Self, Error> {
        let chain = read_chain(chain)?;
        let start = start.or_else(|| chain.first().map(Certificate::not_before));
        Self::with_window(uri, chain, start, end)
    }

    fn with_window(
        uri: &str,
        chain: Vec<Certificate>,
        start: Option<SystemTime>,
        end: Option<SystemTime>,
    ) -> Result<Self, Error> {
        let start = start.ok_or_else(|| Error::entry("certificate-chain", "no certificate"))?;
        let valid_for = Window::new(start, end)?;
        Ok(Self { uri: uri.to_owned(), chain, valid_for, operator: None })
    }
}

fn read_chain(pem: &str) -> Result<Vec<Certificate>, Error> {
    // Files that were concatenated may lack the newline between two blocks.
    let pem = pem.replace("----------", "-----\n-----");
    let path = "certificate-chain".to_owned();
    Certificate::chain_from_pem(&pem).map_err(|source| Error::Certificate { path, source })
}

impl Log {
    /// A Rekor log at `base_url`. With an `origin`, the name in its checkpoints, the id of a log
    /// with an Ed25519 or RSA key follows from that name and the key (Rekor v2); without one, from
    /// the key alone (Rekor v1).
    ///
    /// # Errors
    ///
    /// When the origin is not the host name of the URL.
    pub fn rekor_with_origin(
        base_url: &str,
        key: PublicKey,
        valid_for: Window,
        origin: Option<&str>,
    ) -> Result<Self, Error> {
        let Some(origin) = origin else { return Ok(Self::certificates(base_url, key, valid_for)) };
        let log = Self::rekor(base_url, key, valid_for)?;
        match log.host_name() {
            Some(name) if name == origin => Ok(log),
            name => {
                let name = name.unwrap_or_default();
                let found = quote(origin);
                let problem = format!("expected {name}, the host of the log's URL, found {found}");
                Err(Error::entry("origin", problem))
            }
        }
    }
}

/// Puts a signing config together. It begins empty or with another config ([`From`]).
///
/// Without a selector, a config that begins empty says nothing about how many of the logs and
/// timestamp authorities are used, and only a config that lists none of them is then usable.
#[derive(Clone, Debug)]
pub struct SigningConfigBuilder {
    config: SigningConfig,
}

impl Default for SigningConfigBuilder {
    fn default() -> Self {
        let any = Some(Selector::Any);
        Self {
            config: SigningConfig {
                fulcio: Services::new(FULCIO, Vec::new(), any),
                oidc: Services::new(OIDC, Vec::new(), any),
                rekor: Services::new(REKOR, Vec::new(), None),
                tsa: Services::new(TSA, Vec::new(), None),
            },
        }
    }
}

impl From<SigningConfig> for SigningConfigBuilder {
    fn from(config: SigningConfig) -> Self {
        Self { config }
    }
}

impl SigningConfigBuilder {
    /// Removes all certificate authorities.
    #[must_use]
    pub fn without_fulcio(mut self) -> Self {
        self.config.fulcio.list.clear();
        self
    }

    /// Removes all OIDC issuers.
    #[must_use]
    pub fn without_oidc(mut self) -> Self {
        self.config.oidc.list.clear();
        self
    }

    /// Removes all logs.
    #[must_use]
    pub fn without_rekor(mut self) -> Self {
        self.config.rekor.list.clear();
        self
    }

    /// Removes all timestamp authorities.
    #[must_use]
    pub fn without_tsa(mut self) -> Self {
        self.config.tsa.list.clear();
        self
    }

    /// Adds `services` to the certificate authorities that it began with, or replaces them unless `keep`.
    #[must_use]
    pub fn fulcio_services(self, keep: bool, services: &[Service]) -> Self {
        let start = if keep { self } else { self.without_fulcio() };
        services.iter().cloned().fold(start, Self::fulcio)
    }

    /// Adds `services` to the OIDC issuers that it began with, or replaces them unless `keep`.
    #[must_use]
    pub fn oidc_services(self, keep: bool, services: &[Service]) -> Self {
        let start = if keep { self } else { self.without_oidc() };
        services.iter().cloned().fold(start, Self::oidc)
    }

    /// Adds `services` to the logs that it began with, or replaces them unless `keep`.
    #[must_use]
    pub fn rekor_services(self, keep: bool, services: &[Service]) -> Self {
        let start = if keep { self } else { self.without_rekor() };
        services.iter().cloned().fold(start, Self::rekor)
    }

    /// Adds `services` to the timestamp authorities that it began with, or replaces them unless `keep`.
    #[must_use]
    pub fn tsa_services(self, keep: bool, services: &[Service]) -> Self {
        let start = if keep { self } else { self.without_tsa() };
        services.iter().cloned().fold(start, Self::tsa)
    }

    /// Adds a certificate authority.
    #[must_use]
    pub fn fulcio(mut self, service: Service) -> Self {
        self.config.fulcio.list.push(service);
        self
    }

    /// Adds an OIDC issuer.
    #[must_use]
    pub fn oidc(mut self, service: Service) -> Self {
        self.config.oidc.list.push(service);
        self
    }

    /// Adds a log.
    #[must_use]
    pub fn rekor(mut self, service: Service) -> Self {
        self.config.rekor.list.push(service);
        self
    }

    /// Adds a timestamp authority.
    #[must_use]
    pub fn tsa(mut self, service: Service) -> Self {
        self.config.tsa.list.push(service);
        self
    }

    /// How many of the logs are used.
    #[must_use]
    pub fn rekor_selector(mut self, selector: Selector) -> Self {
        self.config.rekor.selector = Some(selector);
        self
    }

    /// How many of the timestamp authorities are used.
    #[must_use]
    pub fn tsa_selector(mut self, selector: Selector) -> Self {
        self.config.tsa.selector = Some(selector);
        self
    }

    /// The signing config.
    pub fn build(self) -> SigningConfig {
        self.config
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use url::Url;

    use super::*;

    fn window() -> Window {
        Window::since(UNIX_EPOCH)
    }

    fn key() -> PublicKey {
        use keys::Sign as _;
        keys::KeyPair::generate().unwrap().public_key().clone()
    }

    #[test]
    fn a_log_added_anew_replaces_the_one_with_its_id() {
        let key = key();
        let log = |url: &str| Log::certificates(url, key.clone(), window());
        let root = TrustedRootBuilder::from(&TrustedRoot::public_good())
            .ctlog(log("https://old.test"))
            .ctlog(log("https://new.test"))
            .without_tlogs()
            .build()
            .unwrap();
        let urls: Vec<_> = root.ctlogs().iter().map(Log::base_url).collect();
        assert_eq!(urls.len(), TrustedRoot::public_good().ctlogs().len() + 1);
        assert_eq!(urls.last(), Some(&"https://new.test"));
        assert!(root.tlogs().is_empty());
        assert!(!root.timestamp_authorities().is_empty());
    }

    #[test]
    fn an_authority_is_as_old_as_its_root_and_a_timestamp_authority_as_its_certificate() {
        let public_good = TrustedRoot::public_good();
        let chain = &public_good.certificate_authorities()[1].chain;
        // Two blocks without a newline between them, as `cat` makes them of some files.
        let pem: Vec<_> = chain.iter().map(|it| it.to_pem().trim().to_owned()).collect();
        let pem = pem.concat();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let fulcio = CertificateAuthority::fulcio("u", &pem, None, None).unwrap();
        assert_eq!(fulcio.valid_for.start, chain[1].not_before());
        let tsa = CertificateAuthority::timestamp("u", &pem, None, None).unwrap();
        assert_eq!(tsa.valid_for.start, chain[0].not_before());
        let given = CertificateAuthority::fulcio("u", &pem, Some(at(1)), Some(at(2))).unwrap();
        assert_eq!(given.valid_for, Window { start: at(1), end: Some(at(2)) });
        let error = CertificateAuthority::fulcio("u", &pem, Some(at(2)), Some(at(1))).unwrap_err();
        assert!(error.to_string().contains("ends before it starts"), "{error}");
        assert!(CertificateAuthority::fulcio("u", "", None, None).is_err());
    }

    #[test]
    fn an_origin_is_the_host_of_the_url_and_decides_the_id() {
        use keys::Sign as _;
        let pair = keys::KeyPair::generate_for(keys::KeyAlgorithm::Ed25519).unwrap();
        let key = pair.public_key();
        let log =
            |origin| Log::rekor_with_origin("https://r.test:8080", key.clone(), window(), origin);
        let plain = log(None).unwrap();
        assert_eq!(plain.log_id(), plain.key().id());
        let named = log(Some("r.test")).unwrap();
        assert_ne!(named.log_id(), named.key().id());
        let error = log(Some("other.test")).unwrap_err().to_string();
        assert_eq!(
            error,
            "origin: expected r.test, the host of the log's URL, found \"other.test\""
        );
    }

    #[test]
    fn a_config_keeps_what_it_began_with_unless_it_is_removed() {
        let service = |url: &str| Service::new(Url::parse(url).unwrap(), 1, "me", UNIX_EPOCH);
        let base = SigningConfigBuilder::default()
            .fulcio(service("https://f.test"))
            .rekor(service("https://r.test"))
            .rekor_selector("EXACT:1".parse().unwrap())
            .build();
        let config = SigningConfigBuilder::from(base)
            .without_fulcio()
            .fulcio(service("https://f2.test"))
            .tsa(service("https://t.test"))
            .build();
        let now = UNIX_EPOCH + Duration::from_secs(1);
        assert_eq!(config.fulcio(now).unwrap().url.host_str(), Some("f2.test"));
        assert_eq!(config.rekor(now).unwrap().len(), 1);
        assert!(config.tsa(now).is_err(), "no selector was given");
        let again = SigningConfig::from_json(config.to_json().as_bytes()).unwrap();
        assert_eq!(again.to_json(), config.to_json());
    }

    #[test]
    fn selectors_are_read_as_flags_spell_them() {
        for (text, expected) in
            [("ALL", Selector::All), ("ANY", Selector::Any), ("EXACT:3", Selector::Exact(3))]
        {
            assert_eq!(text.parse::<Selector>().unwrap(), expected);
        }
        for text in ["", "all", "EXACT", "EXACT:0", "EXACT:-1", "EXACT:x", "SOME"] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains("expected ANY, ALL or EXACT:N"), "{error}");
        }
    }
}
