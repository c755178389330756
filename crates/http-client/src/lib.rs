//! The HTTP stack of ambisign: hyper and rustls behind one Transport, with proxies, deadlines, caps and retries
