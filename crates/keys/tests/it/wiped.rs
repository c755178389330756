//! Private keys leave nothing behind in memory.

use std::fs::{File, read_to_string};
use std::os::unix::fs::FileExt as _;

use ambisign_keys::{Digest, KeyAlgorithm, KeyPair, Payload, Sign as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What is searched for: a part of the secret, as documents have it and as integers have it. It is
/// masked, so that it is not found itself.
struct Wanted([Vec<u8>; 2]);

const MASK: u8 = 0xa5;
const PART: usize = 16;

impl Wanted {
    /// Of the key in this PEM text, which is wiped.
    fn in_pem(mut text: Vec<u8>) -> Self {
        let start = text.iter().position(|byte| *byte == b'\n').unwrap();
        let mut body: Vec<u8> = Vec::with_capacity(text.len());
        body.extend(
            text[start..]
                .iter()
                .take_while(|byte| **byte != b'-')
                .filter(|byte| !byte.is_ascii_whitespace()),
        );
        let mut der = vec![0; body.len()];
        let length = STANDARD.decode_slice(&body, &mut der).unwrap();
        // The octet string with the secret is the first of its length.
        let at = (0..length).find(|at| matches!(der[*at..], [4, 32, ..])).unwrap();
        let secret = at + 2..at + 2 + usize::from(der[at + 1]);
        let part = secret.end - PART..secret.end;
        let mask = |byte: &u8| byte ^ MASK;
        let forward = der[part.clone()].iter().map(mask).collect();
        let backward = der[part].iter().rev().map(mask).collect();
        for bytes in [&mut text, &mut body, &mut der] {
            bytes.fill(0);
        }
        Self([forward, backward])
    }

    /// How often it is in the memory of this process, apart from the stack of this thread, where
    /// functions that have returned leave what they moved.
    fn found(&self) -> usize {
        let here = (&raw const *self) as u64;
        let memory = File::open("/proc/self/mem").unwrap();
        let mut piece = vec![0; 1 << 20];
        let mut found = 0;
        for line in read_to_string("/proc/self/maps").unwrap().lines() {
            let mut words = line.split_whitespace();
            let (start, end) = words.next().unwrap().split_once('-').unwrap();
            let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            if !words.next().unwrap().starts_with("rw") || (start..end).contains(&here) {
                continue;
            }
            let mut at = start;
            while at < end {
                let length = usize::try_from((end - at).min(piece.len() as u64)).unwrap();
                let read = memory.read_at(&mut piece[..length], at).unwrap_or_default();
                found += self.count(&piece[..read]);
                // Not found again where it was read to.
                piece.fill(0);
                match read {
                    ..=PART => break,
                    read => at += (read - PART) as u64,
                }
            }
        }
        found
    }

    fn count(&self, bytes: &[u8]) -> usize {
        let is_it = |window: &[u8]| {
            let is = |wanted: &Vec<u8>| {
                window.iter().zip(wanted).all(|(byte, masked)| byte ^ MASK == *masked)
            };
            self.0.iter().any(is)
        };
        bytes.windows(PART).filter(|window| is_it(window)).count()
    }
}

#[test]
fn a_private_key_is_wiped_when_it_is_dropped() {
    const PASSWORD: &[u8] = b"hunter2";
    // Those whose form in memory is that of the document.
    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::Ed25519] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let encrypted = pair.to_encrypted_pem(PASSWORD).unwrap();
        let wanted = Wanted::in_pem(pair.to_pkcs8_pem().unwrap().as_bytes().to_vec());
        drop(pair);
        assert_eq!(wanted.found(), 0, "{algorithm}: before");
        // In a box, since the stack is not searched.
        let pair = Box::new(KeyPair::from_encrypted_pem(&encrypted, PASSWORD).unwrap());
        assert_ne!(wanted.found(), 0, "{algorithm}: the search finds a key that is there");
        if algorithm != KeyAlgorithm::Ed25519 {
            let hash = algorithm.file_scheme().hash().unwrap();
            pair.sign(Payload::Digest(&Digest::of(hash, b"content"))).unwrap();
        }
        drop(pair);
        assert_eq!(wanted.found(), 0, "{algorithm}: after");
    }
}
