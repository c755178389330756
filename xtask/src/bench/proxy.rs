//! Proxies that hold back each request for a while, and write down what they saw.
//!
//! They speak HTTP/1.1 without TLS and pass on every byte as it is. A client is sent to a proxy by
//! the address that it is given, so that `Host` and the links of a registry lead to the proxy.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use super::traffic::Exchange;

/// What all proxies of a run write to.
#[derive(Clone, Default)]
pub(crate) struct Log {
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    connections: Arc<AtomicU64>,
}

impl Log {
    /// What was written since the last call.
    pub(crate) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.exchanges.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Starts a proxy in front of `server` (`HOST:PORT`) and returns its address. It ends with the
/// runtime.
pub(crate) fn start(
    runtime: &Runtime,
    server: &str,
    delay: Duration,
    log: &Log,
) -> Result<SocketAddr> {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let (server, log) = (server.to_owned(), log.clone());
    runtime.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (server, log) = (server.clone(), log.clone());
            // A client that goes away, or a server, ends the connection and nothing else.
            tokio::spawn(async move { pass_on(client, &server, delay, &log).await });
        }
    });
    Ok(address)
}

async fn pass_on(client: TcpStream, server: &str, delay: Duration, log: &Log) -> Result<()> {
    let number = log.connections.fetch_add(1, Ordering::Relaxed);
    let server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
    loop {
        if client.fill_buf().await?.is_empty() {
            return Ok(());
        }
        let start = Instant::now();
        let request = Head::read(&mut client).await?;
        tokio::time::sleep(delay).await;
        server.write_all(request.bytes.as_bytes()).await?;
        let method = request.first().to_owned();
        request.length(false)?.copy(&mut client, &mut server).await?;
        let mut answer = Head::read(&mut server).await?;
        while answer.status() == "100" {
            answer = Head::read(&mut server).await?;
        }
        client.write_all(answer.bytes.as_bytes()).await?;
        let bodiless = method == "HEAD" || ["204", "304"].contains(&answer.status());
        let body = if bodiless { Body::Length(0) } else { answer.length(true)? };
        let last = matches!(body, Body::UntilClosed);
        body.copy(&mut server, &mut client).await?;
        let path = request.bytes.split_whitespace().nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let what = format!("{method} {path} {}", answer.status());
        let exchange = Exchange { connection: number, start, end: Instant::now(), what };
        log.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        if last {
            return Ok(client.shutdown().await?);
        }
    }
}

/// The first line and the headers of a message.
struct Head {
    bytes: String,
}

impl Head {
    async fn read(from: &mut BufReader<TcpStream>) -> Result<Self> {
        let mut bytes = String::new();
        loop {
            let before = bytes.len();
            let mut limited = (&mut *from).take(LONGEST_HEAD);
            ensure!(limited.read_line(&mut bytes).await? > 0, "the connection was closed");
            ensure!((bytes.len() as u64) < LONGEST_HEAD, "the head of a message is too long");
            if bytes.get(before..) == Some("\r\n") {
                return Ok(Self { bytes });
            }
        }
    }

    fn first(&self) -> &str {
        self.bytes.split_whitespace().next().unwrap_or_default()
    }

    fn status(&self) -> &str {
        self.bytes.split_whitespace().nth(1).unwrap_or_default()
    }

    /// How the body that follows is delimited. Only an answer may go on until the end.
    fn length(&self, is_answer: bool) -> Result<Body> {
        let mut length = None;
        for line in self.bytes.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("transfer-encoding") {
                return Ok(Body::Chunked);
            }
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse().context("the length of a body")?);
            }
        }
        Ok(match length {
            Some(length) => Body::Length(length),
            None if is_answer => Body::UntilClosed,
            None => Body::Length(0),
        })
    }
}

#[derive(Clone, Copy)]
enum Body {
    Length(u64),
    Chunked,
    UntilClosed,
}

impl Body {
    async fn copy(
        self,
        from: &mut BufReader<TcpStream>,
        to: &mut BufReader<TcpStream>,
    ) -> Result<()> {
        match self {
            Self::Length(length) => exactly(length, from, to).await?,
            Self::UntilClosed => {
                tokio::io::copy_buf(from, to).await?;
            }
            Self::Chunked => loop {
                let mut line = String::new();
                ensure!(from.read_line(&mut line).await? > 0, "a chunk is missing");
                to.write_all(line.as_bytes()).await?;
                let size = line.split(';').next().unwrap_or_default().trim();
                let size = u64::from_str_radix(size, 16).context("the size of a chunk")?;
                // The line break after the chunk as well. No client here sends trailers.
                exactly(size + 2, from, to).await?;
                if size == 0 {
                    break;
                }
            },
        }
        Ok(to.flush().await?)
    }
}

async fn exactly(
    length: u64,
    from: &mut BufReader<TcpStream>,
    to: &mut BufReader<TcpStream>,
) -> Result<()> {
    let copied = tokio::io::copy_buf(&mut (&mut *from).take(length), to).await?;
    if copied != length {
        bail!("a body ended after {copied} of {length} bytes");
    }
    Ok(())
}

const LONGEST_HEAD: u64 = 1 << 18;
