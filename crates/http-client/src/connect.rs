//! Making connections: direct, through a proxy, over a Unix socket.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use host::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::client::proxy::matcher::Intercept;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::failure::ConnectFailure;
use crate::proxy::{Proxies, Route};
use crate::resolver::Resolver;
use crate::settings::Settings;
use crate::stream::{Io, Stream};
use crate::tls::Tls;
use crate::tunnel::{self, TunnelError};

/// Makes the connections of one pool.
#[derive(Clone)]
pub(crate) struct Connector {
    shared: Arc<Shared>,
    /// Offer nothing but HTTP/1.1.
    http1: bool,
    /// Go through a proxy where the environment says so.
    proxied: bool,
}

/// What all connectors of a client have in common.
pub(crate) struct Shared {
    tcp: HttpConnector<Resolver>,
    tls: Tls,
    proxies: Proxies,
}

impl Shared {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_keepalive(Some(KEEPALIVE));
        Self { tcp, tls: Tls::new(settings), proxies: settings.proxies.clone() }
    }

    /// The way to `target` for a request that allows a proxy.
    pub(crate) fn route(&self, target: &Uri) -> Route {
        self.proxies.route(target)
    }
}

impl Connector {
    pub(crate) fn new(shared: Arc<Shared>, http1: bool, proxied: bool) -> Self {
        Self { shared, http1, proxied }
    }

    async fn connect(self, target: Uri) -> Result<Stream, ConnectFailure> {
        let route = if self.proxied { self.shared.route(&target) } else { Route::Direct };
        let secure = target.scheme_str() == Some("https");
        let io: Box<dyn Io> = match &route {
            Route::Direct => Box::new(self.tcp(target.clone()).await?),
            Route::Blocked(reason) => return Err(ConnectFailure::Unusable(reason.clone())),
            Route::Via(proxy) => match proxy.uri().scheme_str() {
                Some("socks5" | "socks5h") => Box::new(self.socks(proxy, &target).await?),
                Some("http" | "https") => {
                    let mut io = self
                        .to_proxy(proxy)
                        .await
                        .map_err(|failure| failure.at_proxy(proxy.uri()))?;
                    if !secure {
                        return Ok(Stream::new(io).forwarded());
                    }
                    let authority = authority(&target);
                    tunnel::open(&mut io, &authority, proxy.basic_auth())
                        .await
                        .map_err(|error| refused(proxy, error))?;
                    io
                }
                other => {
                    let scheme = other.unwrap_or_default();
                    return Err(ConnectFailure::Unusable(format!(
                        "the proxy's scheme `{scheme}` is not supported: expected http, https \
                         or socks5"
                    )));
                }
            },
        };
        if !secure {
            return Ok(Stream::new(io));
        }
        let tls = self.shared.tls.connect(&target, io, self.http1).await?;
        let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(Stream::new(Box::new(tls)).http2(http2))
    }

    async fn tcp(&self, target: Uri) -> Result<TcpStream, ConnectFailure> {
        let mut tcp = self.shared.tcp.clone();
        std::future::poll_fn(|cx| tcp.poll_ready(cx)).await.map_err(ConnectFailure::connect)?;
        let connected = tcp.call(target).await.map_err(ConnectFailure::connect)?;
        Ok(connected.into_inner())
    }

    async fn to_proxy(&self, proxy: &Intercept) -> Result<Box<dyn Io>, ConnectFailure> {
        let tcp = self.tcp(proxy.uri().clone()).await?;
        if proxy.uri().scheme_str() == Some("https") {
            return Ok(Box::new(self.shared.tls.connect(proxy.uri(), tcp, true).await?));
        }
        Ok(Box::new(tcp))
    }

    async fn socks(&self, proxy: &Intercept, target: &Uri) -> Result<TcpStream, ConnectFailure> {
        let unusable = |_| ConnectFailure::Unusable("the SOCKS proxy has no usable URL".to_owned());
        let at = with_port(proxy.uri(), SOCKS_PORT).map_err(unusable)?;
        let port = if target.scheme_str() == Some("https") { 443 } else { 80 };
        let target = with_port(target, port).map_err(unusable)?;
        let mut socks = SocksV5::new(at, self.shared.tcp.clone());
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        let connected = socks
            .call(target)
            .await
            .map_err(|error| ConnectFailure::connect(error).at_proxy(proxy.uri()))?;
        Ok(connected.into_inner())
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> BoxFuture<'static, Result<Stream, ConnectFailure>> {
        Box::pin(self.clone().connect(target))
    }
}

/// `host:port`, as `CONNECT` wants it.
fn authority(target: &Uri) -> String {
    let port = target.port_u16().unwrap_or(443);
    format!("{}:{port}", target.host().unwrap_or_default())
}

fn with_port(uri: &Uri, default: u16) -> Result<Uri, http::Error> {
    let port = uri.port_u16().unwrap_or(default);
    Uri::builder()
        .scheme(uri.scheme_str().unwrap_or("http"))
        .authority(format!("{}:{port}", uri.host().unwrap_or_default()))
        .path_and_query("/")
        .build()
}

fn refused(proxy: &Intercept, error: TunnelError) -> ConnectFailure {
    let transient = error.is_transient();
    ConnectFailure::Connect { source: Arc::new(error), transient }.at_proxy(proxy.uri())
}

/// For one host; the attempt's own deadline may end it earlier. With several addresses each gets
/// its share, so that a dead one does not use up the whole attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const KEEPALIVE: Duration = Duration::from_secs(30);
const SOCKS_PORT: u16 = 1080;
