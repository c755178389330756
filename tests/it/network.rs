//! Ways to the registry.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use harness::Setup;

#[test]
fn a_registry_behind_a_proxy_is_signed_and_verified_and_loopback_needs_none() {
    let setup = Setup::new();
    setup.image("demo/app");
    let (proxy, served) = forward_proxy(setup.sandbox.registry().to_owned());
    let image = "registry.test/demo/app:v1";
    let through = |program: harness::Program| {
        let program = program.env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
        program.env("AMBISIGN_ALLOW_HTTP_REGISTRY", "true")
    };
    through(setup.workload()).args(["sign", image]).run().ends(0);
    assert!(served.load(Ordering::Relaxed) > 3, "the registry's requests go through the proxy");
    let before = served.load(Ordering::Relaxed);
    let verify = || setup.program().args(["verify", image]).args(setup.by_workload());
    through(verify()).run().ends(0);
    assert!(served.load(Ordering::Relaxed) > before);
    // The same image by its real address: nothing more than a name was changed on the way.
    let direct = format!("{}/demo/app:v1", setup.sandbox.registry());
    let count = served.load(Ordering::Relaxed);
    let verify = setup.program().args(["verify", &direct]).args(setup.by_workload());
    through(verify).env("NO_PROXY", "127.0.0.1").run().ends(0);
    assert_eq!(served.load(Ordering::Relaxed), count);
}

#[test]
fn a_proxy_that_is_down_is_named() {
    let setup = Setup::new();
    let verify = setup.program().args(["verify", "registry.test/demo/app:v1"]);
    let verify = verify.args(setup.by_workload()).env("HTTPS_PROXY", "http://127.0.0.1:1");
    verify.run().ends(1).says(&["could not be verified", "proxy"]);
}

/// A proxy for plain http that brings every request to `target`, and the number of those.
fn forward_proxy(target: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (target, count) = (target.clone(), Arc::clone(&count));
            std::thread::spawn(move || forward(client, &target, &count));
        }
    });
    (address, served)
}

/// One request, then the connection ends.
fn forward(client: TcpStream, target: &str, count: &AtomicUsize) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let mut client = client;
    let mut head = Vec::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        let end = line == "\r\n";
        if !lower.starts_with("connection:") && !end {
            head.push(line);
        }
        if end {
            break;
        }
    }
    if head[0].starts_with("CONNECT") {
        client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").unwrap();
        return;
    }
    count.fetch_add(1, Ordering::Relaxed);
    head[0] = head[0].replacen("http://registry.test", "", 1);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let mut server = TcpStream::connect(target).unwrap();
    server.write_all(head.concat().as_bytes()).unwrap();
    server.write_all(b"connection: close\r\n\r\n").unwrap();
    server.write_all(&body).unwrap();
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
