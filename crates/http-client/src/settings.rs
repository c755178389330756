//! How a client is set up.

use std::path::{Path, PathBuf};

use host::Env;
use http::HeaderValue;
use rustls::pki_types::CertificateDer;

use crate::error::Error;
use crate::proxy::Proxies;
use crate::roots;
use crate::server_tls::ServerTls;

/// Trusted CA certificates, proxies and the user agent.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) roots: Roots,
    pub(crate) extra_roots: Vec<CertificateDer<'static>>,
    pub(crate) proxies: Proxies,
    pub(crate) user_agent: HeaderValue,
    pub(crate) unverified: Vec<String>,
    pub(crate) servers: Vec<(String, ServerTls)>,
    pub(crate) plain_http: bool,
}

/// Which certificate authorities a server's certificate may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Roots {
    /// Those of the operating system, asked for on the first `https` request.
    Platform,
    /// Those in these files and directories of PEM files, read on the first `https` request. This
    /// is what `SSL_CERT_FILE` and `SSL_CERT_DIR` make of it.
    Files {
        /// PEM files; each must be readable and hold at least one certificate.
        files: Vec<PathBuf>,
        /// Directories; what is no PEM certificate in them is passed over.
        directories: Vec<PathBuf>,
    },
    /// These and no others, as DER.
    Only(Vec<Vec<u8>>),
}

impl Settings {
    /// The platform's roots, no proxy, and the user agent `ambisign/<version>`.
    pub fn new() -> Self {
        Self {
            roots: Roots::Platform,
            extra_roots: Vec::new(),
            proxies: Proxies::default(),
            user_agent: HeaderValue::from_static(USER_AGENT),
            unverified: Vec::new(),
            servers: Vec::new(),
            plain_http: false,
        }
    }

    /// As [`Settings::new`], with what the environment says: `SSL_CERT_FILE`, `SSL_CERT_DIR`, and
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` in capital or small letters.
    ///
    /// Nothing is read from disk yet, and a proxy that cannot be used only fails the requests that
    /// would go through it.
    pub fn from_env(env: &dyn Env) -> Self {
        let files: Vec<PathBuf> = env.path("SSL_CERT_FILE").into_iter().collect();
        let directories: Vec<PathBuf> = env
            .var_os("SSL_CERT_DIR")
            .map(|list| std::env::split_paths(&list).filter(|path| !is_empty(path)).collect())
            .unwrap_or_default();
        let roots = if files.is_empty() && directories.is_empty() {
            Roots::Platform
        } else {
            Roots::Files { files, directories }
        };
        Self { roots, proxies: Proxies::from_env(env), ..Self::new() }
    }

    /// Trusts `roots` and nothing else.
    #[must_use]
    pub fn with_roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Trusts the certificates of the PEM file at `path` and nothing else, as cosign's
    /// `--registry-cacert` does.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn with_ca_file(self, path: &Path) -> Result<Self, Error> {
        let certificates = roots::read_pem_file(path)?;
        let der = certificates.iter().map(|certificate| certificate.to_vec()).collect();
        Ok(self.with_roots(Roots::Only(der)))
    }

    /// Trusts the certificates of the PEM file at `path` as well.
    ///
    /// # Errors
    /// The file cannot be read or holds no certificate.
    pub fn with_extra_ca_file(mut self, path: &Path) -> Result<Self, Error> {
        self.extra_roots.extend(roots::read_pem_file(path)?);
        Ok(self)
    }

    /// Talks TLS with the server `host`, a name or a name and a port (`registry.example:5000`), as
    /// `tls` says. No other server is shown a client certificate.
    #[must_use]
    pub fn with_server(mut self, host: &str, tls: ServerTls) -> Self {
        self.servers.push((host.to_ascii_lowercase(), tls));
        self
    }

    /// Calls itself `user_agent`.
    ///
    /// # Errors
    /// The text cannot stand in a header.
    pub fn with_user_agent(mut self, user_agent: &str) -> Result<Self, Error> {
        self.user_agent = HeaderValue::from_str(user_agent)
            .map_err(|_| Error::UserAgent { found: user_agent.escape_default().to_string() })?;
        Ok(self)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new()
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

const USER_AGENT: &str = concat!("ambisign/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_files_and_directories_of_roots() {
        assert_eq!(Settings::from_env(&[("CI", "true")]).roots, Roots::Platform);
        let env = [("SSL_CERT_FILE", "/a.pem"), ("SSL_CERT_DIR", "/b:/c:")];
        let files = vec!["/a.pem".into()];
        let directories = vec!["/b".into(), "/c".into()];
        assert_eq!(Settings::from_env(&env).roots, Roots::Files { files, directories });
    }

    #[test]
    fn a_ca_file_without_certificates_is_an_error_at_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hello").unwrap();
        let error = Settings::new().with_ca_file(file.path()).unwrap_err();
        assert!(matches!(error, Error::NoCertificates { .. }), "{error}");
        let error = Settings::new().with_extra_ca_file(Path::new("/nonexistent")).unwrap_err();
        assert!(matches!(error, Error::CaFile { .. }), "{error}");
    }

    #[test]
    fn a_user_agent_with_a_line_break_is_refused() {
        assert!(Settings::new().with_user_agent("x\r\ny: z").is_err());
    }
}
