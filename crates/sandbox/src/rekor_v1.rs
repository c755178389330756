//! Rekor v1: a log that signs its own time, and answers look-ups.

mod proposed;
mod refused;

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use host::Clock;
use http::header::{ETAG, HeaderValue, LOCATION};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};
use tlog::{Hash, leaf_hash};

use self::refused::Refused;
use crate::Error;
use crate::certificate::unix_seconds;
use crate::key::{KeyKind, ServiceKey};
use crate::log::{Entry, Log, lock};
use crate::service::{Service, answer, json_line};

/// The most items of one `retrieve` request.
const RETRIEVE_CAP: usize = 10;
const ENTRIES: &str = "/api/v1/log/entries";

/// A Rekor v1 log with one shard, in memory.
pub struct RekorV1 {
    key: ServiceKey,
    hostname: String,
    tree_id: u64,
    log: Mutex<Log>,
    clock: Arc<dyn Clock>,
}

impl RekorV1 {
    /// A new key for such a log.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate_key() -> Result<ServiceKey, Error> {
        ServiceKey::generate(KeyKind::EcdsaP256)
    }

    /// An empty log that signs with `key` (ECDSA). Its tree id follows from the key, its
    /// checkpoints are those of `localhost - <tree id>`, signed as `localhost`.
    pub fn new(key: ServiceKey, clock: Arc<dyn Clock>) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = key.public_key().id();
        let tree_id = u64::from_be_bytes([a & 0x7f, b, c, d, e, f, g, h]);
        let hostname = "localhost".to_owned();
        Self { key, hostname, tree_id, log: Mutex::default(), clock }
    }

    /// The key it signs with.
    pub fn key(&self) -> &ServiceKey {
        &self.key
    }

    /// The last `most` entries with their indices, the newest first.
    pub(crate) fn latest(&self, most: usize) -> Vec<(usize, Entry)> {
        lock(&self.log).latest(most)
    }

    fn create(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refused> {
        let body = proposed::canonical_body(request.body())?;
        let now = unix_seconds(self.clock.now());
        let mut log = lock(&self.log);
        match log.append(body, now) {
            Ok(index) => {
                let mut response = self.entry_answer(&log, index, StatusCode::CREATED)?;
                let id = self.entry_id(&log, index);
                set_header(&mut response, ETAG, &id);
                set_header(&mut response, LOCATION, &format!("{ENTRIES}/{id}"));
                Ok(response)
            }
            Err(index) => {
                let id = self.entry_id(&log, index);
                let message = format!(
                    "an equivalent entry already exists in the transparency log with UUID {id}"
                );
                let mut response = Refused { status: 409, code: 409, message }.answer();
                set_header(&mut response, LOCATION, &format!("{ENTRIES}/{id}"));
                Ok(response)
            }
        }
    }

    fn by_index(&self, query: &str) -> Result<Response<Bytes>, Refused> {
        let wanted = parameter(query, "logIndex");
        let wanted =
            wanted.ok_or_else(|| Refused::invalid(602, "logIndex in query is required"))?;
        let index: i64 = wanted.parse().map_err(|_| {
            let message = format!("logIndex in query must be of type int64: {}", quote(&wanted));
            Refused::invalid(601, &message)
        })?;
        let index = u64::try_from(index).map_err(|_| {
            Refused::invalid(609, "logIndex in query should be greater than or equal to 0")
        })?;
        let log = lock(&self.log);
        if index >= log.tree.size() {
            return Ok(nothing());
        }
        self.entry_answer(&log, index, StatusCode::OK)
    }

    fn by_id(&self, id: &str) -> Result<Response<Bytes>, Refused> {
        let log = lock(&self.log);
        match self.find(&log, id)? {
            Some(index) => self.entry_answer(&log, index, StatusCode::OK),
            None => Ok(nothing()),
        }
    }

    /// The entry whose leaf hash is `id`, before which the tree's id may stand.
    fn find(&self, log: &Log, id: &str) -> Result<Option<u64>, Refused> {
        let malformed = || {
            let pattern = "^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$";
            Refused::invalid(605, &format!("entryUUID in path should match '{pattern}'"))
        };
        let is_hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (tree, leaf) = match id.len() {
            64 if is_hex => (None, id),
            80 if is_hex => (u64::from_str_radix(&id[..16], 16).ok(), &id[16..]),
            _ => return Err(malformed()),
        };
        if tree.is_some_and(|tree| tree != self.tree_id) {
            return Ok(None);
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(leaf.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| malformed())?;
        }
        Ok(log.find(&Hash(hash)))
    }

    fn retrieve(&self, body: &[u8]) -> Result<Response<Bytes>, Refused> {
        let query: Value = serde_json::from_slice(body).map_err(|error| {
            let eof = error.is_eof();
            Refused::internal(if eof { "unexpected EOF".to_owned() } else { error.to_string() })
        })?;
        let list =
            |name: &str| query.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let (ids, indexes, proposed) = (list("entryUUIDs"), list("logIndexes"), list("entries"));
        if ids.len() + indexes.len() + proposed.len() > RETRIEVE_CAP {
            return Err(Refused::invalid(611, "entries in body should have at most 10 items"));
        }
        let mut found = Vec::new();
        let bodies = proposed
            .iter()
            .map(|entry| proposed::canonical_body(entry.to_string().as_bytes()))
            .collect::<Result<Vec<_>, _>>()?;
        let log = lock(&self.log);
        for id in ids.iter().filter_map(Value::as_str) {
            found.extend(self.find(&log, id)?);
        }
        let size = log.tree.size();
        found.extend(indexes.iter().filter_map(Value::as_u64).filter(|index| *index < size));
        found.extend(bodies.iter().filter_map(|body| log.find(&leaf_hash(body))));
        let entries = found
            .into_iter()
            .map(|index| self.entry(&log, index))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(json_line(StatusCode::OK, &Value::from(entries)))
    }

    /// The search index: the ids of the entries about a digest. It knows no other query.
    fn search(&self, body: &[u8]) -> Result<Response<Bytes>, Refused> {
        let query: Value = serde_json::from_slice(body)
            .map_err(|error| Refused::invalid(400, &error.to_string()))?;
        let Some(hash) = query.get("hash").and_then(Value::as_str) else {
            return Err(Refused::invalid(602, "hash in body is required"));
        };
        let hex = hash.strip_prefix("sha256:").unwrap_or(hash).to_ascii_lowercase();
        let is_about = |body: &Value| {
            let value = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
            [value("/spec/data/hash/value"), value("/spec/payloadHash/value")].contains(&Some(&hex))
        };
        let log = lock(&self.log);
        let entries = (0_u64..).zip(log.entries());
        let found = entries.filter(|(_, entry)| {
            serde_json::from_slice(&entry.body).is_ok_and(|body: Value| is_about(&body))
        });
        let ids: Vec<_> = found.map(|(index, _)| self.entry_id(&log, index)).collect();
        Ok(json_line(StatusCode::OK, &Value::from(ids)))
    }

    fn info(&self) -> Result<Response<Bytes>, Refused> {
        let log = lock(&self.log);
        let info = json!({
            "inactiveShards": null,
            "rootHash": log.tree.root().to_string(),
            "signedTreeHead": self.checkpoint(&log)?,
            "treeID": self.tree_id.to_string(),
            "treeSize": log.tree.size(),
        });
        Ok(json_line(StatusCode::OK, &info))
    }

    fn proof(&self, query: &str) -> Result<Response<Bytes>, Refused> {
        let number = |name: &str, default: Option<u64>| match parameter(query, name) {
            Some(text) => text.parse().map_err(|_| {
                let message = format!("{name} in query must be of type int64: {}", quote(&text));
                Refused::invalid(601, &message)
            }),
            None => default
                .ok_or_else(|| Refused::invalid(602, &format!("{name} in query is required"))),
        };
        let first: u64 = number("firstSize", Some(1))?;
        let last: u64 = number("lastSize", None)?;
        for (name, size) in [("firstSize", first), ("lastSize", last)] {
            if size == 0 {
                let message = format!("{name} in query should be greater than or equal to 1");
                return Err(Refused::invalid(609, &message));
            }
        }
        let bad = |message: String| Refused { status: 400, code: 400, message };
        if first > last {
            return Err(bad(format!("firstSize({first}) must be less than lastSize({last})")));
        }
        let log = lock(&self.log);
        let size = log.tree.size();
        let proof = log.tree.consistency_proof(first, last).map_err(|_| {
            bad(format!("lastSize({last}) must be less than or equal to tree size({size})"))
        })?;
        let hashes: Vec<String> = proof.hashes.iter().map(Hash::to_string).collect();
        // As seen: the root is that of the log now, not that of lastSize.
        let root = log.tree.root().to_string();
        Ok(json_line(StatusCode::OK, &json!({ "rootHash": root, "hashes": hashes })))
    }

    fn entry_answer(
        &self,
        log: &Log,
        index: u64,
        status: StatusCode,
    ) -> Result<Response<Bytes>, Refused> {
        Ok(json_line(status, &self.entry(log, index)?))
    }

    /// One entry under its id, with a proof in the log as it is now.
    fn entry(&self, log: &Log, index: u64) -> Result<Value, Refused> {
        let internal = |error: &dyn std::fmt::Display| Refused::internal(error.to_string());
        let entry = log.entry(index).ok_or_else(|| Refused::internal("no such entry".into()))?;
        let proof =
            log.tree.inclusion_proof(index, log.tree.size()).map_err(|error| internal(&error))?;
        let hashes: Vec<String> = proof.hashes.iter().map(Hash::to_string).collect();
        let body = STANDARD.encode(&entry.body);
        let log_id = base16ct::lower::encode_string(&self.key.public_key().id());
        let promised = json!({
            "body": body,
            "integratedTime": entry.time,
            "logID": log_id,
            "logIndex": index,
        });
        let signed =
            serde_json_canonicalizer::to_vec(&promised).map_err(|error| internal(&error))?;
        let promise = self.key.sign_message(&signed).map_err(|error| internal(&error))?;
        let mut value = promised;
        value["verification"] = json!({
            "inclusionProof": {
                "checkpoint": self.checkpoint(log)?,
                "hashes": hashes,
                "logIndex": index,
                "rootHash": log.tree.root().to_string(),
                "treeSize": log.tree.size(),
            },
            "signedEntryTimestamp": STANDARD.encode(promise),
        });
        Ok(Value::Object(Map::from_iter([(self.entry_id(log, index), value)])))
    }

    fn entry_id(&self, log: &Log, index: u64) -> String {
        let body = log.entry(index).map(|entry| entry.body.as_slice()).unwrap_or_default();
        format!("{:016x}{}", self.tree_id, leaf_hash(body))
    }

    fn checkpoint(&self, log: &Log) -> Result<String, Refused> {
        let origin = format!("{} - {}", self.hostname, self.tree_id);
        log.checkpoint(&origin, &self.hostname, &self.key)
            .map_err(|error| Refused::internal(error.to_string()))
    }

    fn route(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Refused> {
        let path = request.uri().path();
        let query = request.uri().query().unwrap_or_default();
        let id = path.strip_prefix(ENTRIES).and_then(|rest| rest.strip_prefix('/'));
        let methods: &[Method] = match (path, id) {
            (ENTRIES, _) => &[Method::GET, Method::POST],
            ("/api/v1/index/retrieve", _) | (_, Some("retrieve")) => &[Method::POST],
            ("/api/v1/log" | "/api/v1/log/publicKey" | "/api/v1/log/proof" | "/ping", _) => {
                &[Method::GET]
            }
            (_, Some(id)) if !id.contains('/') => &[Method::GET],
            _ => {
                let message = format!("path {path} was not found");
                return Err(Refused { status: 404, code: 404, message });
            }
        };
        if !methods.contains(request.method()) {
            let allowed: Vec<&str> = methods.iter().map(Method::as_str).collect();
            let (method, allowed) = (request.method(), allowed.join(","));
            let message = format!("method {method} is not allowed, but [{allowed}] are");
            return Err(Refused { status: 405, code: 405, message });
        }
        match (path, id) {
            (ENTRIES, _) if request.method() == Method::POST => self.create(request),
            (ENTRIES, _) => self.by_index(query),
            ("/api/v1/log", _) => self.info(),
            ("/api/v1/log/publicKey", _) => {
                Ok(answer(StatusCode::OK, "application/x-pem-file", self.key.public_key().to_pem()))
            }
            ("/api/v1/log/proof", _) => self.proof(query),
            ("/ping", _) => Ok(answer(StatusCode::OK, "text/plain", ".")),
            (_, Some("retrieve")) => self.retrieve(request.body()),
            (_, Some(id)) => self.by_id(id),
            _ => self.search(request.body()),
        }
    }
}

impl Service for RekorV1 {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.route(&request).unwrap_or_else(|refused| refused.answer())
    }
}

/// An entry that is not there is a 404 without a word.
fn nothing() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn set_header(response: &mut Response<Bytes>, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}
