//! Servers that misbehave on the wire: they answer what a test tells them to, byte for byte, or pass
//! a request on to a real service.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub struct RawRequest {
    /// `GET`.
    pub method: String,
    /// The path with its query; to a proxy, the whole URL.
    pub target: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl RawRequest {
    /// The first header of this name, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is a request with this method for a path that holds this text.
    pub fn is(&self, method: &str, part_of_path: &str) -> bool {
        self.method == method && self.target.contains(part_of_path)
    }
}

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Method and target.
    pub line: String,
    /// When the request had been read.
    pub start: Instant,
    /// When the answer had been sent.
    pub end: Instant,
}

/// What a [`HostileServer`] does with a request.
pub enum Reply {
    /// Passes it on to the service behind.
    Forward,
    /// Passes it on and changes the head of the answer: the status line and the header lines.
    Rewrite(Box<dyn Fn(&str) -> String + Send>),
    /// Sends these bytes, a whole HTTP response, and closes.
    Raw(Vec<u8>),
    /// Sends these bytes, then the chunk again and again until the client closes, or 16 GiB.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the first bytes, then the others one by one with a pause before each.
    Dripping(Vec<u8>, Vec<u8>, Duration),
    /// Reads on and never answers.
    Hang,
    /// Closes the connection without an answer.
    Close,
}

impl Reply {
    /// A whole response.
    pub fn response(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut bytes = head(status, headers, Some(body.len()));
        bytes.extend_from_slice(body);
        Self::Raw(bytes)
    }

    /// An error of a registry (`{"errors": [...]}`).
    pub fn refusal(status: u16, code: &str) -> Self {
        let body = format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"hostile\"}}]}}");
        Self::response(status, &[("content-type", "application/json")], body)
    }

    /// A redirect.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::response(status, &[("location", location)], "")
    }

    /// A response whose body never ends. It has no length.
    pub fn endless(content_type: &str, chunk: impl AsRef<[u8]>) -> Self {
        let head = head(200, &[("content-type", content_type)], None);
        Self::Endless(head, chunk.as_ref().to_vec())
    }

    /// A response whose body comes a byte at a time.
    pub fn dripping(content_type: &str, body: impl AsRef<[u8]>, pause: Duration) -> Self {
        let body = body.as_ref();
        let head = head(200, &[("content-type", content_type)], Some(body.len()));
        Self::Dripping(head, body.to_vec(), pause)
    }

    /// The real answer with another value of one header.
    pub fn with_header(name: &'static str, value: String) -> Self {
        Self::Rewrite(Box::new(move |head| {
            let prefix = format!("{name}:");
            let lines = head
                .split("\r\n")
                .filter(|line| !line.is_empty() && !line.to_ascii_lowercase().starts_with(&prefix));
            let mut lines: Vec<String> = lines.map(str::to_owned).collect();
            lines.push(format!("{name}: {value}"));
            lines.join("\r\n") + "\r\n\r\n"
        }))
    }
}

fn head(status: u16, headers: &[(&str, &str)], length: Option<usize>) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status} Hostile\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    (head + "\r\n").into_bytes()
}

type Rule = dyn Fn(&RawRequest) -> Reply + Send + Sync;

