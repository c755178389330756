//! Which hosts are reached without a proxy: `NO_PROXY`, read as Go's `httpproxy` reads it.

use std::net::{IpAddr, Ipv6Addr};

/// The entries of a `NO_PROXY` list. Entries that mean nothing are passed over.
#[derive(Clone, Debug, Default)]
pub(crate) struct NoProxy(Vec<Entry>);

#[derive(Clone, Debug)]
enum Entry {
    /// `*`
    All,
    /// `10.0.0.0/8`, as an IPv6 address and the number of bits that count.
    Network(Ipv6Addr, u32),
    /// `10.0.0.1`, `fd00::1`, `10.0.0.1:5000`, `[fd00::1]:5000`
    Address(IpAddr, Option<u16>),
    /// `example.com` (and the names below it), `.example.com` and `*.example.com` (the names below
    /// it only), each also with a port.
    Domain { name: String, below_only: bool, port: Option<u16> },
}

impl NoProxy {
    pub(crate) fn parse(list: &str) -> Self {
        Self(list.split(',').filter_map(|entry| Entry::parse(entry.trim())).collect())
    }

    /// Whether `host`, an IPv6 address without its brackets, is reached directly.
    pub(crate) fn covers(&self, host: &str, port: u16) -> bool {
        let host = host.to_ascii_lowercase();
        let address = host.parse().ok().map(|address: IpAddr| address.to_canonical());
        self.0.iter().any(|entry| entry.covers(&host, address, port))
    }
}

impl Entry {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((address, bits)) = entry.split_once('/') {
            let address: IpAddr = address.parse().ok()?;
            let (bits, most): (u32, _) =
                (bits.parse().ok()?, if address.is_ipv4() { 32 } else { 128 });
            return (bits <= most).then(|| Self::Network(mapped(address), 128 - most + bits));
        }
        if let Ok(address) = bare(entry).parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), None));
        }
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        if let Ok(address) = bare(name).parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), port));
        }
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        let (name, below_only) = match name.strip_prefix('.') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name = name.to_ascii_lowercase();
        (!name.is_empty()).then_some(Self::Domain { name, below_only, port })
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, at: u16) -> bool {
        match self {
            Self::All => true,
            Self::Network(network, bits) => address.is_some_and(|address| {
                let differing = mapped(address).to_bits() ^ network.to_bits();
                differing.leading_zeros() >= *bits
            }),
            Self::Address(named, port) => {
                address == Some(*named) && port.is_none_or(|port| port == at)
            }
            Self::Domain { name, below_only, port } => {
                let rest = host.strip_suffix(name.as_str());
                let fits = match rest {
                    Some("") => !below_only,
                    Some(rest) => rest.ends_with('.'),
                    None => false,
                };
                fits && port.is_none_or(|port| port == at)
            }
        }
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_go_documents_them() {
        for (list, host, port, direct) in [
            ("*", "anything.example", 443, true),
            ("", "anything.example", 443, false),
            ("example.com", "example.com", 80, true),
            ("example.com", "EXAMPLE.com", 80, true),
            ("example.com", "sub.example.com", 80, true),
            ("example.com", "notexample.com", 80, false),
            (".example.com", "example.com", 80, false),
            (".example.com", "sub.example.com", 80, true),
            ("*.corp.example", "a.b.corp.example", 80, true),
            ("*.corp.example", "corp.example", 80, false),
            ("*corp.example", "a.corp.example", 80, false),
            ("  a.example ,\tb.example ", "b.example", 80, true),
            ("a.example,,b.example", "b.example", 80, true),
            ("a.example b.example", "b.example", 80, false),
            ("example.com:8443", "example.com", 8443, true),
            ("example.com:8443", "sub.example.com", 8443, true),
            ("example.com:8443", "example.com", 443, false),
            ("*.example.com:8443", "sub.example.com", 8443, true),
            ("*.example.com:8443", "example.com", 8443, false),
            ("10.0.0.1", "10.0.0.1", 80, true),
            ("10.0.0.1:5000", "10.0.0.1", 5000, true),
            ("10.0.0.1:5000", "10.0.0.1", 80, false),
            ("10.1.0.0/16", "10.1.2.3", 80, true),
            ("10.1.0.0/16", "10.2.0.1", 80, false),
            ("10.1.0.0/33", "10.1.0.0", 80, false),
            ("0.0.0.0/0", "192.0.2.1", 80, true),
            ("0.0.0.0/0", "2001:db8::1", 80, false),
            ("fd00::/8", "fd12::1", 80, true),
            ("fd00::/8", "fe12::1", 80, false),
            ("fd00::1", "fd00::1", 5000, true),
            ("[fd00::1]", "fd00:0::1", 5000, true),
            ("[fd00::1]:5000", "fd00::1", 5000, true),
            ("[fd00::1]:5000", "fd00::1", 80, false),
            ("10.0.0.1", "::ffff:10.0.0.1", 80, true),
            (":8080", "example.com", 8080, false),
            ("example.com:port", "example.com", 80, false),
            ("/8", "example.com", 80, false),
        ] {
            let found = NoProxy::parse(list).covers(host, port);
            assert_eq!(found, direct, "{host}:{port} with NO_PROXY={list}");
        }
    }
}
