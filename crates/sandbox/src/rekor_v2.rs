//! Rekor v2: a log of tiles. It answers with a proof, never with a time.

mod request;

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::Clock;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::json;
use tlog::{Hash, NoteKey, Tree};

use crate::Error;
use crate::fulcio::BODY_CAP;
use crate::key::{KeyKind, ServiceKey};
use crate::log::{Entry, Log, lock};
use crate::service::{Service, answer, gateway_error, json_answer, not_found};

/// The name of the log, which is the host name that clients reach it by.
const ORIGIN: &str = "localhost";
const CREATE: &str = "/api/v2/log/entries";
const READ: &str = "/api/v2/";
/// Hashes of a full tile and entries of a full bundle.
const WIDTH: usize = 256;

/// A Rekor v2 log, in memory, with its tiles.
pub struct RekorV2 {
    key: ServiceKey,
    note_key: NoteKey,
    log: Mutex<Log>,
    clock: Arc<dyn Clock>,
    interval: Duration,
}

/// How long the server should hold an answer back. It is an extension of the response.
///
/// A real log answers when its next checkpoint is out, up to ten seconds later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delay(pub Duration);

impl RekorV2 {
    /// A new key for such a log.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate_key() -> Result<ServiceKey, Error> {
        ServiceKey::generate(KeyKind::Ed25519)
    }

    /// An empty log of the origin `localhost` that signs with `key` and answers at once.
    ///
    /// # Errors
    /// The key cannot sign notes.
    pub fn new(key: ServiceKey, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let note_key = NoteKey::new(ORIGIN, key.public_key().clone());
        let note_key = note_key.map_err(Error::make("the key of a log"))?;
        Ok(Self { key, note_key, log: Mutex::default(), clock, interval: Duration::ZERO })
    }

    /// Makes checkpoints wait for multiples of `interval`, as real logs do: answers to new entries
    /// carry a [`Delay`] until then.
    #[must_use]
    pub fn with_checkpoint_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The key it signs with, under its name.
    pub fn note_key(&self) -> &NoteKey {
        &self.note_key
    }

    /// The last `most` entries with their indices, the newest first.
    pub(crate) fn latest(&self, most: usize) -> Vec<(usize, Entry)> {
        lock(&self.log).latest(most)
    }

    fn create(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let invalid = |message: &str| gateway_error(StatusCode::BAD_REQUEST, 3, message);
        if request.body().len() > BODY_CAP {
            return invalid("http: request body too large");
        }
        let body = match request::canonical_body(request.body()) {
            Ok(body) => body,
            Err(message) => return invalid(&message),
        };
        let mut log = lock(&self.log);
        let mut response = match log.append(body, 0) {
            Ok(index) => self.entry(&log, index).unwrap_or_else(|_| {
                let message = "failed to integrate entry";
                gateway_error(StatusCode::INTERNAL_SERVER_ERROR, 2, message)
            }),
            Err(index) => {
                let message = format!(
                    "an equivalent entry already exists in the transparency log with index {index}"
                );
                let mut response = gateway_error(StatusCode::CONFLICT, 6, &message);
                response.headers_mut().insert("x-log-index", HeaderValue::from(index));
                response
            }
        };
        response.extensions_mut().insert(Delay(self.delay()));
        response
    }

    fn entry(&self, log: &Log, index: u64) -> Result<Response<Bytes>, Error> {
        let missing = || Error::make("an entry")("it is not in the log");
        let entry = log.entry(index).ok_or_else(missing)?;
        let size = log.tree.size();
        let proof =
            log.tree.inclusion_proof(index, size).map_err(Error::make("an inclusion proof"))?;
        let hashes: Vec<String> =
            proof.hashes.iter().map(|hash| STANDARD.encode(hash.as_bytes())).collect();
        let checkpoint = log.checkpoint(ORIGIN, ORIGIN, &self.key)?;
        let entry = json!({
            "logIndex": index.to_string(),
            "logId": { "keyId": STANDARD.encode(self.note_key.full_id()) },
            "kindVersion": { "kind": "hashedrekord", "version": "0.0.2" },
            "integratedTime": "0",
            "inclusionPromise": null,
            "inclusionProof": {
                "logIndex": index.to_string(),
                "rootHash": STANDARD.encode(log.tree.root().as_bytes()),
                "treeSize": size.to_string(),
                "hashes": hashes,
                "checkpoint": { "envelope": checkpoint },
            },
            "canonicalizedBody": STANDARD.encode(&entry.body),
        });
        Ok(json_answer(StatusCode::CREATED, &entry))
    }

    /// Until the next multiple of the interval.
    fn delay(&self) -> Duration {
        let now = self.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let interval = self.interval.as_millis();
        let past = now.checked_rem(interval).unwrap_or(interval);
        Duration::from_millis(u64::try_from(interval - past).unwrap_or(0))
    }

    /// What a static file server would hand out: the checkpoint, tiles and entry bundles.
    fn read(&self, path: &str) -> Option<Response<Bytes>> {
        let log = lock(&self.log);
        let (content_type, content) = match path.strip_prefix("tile/") {
            None if path == "checkpoint" => {
                let checkpoint = log.checkpoint(ORIGIN, ORIGIN, &self.key).ok()?;
                ("text/plain; charset=utf-8", checkpoint.into_bytes())
            }
            None => return None,
            Some(tile) => {
                let (level, place) = tile.split_once('/')?;
                let (index, width) = parse_place(place)?;
                let content = match level {
                    "entries" => entry_bundle(&log, index, width)?,
                    level => hash_tile(&log, parse_number(level)?, index, width)?,
                };
                ("application/octet-stream", content)
            }
        };
        Some(answer(StatusCode::OK, content_type, content))
    }
}

