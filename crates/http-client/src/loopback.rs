//! The listener that a browser comes back to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use host::{BoxFuture, Callbacks, Loopback, Page};
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Sockets of this machine's loopback interface, to which a browser comes back at the end of a login
/// (RFC 8252 7.3). Must be used inside a tokio runtime.
#[derive(Debug)]
pub struct LoopbackListener {
    listeners: Vec<TcpListener>,
    port: u16,
}

/// Listens with [`LoopbackListener`] for the redirects of logins.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLoopback;

impl Loopback for SystemLoopback {
    fn listen(
        &self,
        addresses: &[IpAddr],
        port: u16,
    ) -> BoxFuture<'_, Result<Box<dyn Callbacks>, io::Error>> {
        let addresses = addresses.to_vec();
        Box::pin(async move {
            let listener = LoopbackListener::bind(&addresses, port).await?;
            Ok(Box::new(listener) as Box<dyn Callbacks>)
        })
    }
}

impl Callbacks for LoopbackListener {
    fn port(&self) -> u16 {
        self.port
    }

    fn serve<'a>(
        &'a mut self,
        answer: &'a mut (dyn FnMut(&Request<()>) -> Page + Send),
    ) -> BoxFuture<'a, ()> {
        Box::pin(Self::serve(self, |request| {
            let page = answer(request);
            (page.response, page.last)
        }))
    }
}

