//! Timestamps taken apart and put together wrongly.

use std::time::Instant;

use tsa_client::{Error, SIZE_CAP, Timestamp};

use super::{authority, message, ready, reply, tsa};

/// An element of a DER document: where it starts, where its content starts and where it ends.
fn element(der: &[u8], at: usize) -> (usize, usize) {
    let first = usize::from(der[at + 1]);
    let (start, length) = if first < 0x80 {
        (at + 2, first)
    } else {
        let octets = first & 0x7f;
        let bytes = &der[at + 2..at + 2 + octets];
        (at + 2 + octets, bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    (start, start + length)
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let head = match length {
        0..0x80 => vec![tag, u8::try_from(length).unwrap()],
        0x80..0x100 => vec![tag, 0x81, u8::try_from(length).unwrap()],
        _ => [&[tag, 0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
    };
    [&head, content].concat()
}

/// `der` with the element at `path` (the number of the child, at each level) replaced by what
/// `change` makes of it. All lengths around it are made right again.
fn edit(der: &[u8], path: &[usize], change: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let Some((child, rest)) = path.split_first() else { return change(der) };
    let (mut at, end) = element(der, 0);
    let mut content = Vec::new();
    let mut number = 0;
    while at < end {
        let (_, next) = element(der, at);
        let inner = &der[at..next];
        let edited = if number == *child { edit(inner, rest, change) } else { inner.to_vec() };
        content.extend(edited);
        at = next;
        number += 1;
    }
    assert!(number > *child, "there is no such element");
    wrap(der[0], &content)
}

const STATUS: &[usize] = &[0];
const STATUS_CODE: &[usize] = &[0, 0];
const TOKEN: &[usize] = &[1];
const SIGNED: &[usize] = &[1, 1, 0];
const CONTENT: &[usize] = &[1, 1, 0, 2, 1, 0];
const SIGNERS: &[usize] = &[1, 1, 0, 4];
const SIGNER: &[usize] = &[1, 1, 0, 4, 0];

/// The TSTInfo inside of its OCTET STRING.
fn in_statement(path: &'static [usize], new: Vec<u8>) -> Change {
    Box::new(move |der| {
        edit(der, CONTENT, &|octets| {
            let (start, end) = element(octets, 0);
            wrap(0x04, &edit(&octets[start..end], path, &|_| new.clone()))
        })
    })
}

fn put(path: &'static [usize], new: Vec<u8>) -> Change {
    Box::new(move |der| edit(der, path, &|_| new.clone()))
}

type Change = Box<dyn Fn(&[u8]) -> Vec<u8>>;

fn time(text: &str) -> Change {
    in_statement(&[4], wrap(0x18, text.as_bytes()))
}

/// A short error in a line, soon.
fn refused(name: &str, outcome: Result<impl std::fmt::Debug, Error>, started: Instant) -> String {
    let error = outcome.expect_err(name);
    let text = host::with_causes(&error);
    assert!(text.len() < 1000 && !text.chars().any(host::is_unsafe), "{name}: {text:?}");
    assert!(started.elapsed().as_secs() < 10, "{name}: {:?}", started.elapsed());
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures how long the work takes")]
fn a_reply_that_is_put_together_wrongly_is_refused_in_a_line() {
    let original = reply("SHA-256, no nonce, no certificate").der().to_vec();
    assert_eq!(edit(&original, SIGNER, &<[u8]>::to_vec), original);
    let deep = (0..5_000).fold(Vec::new(), |inner, _| wrap(0x30, &inner));
    let texts = wrap(0x30, &wrap(0x0c, b"\x1b[2J\xe2\x80\xae").repeat(3000));
    let tries: [(&str, Change); 27] = [
        ("status 2 beside a good token", put(STATUS_CODE, vec![2, 1, 2])),
        ("status -1", put(STATUS_CODE, vec![2, 1, 0xff])),
        ("status 2^64", put(STATUS_CODE, [&[2, 9, 1][..], &[0; 8]].concat())),
        (
            "status of thousands of texts",
            put(STATUS, wrap(0x30, &[&[2, 1, 2][..], &texts].concat())),
        ),
        (
            "thousands of reasons",
            put(STATUS, wrap(0x30, &[&[2, 1, 2][..], &wrap(0x03, &[0xff; 20_000])].concat())),
        ),
        ("no token", put(TOKEN, Vec::new())),
        ("a token nested 5,000 deep", put(TOKEN, deep.clone())),
        ("signed data nested 5,000 deep", put(SIGNED, deep)),
        ("a token of another type", put(&[1, 0], vec![6, 3, 42, 3, 4])),
        ("content of another type", put(&[1, 1, 0, 2, 0], vec![6, 3, 42, 3, 4])),
        ("content that is not octets", put(CONTENT, vec![5, 0])),
        ("an empty statement", put(CONTENT, vec![4, 0])),
        ("a statement of version 2", in_statement(&[0], vec![2, 1, 2])),
        ("a statement of a negative version", in_statement(&[0], vec![2, 1, 0xff])),
        ("a digest of half the length", in_statement(&[2, 1], wrap(0x04, &[0; 16]))),
        ("a digest of SHA-1", in_statement(&[2, 0, 0], vec![6, 5, 0x2b, 0x0e, 3, 2, 0x1a])),
        ("a time without seconds", time("202611221449Z")),
        ("a time with an offset", time("20261122144953+0100")),
        ("second 61", time("20261122144961Z")),
        ("29 February of a common year", time("20270229000000Z")),
        ("a time of letters", time("2026112214495xZ")),
        ("a time of 10,000 digits", time(&"2".repeat(10_000))),
        ("no signer", put(SIGNERS, vec![0x31, 0])),
        (
            "two signers",
            Box::new(|der| {
                edit(der, SIGNERS, &|set| {
                    let (start, end) = element(set, 0);
                    wrap(0x31, &set[start..end].repeat(2))
                })
            }),
        ),
        (
            "an indefinite length",
            Box::new(|der| [&[0x30, 0x80], &der[element(der, 0).0..], &[0, 0]].concat()),
        ),
        (
            "a length in more octets than it needs",
            Box::new(|der| {
                let (start, end) = element(der, 0);
                let length = u16::try_from(end - start).unwrap().to_be_bytes();
                [&[0x30, 0x83, 0], &length[..], &der[start..end]].concat()
            }),
        ),
        ("PEM", Box::new(|_| b"-----BEGIN PKCS7-----\nMIIB\n-----END PKCS7-----\n".to_vec())),
    ];
    let mut passed = Vec::new();
    for (name, change) in tries {
        let der = change(&original);
        assert!(der.len() <= SIZE_CAP, "{name} is refused by its size alone");
        let started = Instant::now();
        match Timestamp::from_der(&der) {
            Ok(_) => passed.push(name),
            outcome => drop(refused(name, outcome, started)),
        }
    }
    assert!(passed.is_empty(), "{passed:?}");
}

/// These can be read; what was signed is another thing.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures how long the work takes")]
fn a_reply_that_says_something_else_than_what_was_signed_is_refused() {
    let (message, authority) = (message(), authority());
    let original = reply("SHA-256, no nonce, no certificate").der().to_vec();
    let nonce = vec![2, 1, 7];
    let tries: [(&str, Change); 7] = [
        ("a year earlier", time("20251122144953Z")),
        ("in the year 9999", time("99991231235959Z")),
        ("in 1970", time("19700101000000Z")),
        ("a nanosecond later", time("20261122144953.000000001Z")),
        ("another policy", in_statement(&[1], vec![6, 3, 42, 3, 4])),
        ("another serial number", in_statement(&[3], nonce)),
        ("a signature without a byte", put(&[1, 1, 0, 4, 0, 5], vec![4, 0])),
    ];
    for (name, change) in tries {
        let started = Instant::now();
        let timestamp = Timestamp::from_der(&change(&original)).unwrap();
        refused(name, timestamp.verify(&message, &authority), started);
    }
}

#[test]
fn an_answer_of_another_kind_is_no_timestamp() {
    let good = reply("SHA-256, nonce, certificate wanted").der().to_vec();
    for (status, body, words) in [
        (200, b"{\"message\":\"\x1b[2J\"}".to_vec(), "not an RFC 3161 timestamp"),
        (200, [b"\x1f\x8b\x08\x00".as_slice(), &good].concat(), "not an RFC 3161 timestamp"),
        (200, good.repeat(40), "not an RFC 3161 timestamp"),
        (202, good.clone(), "answered 202"),
        (204, Vec::new(), "answered 204: no explanation"),
        (206, good.clone(), "answered 206"),
        (302, b"<html>".to_vec(), "answered 302: <html>"),
        (500, format!("{{\"message\":\"{}\"}}", "\u{202e}".repeat(9000)).into_bytes(), "\\u{202e}"),
        (503, b"[".repeat(30_000), "answered 503"),
    ] {
        let (tsa, _) = tsa(status, body);
        let error = ready(tsa.stamp(b"x")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(words) && text.len() < 600, "{status}: {text}");
        assert!(!text.chars().any(host::is_unsafe), "{status}: {text:?}");
    }
}
