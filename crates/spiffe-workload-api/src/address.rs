//! Reading addresses as `SPIFFE_ENDPOINT_SOCKET` holds them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use host::Env;

use crate::endpoint::Endpoint;
use crate::error::Error;

/// The variable that holds the address: SPIFFE Workload Endpoint, section 4.
pub const ENDPOINT_VARIABLE: &str = "SPIFFE_ENDPOINT_SOCKET";

/// The longest address read, in bytes.
const LONGEST: usize = 2048;

impl Endpoint {
    /// Reads an address as SPIFFE Workload Endpoint section 4 writes it: `unix:///absolute/path`
    /// (`unix:/absolute/path` is the same URI) or `tcp://ADDRESS:PORT` with a literal address.
    ///
    /// # Errors
    /// [`Error::Malformed`] names the rule and, for the usual mistakes, how to write it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|reason| malformed(text, reason))
    }

    /// The endpoint that the variable `SPIFFE_ENDPOINT_SOCKET` names, an address or the bare path of
    /// a socket.
    ///
    /// # Errors
    /// [`Error::Malformed`]: the variable is unset or not an address.
    pub fn from_env(env: &dyn Env) -> Result<Self, Error> {
        let text = env.var(ENDPOINT_VARIABLE);
        let text = text.ok_or_else(|| malformed("", format!("{ENDPOINT_VARIABLE} is not set")))?;
        Self::parse_or_path(&text)
    }

    /// As [`Self::parse`], and also the bare absolute path of a socket: some programs expect the
    /// variable in that form.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_or_path(text: &str) -> Result<Self, Error> {
        if text.starts_with('/') && text.len() > 1 && !text.chars().any(char::is_control) {
            return Self::unix(text);
        }
        Self::parse(text)
    }

    /// The Unix socket at `path`, which must be absolute.
    ///
    /// # Errors
    /// [`Error::Malformed`]: the path is relative.
    pub fn unix(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        if path.is_absolute() {
            return Ok(Self::Unix(path));
        }
        let reason = "the path of a socket must be absolute".to_owned();
        Err(malformed(&path.to_string_lossy(), reason))
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

fn parse(text: &str) -> Result<Endpoint, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() > LONGEST {
        return Err(format!("it has {} bytes, more than the limit of {LONGEST}", text.len()));
    }
    if text.chars().any(char::is_control) {
        return Err("it contains a control character".to_owned());
    }
    if text.contains(char::is_whitespace) {
        return Err("it contains a space, which a URI writes as %20".to_owned());
    }
    if text.starts_with('/') {
        return Err(format!("a bare path is not a URI, write unix://{text}"));
    }
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err("it has no scheme, write unix:///path or tcp://ADDRESS:PORT".to_owned());
    };
    if rest.contains('?') {
        return Err("a query is not allowed".to_owned());
    }
    if rest.contains('#') {
        return Err("a fragment is not allowed".to_owned());
    }
    match scheme.to_ascii_lowercase().as_str() {
        "tcp" => tcp(rest),
        "unix" => unix(rest),
        "npipe" => Err("Windows named pipes (npipe:) are not supported, write \
                        tcp://ADDRESS:PORT where the agent listens on TCP"
            .to_owned()),
        _ => Err(format!("expected the scheme unix or tcp, found {scheme}")),
    }
}

fn unix(rest: &str) -> Result<Endpoint, String> {
    let path = match rest.strip_prefix("//") {
        Some(hierarchy) => {
            let (authority, _) = hierarchy.split_once('/').unwrap_or((hierarchy, ""));
            if authority.contains('@') {
                return Err("user information is not allowed".to_owned());
            }
            if !authority.is_empty() {
                return Err(format!(
                    "{authority:?} stands where a host would, write unix:///{hierarchy} with \
                     three slashes"
                ));
            }
            hierarchy
        }
        None => rest,
    };
    if path.is_empty() || path == "/" {
        return Err("the path of the socket is missing".to_owned());
    }
    if !path.starts_with('/') {
        return Err(format!("the path {path:?} is relative, it must be absolute"));
    }
    Ok(Endpoint::Unix(PathBuf::from(percent_decoded(path)?)))
}