impl LoopbackListener {
    /// Listens on `port` of the first of `addresses`, and on that port of the others where it can
    /// be done; port 0 is any free one.
    ///
    /// # Errors
    /// An address is not a loopback address, or the first cannot be listened on.
    pub async fn bind(addresses: &[IpAddr], port: u16) -> Result<Self, io::Error> {
        if let Some(other) = addresses.iter().find(|address| !address.is_loopback()) {
            let reason = format!("{other} is not a loopback address");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let (first, others) = addresses
            .split_first()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address"))?;
        let listener = TcpListener::bind(SocketAddr::new(*first, port)).await?;
        let port = listener.local_addr()?.port();
        let mut listeners = vec![listener];
        for address in others {
            // A machine may lack IPv6, and then no browser comes that way.
            listeners.extend(TcpListener::bind(SocketAddr::new(*address, port)).await.ok());
        }
        Ok(Self { listeners, port })
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        std::future::poll_fn(|context| {
            for listener in &self.listeners {
                if let Poll::Ready(accepted) = listener.poll_accept(context) {
                    return Poll::Ready(accepted.map(|(stream, _)| stream));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Answers every request by `answer`, of several connections at once, and resolves when an
    /// answer has been delivered with which `answer` returned `true`: the last one. It sets no
    /// deadline.
    pub async fn serve(
        &mut self,
        mut answer: impl FnMut(&Request<()>) -> (Response<Bytes>, bool) + Send,
    ) {
        // Dropping the set ends the connections, speculative ones of the browser among them.
        let mut connections = JoinSet::new();
        let (asking, mut questions) = mpsc::channel::<Question>(CONNECTIONS);
        let mut number = 0_u64;
        let last = loop {
            while connections.try_join_next().is_some() {}
            tokio::select! {
                accepted = self.accept(), if connections.len() < CONNECTIONS => match accepted {
                    Ok(stream) => {
                        number = number.wrapping_add(1);
                        connections.spawn(talk(stream, number, asking.clone()));
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                },
                Some(question) = questions.recv() => {
                    let (page, last) = answer(&question.request);
                    let delivered = question.reply.send(page).is_ok();
                    if last && delivered {
                        break question.connection;
                    }
                }
                // When no more are accepted, one must end for another to begin.
                Some(_) = connections.join_next(), if connections.len() >= CONNECTIONS => {}
            }
        };
        let mut flushed = pin!(async {
            while let Some(ended) = connections.join_next().await {
                if ended.is_ok_and(|number| number == last) {
                    return;
                }
            }
        });
        // A browser that does not read its page any more is not waited for.
        drop(tokio::time::timeout(GRACE, &mut flushed).await);
    }
}

/// A request that waits for its page.
struct Question {
    request: Request<()>,
    reply: oneshot::Sender<Response<Bytes>>,
    connection: u64,
}

/// Serves one request of one connection; its number is the result.
async fn talk(stream: TcpStream, connection: u64, asking: mpsc::Sender<Question>) -> u64 {
    let service = service_fn(move |request: Request<Incoming>| {
        let asking = asking.clone();
        async move { Ok::<_, io::Error>(ask(request, connection, &asking).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_DEADLINE)
        .max_buf_size(REQUEST_CAP)
        .keep_alive(false);
    // What breaks off a connection is between browser and network.
    drop(builder.serve_connection(TokioIo::new(stream), service).await);
    connection
}

async fn ask(
    request: Request<Incoming>,
    connection: u64,
    asking: &mpsc::Sender<Question>,
) -> Response<Full<Bytes>> {
    let (reply, page) = oneshot::channel();
    let question = Question { request: request.map(drop), reply, connection };
    let page = match asking.send(question).await {
        Ok(()) => page.await.ok(),
        Err(_) => None,
    };
    let mut page = page.map_or_else(
        || {
            let mut gone = Response::new(Full::default());
            *gone.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            gone
        },
        |page| page.map(Full::new),
    );
    page.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    page
}

/// How many connections are open at once; a browser opens six.
const CONNECTIONS: usize = 32;

/// The largest head of a request, in bytes. An authorization code may be long.
const REQUEST_CAP: usize = 32 << 10;

/// How long a browser may take to say what it wants. One that connects ahead of need says it late.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// How long the last page may take.
const GRACE: Duration = Duration::from_secs(2);

/// The pause after a connection could not be accepted, which happens when descriptors run out.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use host::{CallPolicy, Transport as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{HttpClient, Settings};

    const LOCALHOST: [IpAddr; 2] =
        [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

    fn page(request: &Request<()>) -> (Response<Bytes>, bool) {
        let last = request.uri().path() == "/last";
        (Response::new(request.uri().to_string().into()), last)
    }

    async fn get(url: &str) -> Bytes {
        let request = Request::get(url).body(Bytes::new()).unwrap();
        let client = HttpClient::new(&Settings::default());
        client.send(request, &CallPolicy::new()).await.unwrap().into_body()
    }

    #[tokio::test]
    async fn pages_are_served_until_the_last_one_is_delivered() {
        let mut listener = LoopbackListener::bind(&LOCALHOST, 0).await.unwrap();
        let port = listener.port();
        let browser = tokio::spawn(async move {
            // A browser connects ahead of need and says nothing.
            let silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            let icon = get(&format!("http://127.0.0.1:{port}/favicon.ico")).await;
            let last = get(&format!("http://127.0.0.1:{port}/last?code=1")).await;
            drop(silent);
            (icon, last)
        });
        listener.serve(page).await;
        let (icon, last) = browser.await.unwrap();
        assert_eq!(icon, "/favicon.ico");
        assert_eq!(last, "/last?code=1");
    }

    #[tokio::test]
    async fn a_crowd_of_silent_connections_does_not_keep_the_browser_out_for_good() {
        let mut listener = LoopbackListener::bind(&LOCALHOST[..1], 0).await.unwrap();
        let port = listener.port();
        let browser = tokio::spawn(async move {
            let mut crowd = Vec::new();
            for _ in 0..CONNECTIONS {
                crowd.push(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap());
            }
            let mut late = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            late.write_all(b"GET /last HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
            drop(crowd);
            let mut text = String::new();
            late.read_to_string(&mut text).await.unwrap();
            text
        });
        listener.serve(page).await;
        let text = browser.await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        assert!(text.contains("connection: close"), "{text}");
    }

    #[tokio::test]
    async fn what_is_no_http_does_not_end_the_wait() {
        let mut listener = LoopbackListener::bind(&LOCALHOST[..1], 0).await.unwrap();
        let port = listener.port();
        let browser = tokio::spawn(async move {
            let mut noise = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            noise.write_all(b"\x16\x03\x01 not http\r\n\r\n").await.unwrap();
            drop(noise.read_to_end(&mut Vec::new()).await);
            get(&format!("http://127.0.0.1:{port}/last")).await
        });
        listener.serve(page).await;
        assert_eq!(browser.await.unwrap(), "/last");
    }

    /// Each of these gets an answer or is hung up on; none ends the wait or is waited for.
    #[tokio::test]
    async fn a_client_that_misbehaves_does_not_keep_the_browser_waiting() {
        let mut listener = LoopbackListener::bind(&LOCALHOST[..1], 0).await.unwrap();
        let port = listener.port();
        let browser = tokio::spawn(async move {
            let mut held = Vec::new();
            for says in [
                "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000000\r\n\r\n".to_owned(),
                "POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n"
                    .to_owned(),
                "GET /x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
                    .to_owned(),
                "GET /x HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000),
                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
                "CONNECT evil.example:443 HTTP/1.1\r\n\r\n".to_owned(),
                "GET http://evil.example/last HTTP/0.9\r\n\r\n".to_owned(),
                "OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
                format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(REQUEST_CAP)),
                "GET /x HTTP/1.1\r\nhost".to_owned(),
            ] {
                let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                drop(stream.write_all(says.as_bytes()).await);
                held.push(stream);
            }
            let page = get(&format!("http://127.0.0.1:{port}/last")).await;
            drop(held);
            page
        });
        tokio::time::timeout(Duration::from_secs(10), listener.serve(page)).await.unwrap();
        assert_eq!(browser.await.unwrap(), "/last");
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on() {
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
        let error = LoopbackListener::bind(&any, 0).await.err().unwrap();
        assert!(error.to_string().contains("0.0.0.0 is not a loopback address"), "{error}");
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_an_error() {
        let taken = LoopbackListener::bind(&LOCALHOST[..1], 0).await.unwrap();
        let error = LoopbackListener::bind(&LOCALHOST[..1], taken.port()).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