impl Service for RekorV2 {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        match path {
            CREATE if request.method() == Method::POST => self.create(&request),
            CREATE => gateway_error(StatusCode::NOT_IMPLEMENTED, 12, "Method Not Allowed"),
            "/healthz" => answer(StatusCode::OK, "application/json", "{\"status\":\"SERVING\"}\n"),
            _ => path
                .strip_prefix(READ)
                .filter(|_| request.method() == Method::GET)
                .and_then(|path| self.read(path))
                .unwrap_or_else(not_found),
        }
    }
}

/// The index and the width of a tile from the end of its path: `x001/234` or `x001/234.p/5`.
fn parse_place(place: &str) -> Option<(usize, usize)> {
    let (place, width) = match place.split_once(".p/") {
        Some((place, width)) => {
            (place, parse_number(width).filter(|width| (1..WIDTH).contains(width))?)
        }
        None => (place, WIDTH),
    };
    let mut index: usize = 0;
    let mut groups = place.split('/').peekable();
    while let Some(group) = groups.next() {
        let digits = match groups.peek() {
            Some(_) => group.strip_prefix('x')?,
            None => group,
        };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    Some((index, width))
}

fn parse_number(text: &str) -> Option<usize> {
    let canonical = text == "0" || !text.starts_with('0');
    (canonical && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `width` hashes of `level`, each the root of 256 to the power of `level` entries.
fn hash_tile(log: &Log, level: usize, index: usize, width: usize) -> Option<Vec<u8>> {
    let span = WIDTH.checked_pow(u32::try_from(level).ok()?)?;
    let first = index.checked_mul(WIDTH)?.checked_mul(span)?;
    let end = first.checked_add(width.checked_mul(span)?)?;
    let leaves = log.tree.leaves().get(first..end)?;
    Some(leaves.chunks(span).flat_map(|leaves| root(leaves).0).collect())
}

fn root(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.root()
}

fn entry_bundle(log: &Log, index: usize, width: usize) -> Option<Vec<u8>> {
    let first = index.checked_mul(WIDTH)?;
    let entries = log.entries().get(first..first.checked_add(width)?)?;
    let mut bundle = Vec::new();
    for entry in entries {
        bundle.extend(u16::try_from(entry.body.len()).ok()?.to_be_bytes());
        bundle.extend(&entry.body);
    }
    Some(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_groups_of_three() {
        assert_eq!(parse_place("005"), Some((5, 256)));
        assert_eq!(parse_place("x001/x234/067"), Some((1_234_067, 256)));
        assert_eq!(parse_place("001.p/51"), Some((1, 51)));
        for other in ["5", "0005", "001/234", "x001", "001.p/0", "001.p/256", "001.p/051", ""] {
            assert_eq!(parse_place(other), None, "{other}");
        }
    }

    #[test]
    fn answers_wait_for_the_next_checkpoint_where_there_is_an_interval() {
        let log = |clock: Duration| {
            let key = RekorV2::generate_key().unwrap();
            RekorV2::new(key, Arc::new(UNIX_EPOCH + clock)).unwrap()
        };
        let at = Duration::from_millis(10_250);
        assert_eq!(log(at).delay(), Duration::ZERO);
        let interval = Duration::from_secs(1);
        let delayed = log(at).with_checkpoint_interval(interval);
        assert_eq!(delayed.delay(), Duration::from_millis(750));
    }
}