fn tcp(rest: &str) -> Result<Endpoint, String> {
    let Some(authority) = rest.strip_prefix("//") else {
        return Err("write tcp://ADDRESS:PORT with two slashes".to_owned());
    };
    if authority.contains('/') {
        return Err("a path is not allowed after tcp://ADDRESS:PORT".to_owned());
    }
    if authority.contains('@') {
        return Err("user information is not allowed".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon of `[::1]` is not one before a port.
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => return Err(format!("the port is missing, write tcp://{authority}:PORT")),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if bare.parse::<std::net::IpAddr>().is_err() {
        return Err(format!("expected a literal IP address, found {host:?}"));
    }
    match authority.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(Endpoint::Tcp(address)),
        _ => Err(format!("expected a port from 1 to 65535 after {host}, found {port:?}")),
    }
}

/// RFC 3986 section 2.1. A path is bytes, so what comes out need not be UTF-8.
fn percent_decoded(path: &str) -> Result<OsString, String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let byte = after
            .get(..2)
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .ok_or("a percent sign is not followed by two hexadecimal digits")?;
        if byte == 0 {
            return Err("the path contains a NUL byte".to_owned());
        }
        bytes.push(byte);
        rest = after.get(2..).unwrap_or_default();
    }
    os_string(bytes)
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere not every path can be had")]
fn os_string(bytes: Vec<u8>) -> Result<OsString, String> {
    use std::os::unix::ffi::OsStringExt as _;
    Ok(OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> Result<OsString, String> {
    let text = String::from_utf8(bytes).map_err(|_| "the path is not UTF-8".to_owned())?;
    Ok(OsString::from(text))
}

/// The address is configuration, but a wrong variable may hold anything.
fn malformed(text: &str, reason: String) -> Error {
    let found = host::escape_remote(text);
    Error::Malformed { expected: "the address of a SPIFFE Workload API", found, reason }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reason(text: &str) -> String {
        match Endpoint::parse(text) {
            Err(Error::Malformed { reason, .. }) => reason,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn both_spellings_of_a_unix_socket_are_the_same() {
        let path = Endpoint::Unix(PathBuf::from("/run/agent.sock"));
        assert_eq!(Endpoint::parse("unix:///run/agent.sock").unwrap(), path);
        assert_eq!(Endpoint::parse("unix:/run/agent.sock").unwrap(), path);
        assert_eq!(Endpoint::parse("UNIX:///run/agent.sock").unwrap(), path);
    }

    #[test]
    fn a_bare_path_is_taken_where_it_is_asked_for_and_is_not_decoded() {
        let endpoint = Endpoint::parse_or_path("/run/a%20b.sock").unwrap();
        assert_eq!(endpoint, Endpoint::Unix(PathBuf::from("/run/a%20b.sock")));
        assert!(Endpoint::parse_or_path("/").is_err());
        assert!(Endpoint::parse_or_path("run/agent.sock").is_err());
        let uri = "unix:///run/agent.sock";
        assert_eq!(Endpoint::parse_or_path(uri).unwrap(), Endpoint::parse(uri).unwrap());
    }

    #[test]
    fn a_path_is_percent_decoded() {
        let endpoint = Endpoint::parse("unix:///run/a%20b%25.sock").unwrap();
        assert_eq!(endpoint, Endpoint::Unix(PathBuf::from("/run/a b%.sock")));
        assert!(reason("unix:///run/a%2").contains("percent sign"));
        assert!(reason("unix:///run/a%+1").contains("percent sign"));
        assert!(reason("unix:///run/%00").contains("NUL"));
    }

    #[test]
    fn a_tcp_endpoint_is_a_literal_address_and_a_port() {
        for text in ["tcp://127.0.0.1:8000", "tcp://[::1]:8000"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        assert!(reason("tcp://localhost:8000").contains("literal IP address"));
        assert!(reason("tcp://127.0.0.1").contains("port is missing"));
        assert!(reason("tcp://[::1]").contains("port is missing"));
        assert!(reason("tcp://127.0.0.1:0").contains("port from 1"));
        assert!(reason("tcp://127.0.0.1:65536").contains("port from 1"));
        assert!(reason("tcp://127.0.0.1:8000/foo").contains("path is not allowed"));
        assert!(reason("tcp://me@127.0.0.1:8000").contains("user information"));
        assert!(reason("tcp://127.0.0.1:8000?x").contains("query"));
        assert!(reason("tcp:127.0.0.1:8000").contains("two slashes"));
    }

    #[test]
    fn the_usual_mistakes_are_explained() {
        assert_eq!(
            reason("/run/agent.sock"),
            "a bare path is not a URI, write unix:///run/agent.sock"
        );
        assert!(reason("unix://run/agent.sock").contains("write unix:///run/agent.sock"));
        assert!(reason("unix:agent.sock").contains("relative"));
        for abstract_socket in ["unix:@agent", "unix-abstract:agent"] {
            let said = reason(abstract_socket);
            assert!(said.contains("absolute") || said.contains("unix or tcp"), "{said}");
        }
        for text in ["unix:///run/agent.sock ", " unix:///run/agent.sock", "tcp://127.0.0.1:80 "] {
            assert!(reason(text).contains("%20"), "{text:?}");
        }
        assert!(reason("unix://").contains("missing"));
        assert!(reason("unix:///").contains("missing"));
        assert!(reason("unix:///a?b").contains("query"));
        assert!(reason("unix:///a#b").contains("fragment"));
        assert!(reason("unix://me@/a").contains("user information"));
        assert!(reason("http://127.0.0.1:8000").contains("found http"));
        for pipe in ["npipe:spire-agent\\public\\api", "NPIPE:x", "npipe:////./pipe/x"] {
            assert!(reason(pipe).starts_with("Windows named pipes (npipe:) are not supported"));
        }
        assert!(reason("agent.sock").contains("no scheme"));
        assert!(reason("").contains("empty"));
        assert!(reason(&format!("unix:///{}", "a".repeat(3000))).contains("limit"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(scheme in "(unix|tcp|):/{0,3}", rest in ".{0,60}") {
            let _ = Endpoint::parse(&format!("{scheme}{rest}"));
            let _ = Endpoint::parse_or_path(&rest);
        }

        #[test]
        fn every_plain_path_and_every_port_is_read(path in "(/[a-z0-9_.-]{1,20}){1,5}", port in 1_u16..) {
            let unix = Endpoint::parse(&format!("unix://{path}")).unwrap();
            prop_assert_eq!(unix, Endpoint::parse_or_path(&path).unwrap());
            let text = format!("tcp://127.0.0.1:{port}");
            prop_assert_eq!(Endpoint::parse(&text).unwrap().to_string(), text);
        }
    }
}