/// A server on a port of loopback. It serves one request per connection, until the tests end.
pub struct HostileServer {
    address: String,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<RawRequest>>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl HostileServer {
    /// A server of its own.
    pub fn new(rule: impl Fn(&RawRequest) -> Reply + Send + Sync + 'static) -> Self {
        Self::before("", rule)
    }

    /// A server before the service at `behind` (`HOST:PORT`): a registry that misbehaves at some
    /// requests, for example. It also serves as a proxy for plain http.
    pub fn before(
        behind: &str,
        rule: impl Fn(&RawRequest) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Seen::default());
        let (seen_by_thread, behind) = (Arc::clone(&seen), behind.to_owned());
        let rule: Arc<Rule> = Arc::new(rule);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&seen_by_thread);
                let (behind, rule) = (behind.clone(), Arc::clone(&rule));
                // A client may close at any time: that ends this connection only.
                std::thread::spawn(move || serve(client, &behind, &*rule, &seen));
            }
        });
        Self { address, seen }
    }

    /// Its address, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The requests so far.
    pub fn requests(&self) -> Vec<RawRequest> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The requests that were answered so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.seen.exchanges.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, behind: &str, rule: &Rule, seen: &Seen) -> std::io::Result<()> {
    let Some(request) = read(&client)? else { return Ok(()) };
    let (start, line) = (Instant::now(), format!("{} {}", request.method, request.target));
    let reply = rule(&request);
    seen.requests.lock().unwrap().push(request.clone());
    match reply {
        Reply::Forward => forward(&mut client, behind, &request, &str::to_owned)?,
        Reply::Rewrite(change) => forward(&mut client, behind, &request, &change)?,
        Reply::Raw(bytes) => client.write_all(&bytes)?,
        Reply::Endless(head, chunk) => {
            client.write_all(&head)?;
            for _ in 0..(16_usize << 30) / chunk.len().max(1) {
                client.write_all(&chunk)?;
            }
        }
        Reply::Dripping(head, bytes, pause) => {
            client.write_all(&head)?;
            for byte in bytes {
                std::thread::sleep(pause);
                client.write_all(&[byte])?;
            }
        }
        Reply::Hang => {
            // Until the client closes.
            let _ended = client.read(&mut [0; 1])?;
        }
        Reply::Close => {}
    }
    seen.exchanges.lock().unwrap().push(Exchange { line, start, end: Instant::now() });
    client.shutdown(Shutdown::Both)
}

fn read(client: &TcpStream) -> std::io::Result<Option<RawRequest>> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = RawRequest { method, target, headers: Vec::new(), body: Vec::new() };
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok());
    request.body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

/// Sends `request` to the service behind, and its answer to the client.
fn forward(
    client: &mut TcpStream,
    behind: &str,
    request: &RawRequest,
    change: &dyn Fn(&str) -> String,
) -> std::io::Result<()> {
    // To a proxy the target is a whole URL.
    let path = request
        .target
        .strip_prefix("http://")
        .map_or(request.target.as_str(), |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    let mut head = format!("{} {path} HTTP/1.1\r\nconnection: close\r\n", request.method);
    for (name, value) in request.headers.iter().filter(|(name, _)| name != "connection") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut server = TcpStream::connect(behind)?;
    server.write_all((head + "\r\n").as_bytes())?;
    server.write_all(&request.body)?;
    let mut answer = BufReader::new(server);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if answer.read_line(&mut head)? == 0 {
            break;
        }
    }
    client.write_all(change(&head).as_bytes())?;
    std::io::copy(&mut answer, client).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(address: &str, path: &str) -> String {
        let mut server = TcpStream::connect(address).unwrap();
        write!(server, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = vec![0; 1 << 16];
        let mut length = 0;
        while length < answer.len() {
            let read = server.read(&mut answer[length..]).unwrap();
            if read == 0 {
                break;
            }
            length += read;
        }
        String::from_utf8_lossy(&answer[..length]).into_owned()
    }

    #[test]
    fn each_reply_is_on_the_wire_what_it_says() {
        let real = HostileServer::new(|_| Reply::response(201, &[("location", "/real")], "real"));
        let server =
            HostileServer::before(real.address(), |request| match request.target.as_str() {
                "/forward" => Reply::Forward,
                "/upload" => Reply::with_header("location", "http://other.test/x".to_owned()),
                "/endless" => Reply::endless("text/plain", "abc"),
                "/drip" => Reply::dripping("text/plain", "drip", Duration::from_millis(1)),
                "/redirect" => Reply::redirect(307, "http://169.254.169.254/"),
                "/refused" => Reply::refusal(403, "DENIED"),
                _ => Reply::Close,
            });
        let get = |path| get(server.address(), path);
        assert!(get("/forward").ends_with("\r\n\r\nreal"));
        let upload = get("/upload");
        assert!(upload.contains("location: http://other.test/x\r\n") && !upload.contains("/real"));
        assert!(upload.starts_with("HTTP/1.1 201") && upload.ends_with("\r\n\r\nreal"), "{upload}");
        assert_eq!(get("/endless").len(), 1 << 16);
        assert!(get("/drip").ends_with("\r\n\r\ndrip"));
        assert!(get("/redirect").contains("location: http://169.254.169.254/\r\n"));
        assert!(get("/refused").contains("\"DENIED\""));
        assert_eq!(get("/close"), "");
        assert_eq!(server.requests().len(), 7);
        assert_eq!(server.requests()[0].header("host"), Some("x"));
    }
}
