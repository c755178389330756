//! A TUF repository that serves the trust files as targets, and can be made to lie.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use keys::Digest;
use serde_json::{Map, Value, json};

use crate::certificate::unix_seconds;
use crate::key::{KeyKind, ServiceKey};
use crate::service::{Service, answer, not_found};
use crate::{Error, Fault, Faults};

/// A key of a TUF repository, under the id by which metadata calls it.
#[derive(Clone, Debug)]
pub struct TufKey {
    id: String,
    key: Arc<ServiceKey>,
}

impl TufKey {
    /// A key under its usual id, the hash of its description.
    pub fn new(key: ServiceKey) -> Self {
        let id = Digest::sha256(&canonical(&description(&key))).to_hex();
        Self { id, key: Arc::new(key) }
    }

    /// A new P-256 key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        ServiceKey::generate(KeyKind::EcdsaP256).map(Self::new)
    }

    /// The same key under another id.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Self {
        Self { id: id.to_owned(), key: Arc::clone(&self.key) }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// As root metadata describes it.
    pub fn description(&self) -> Value {
        description(&self.key)
    }
}

fn description(key: &ServiceKey) -> Value {
    let (keytype, scheme) = match key.kind() {
        KeyKind::EcdsaP256 => ("ecdsa", "ecdsa-sha2-nistp256"),
        KeyKind::EcdsaP384 => ("ecdsa", "ecdsa-sha2-nistp384"),
        KeyKind::Ed25519 => ("ed25519", "ed25519"),
    };
    let public = match key.public_key().ed25519_bytes() {
        Some(raw) => raw.iter().map(|byte| format!("{byte:02x}")).collect(),
        None => key.public_key().to_pem(),
    };
    json!({ "keytype": keytype, "scheme": scheme, "keyval": { "public": public } })
}

/// Who may sign the metadata of a repository.
#[derive(Clone, Debug)]
pub struct TufKeys {
    /// Who sign the root and the targets.
    pub root: Vec<TufKey>,
    /// How many of them must.
    pub threshold: usize,
    /// Who signs the snapshot and the timestamp.
    pub online: TufKey,
}

impl TufKeys {
    /// New keys: `count` for the root, of which `threshold` must sign, and one online.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate(count: usize, threshold: usize) -> Result<Self, Error> {
        Ok(Self {
            root: (0..count).map(|_| TufKey::generate()).collect::<Result<_, _>>()?,
            threshold,
            online: TufKey::generate()?,
        })
    }
}

/// The files of a TUF repository with consistent snapshots, all metadata at the top and the
/// targets below `targets/`.
#[derive(Clone, Debug)]
pub struct TufRepository {
    keys: TufKeys,
    root_version: u64,
    version: u64,
    targets: BTreeMap<String, Bytes>,
    files: BTreeMap<String, Bytes>,
}

impl TufRepository {
    /// How long the root and the targets are valid.
    pub const LONG: Duration = Duration::from_secs(3650 * 24 * 3600);
    /// How long the snapshot and the timestamp are.
    pub const SHORT: Duration = Duration::from_secs(7 * 24 * 3600);

    /// A repository with `1.root.json` of the time `now`, which lists nothing yet.
    ///
    /// # Errors
    /// The system has no randomness, or `now` is out of range.
    pub fn new(keys: TufKeys, now: SystemTime) -> Result<Self, Error> {
        let mut repository = Self {
            keys,
            root_version: 1,
            version: 0,
            targets: BTreeMap::new(),
            files: BTreeMap::new(),
        };
        let root = repository.root(now)?;
        repository.put_root(&root, &repository.keys.root.clone())?;
        Ok(repository)
    }

    /// Makes `bytes` the target `name`, from the next [`TufRepository::publish`] on.
    pub fn set_target(&mut self, name: &str, bytes: impl Into<Bytes>) {
        self.targets.insert(name.to_owned(), bytes.into());
    }

    /// Signs targets, snapshot and timestamp of the next version.
    ///
    /// # Errors
    /// The system has no randomness, or `now` is out of range.
    pub fn publish(&mut self, now: SystemTime) -> Result<(), Error> {
        self.publish_as(self.version.saturating_add(1), now)
    }

    /// The same with a version of one's choice.
    ///
    /// # Errors
    /// As [`TufRepository::publish`].
    pub fn publish_as(&mut self, version: u64, now: SystemTime) -> Result<(), Error> {
        self.version = version;
        let mut listed = Map::new();
        for (name, bytes) in self.targets.clone() {
            let hash = Digest::sha256(&bytes).to_hex();
            let entry = json!({ "length": bytes.len(), "hashes": { "sha256": hash } });
            listed.insert(name.clone(), entry);
            self.put(&format!("targets/{hash}.{name}"), bytes);
        }
        let mut targets = self.role("targets", version, now, Self::LONG)?;
        extend(&mut targets, &json!({ "targets": listed }));
        let mut snapshot = self.role("snapshot", version, now, Self::SHORT)?;
        extend(&mut snapshot, &json!({ "meta": { "targets.json": { "version": version } } }));
        let mut timestamp = self.role("timestamp", version, now, Self::SHORT)?;
        extend(&mut timestamp, &json!({ "meta": { "snapshot.json": { "version": version } } }));
        self.put_role(&targets)?;
        self.put_role(&snapshot)?;
        self.put_role(&timestamp)
    }

    /// The next root, which names `keys` and is signed by them and those before.
    ///
    /// # Errors
    /// As [`TufRepository::publish`].
    pub fn rotate(&mut self, keys: TufKeys, now: SystemTime) -> Result<(), Error> {
        let mut signers = self.keys.root.clone();
        signers.extend(keys.root.iter().cloned());
        self.keys = keys;
        self.root_version = self.root_version.saturating_add(1);
        let root = self.root(now)?;
        self.put_root(&root, &signers)
    }

    /// The signed part of root metadata of the present version and keys.
    ///
    /// # Errors
    /// `now` is out of range.
    pub fn root(&self, now: SystemTime) -> Result<Value, Error> {
        let TufKeys { root, threshold, online } = &self.keys;
        let described: Map<String, Value> =
            root.iter().chain([online]).map(|key| (key.id.clone(), key.description())).collect();
        let ids: Vec<&str> = root.iter().map(TufKey::id).collect();
        let mut metadata = self.role("root", self.root_version, now, Self::LONG)?;
        extend(
            &mut metadata,
            &json!({
                "consistent_snapshot": true,
                "keys": described,
                "roles": {
                    "root": { "keyids": ids, "threshold": threshold },
                    "targets": { "keyids": ids, "threshold": threshold },
                    "snapshot": { "keyids": [online.id], "threshold": 1 },
                    "timestamp": { "keyids": [online.id], "threshold": 1 },
                },
            }),
        );
        Ok(metadata)
    }

    /// The signed part of the file at `path`, to be changed and signed again.
    pub fn signed(&self, path: &str) -> Option<Value> {
        let mut file: Value = serde_json::from_slice(self.files.get(path)?).ok()?;
        file.get_mut("signed").map(Value::take)
    }

    /// Serves root metadata under the version it states, signed by `signers`.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn put_root(&mut self, signed: &Value, signers: &[TufKey]) -> Result<(), Error> {
        let path = format!("{}.root.json", signed["version"]);
        let bytes = sign_tuf(signed, signers)?;
        self.put(&path, bytes);
        Ok(())
    }

    /// Serves other metadata under the role and version it states, signed with the role's keys.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn put_role(&mut self, signed: &Value) -> Result<(), Error> {
        let role = signed["_type"].as_str().unwrap_or_default();
        let path = match role {
            "timestamp" => "timestamp.json".to_owned(),
            _ => format!("{}.{role}.json", signed["version"]),
        };
        let signers = match role {
            "targets" => self.keys.root.clone(),
            _ => vec![self.keys.online.clone()],
        };
        let bytes = sign_tuf(signed, &signers)?;
        self.put(&path, bytes);
        Ok(())
    }

    /// Who signs.
    pub fn keys(&self) -> &TufKeys {
        &self.keys
    }

    /// The file at `path`, as `1.root.json`.
    pub fn file(&self, path: &str) -> Option<&Bytes> {
        self.files.get(path)
    }

    /// The paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Serves `bytes` at `path`, whatever they are.
    pub fn put(&mut self, path: &str, bytes: impl Into<Bytes>) {
        self.files.insert(path.to_owned(), bytes.into());
    }

    /// Serves nothing at `path` any more.
    pub fn remove(&mut self, path: &str) {
        self.files.remove(path);
    }

    fn role(
        &self,
        role: &str,
        version: u64,
        now: SystemTime,
        life: Duration,
    ) -> Result<Value, Error> {
        let expires = now.checked_add(life).map(tuf_time).transpose()?;
        Ok(json!({
            "_type": role,
            "spec_version": "1.0.31",
            "version": version,
            "expires": expires,
        }))
    }
}

/// The time of metadata's expiry as TUF writes it, to the second.
///
/// # Errors
/// The time is out of range.
pub fn tuf_time(at: SystemTime) -> Result<String, Error> {
    let at = jiff::Timestamp::try_from(at).map_err(Error::make("a time"))?;
    Ok(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Metadata as it is served: `signed` with the signatures of `signers`.
///
/// # Errors
/// The system has no randomness.
pub fn sign_tuf(signed: &Value, signers: &[TufKey]) -> Result<Vec<u8>, Error> {
    let message = canonical(signed);
    let mut signatures = Vec::new();
    for signer in signers {
        let signature = signer.key.sign_message(&message)?;
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        signatures.push(json!({ "keyid": signer.id, "sig": hex }));
    }
    let document = json!({ "signatures": signatures, "signed": signed });
    Ok(format!("{document:#}\n").into_bytes())
}

/// Canonical JSON as TUF signs it: members in order, no white space, and nothing escaped but
/// quotation marks and backslashes.
fn canonical(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_canonical(value, &mut bytes);
    bytes
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<&String, &Value> = members.iter().collect();
            out.push(b'{');
            for (number, (name, member)) in sorted.into_iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write_canonical(member, out);
            }
            out.push(b'}');
        }
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn extend(metadata: &mut Value, members: &Value) {
    if let (Some(metadata), Some(members)) = (metadata.as_object_mut(), members.as_object()) {
        metadata.extend(members.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

/// A repository as a service: `GET /1.root.json` and so on.
pub struct Tuf {
    repository: Mutex<TufRepository>,
    faults: Faults,
}

impl Tuf {
    /// Serves `repository`.
    pub fn new(repository: TufRepository) -> Self {
        Self { repository: Mutex::new(repository), faults: Faults::default() }
    }

    /// A key for such a repository.
    pub(crate) fn generate_key() -> Result<ServiceKey, Error> {
        ServiceKey::generate(KeyKind::EcdsaP256)
    }

    /// Serves `documents` by name, in a repository that is as old as `created`. Each start has
    /// higher versions than those before.
    pub(crate) fn of_documents(
        keys: TufKeys,
        documents: &[(&str, Value)],
        (created, now): (SystemTime, SystemTime),
        faults: &Faults,
    ) -> Result<Self, Error> {
        let mut repository = TufRepository::new(keys, created)?;
        for (name, document) in documents {
            repository.set_target(name, format!("{document:#}\n"));
        }
        let age = unix_seconds(now).saturating_sub(unix_seconds(created));
        let signed_at = match faults.contains(&Fault::TufExpired) {
            true => now.checked_sub(TufRepository::SHORT + HOUR).unwrap_or(now),
            false => now,
        };
        repository.publish_as(age.saturating_add(1), signed_at)?;
        if faults.contains(&Fault::TufTampered) {
            for path in repository.paths().map(str::to_owned).collect::<Vec<_>>() {
                if let Some(file) = repository.file(&path).filter(|_| path.starts_with("targets/"))
                {
                    let mut bytes = file.to_vec();
                    // The length stays, the hash does not.
                    if let Some(last) = bytes.last_mut() {
                        *last = b' ';
                    }
                    repository.put(&path, bytes);
                }
            }
        }
        Ok(Self { repository: Mutex::new(repository), faults: faults.clone() })
    }

    /// Changes what is served from now on.
    pub fn edit<T>(&self, change: impl FnOnce(&mut TufRepository) -> T) -> T {
        change(&mut self.repository.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The first root, from which clients begin.
    pub fn first_root(&self) -> Bytes {
        self.edit(|repository| repository.file("1.root.json").cloned().unwrap_or_default())
    }
}

impl Service for Tuf {
    fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        if self.faults.contains(&Fault::TufUnavailable) {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "injected fault\n");
        }
        if request.method() != Method::GET {
            return answer(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n");
        }
        let path = request.uri().path().trim_start_matches('/');
        match self.edit(|repository| repository.file(path).cloned()) {
            Some(bytes) => answer(StatusCode::OK, "application/json", bytes),
            None => not_found(),
        }
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_json_escapes_nothing_but_quotes_and_backslashes() {
        let value = json!({ "b": "line\nbreak \"é\" \\", "a": [1, true, null, {}] });
        let expected = "{\"a\":[1,true,null,{}],\"b\":\"line\nbreak \\\"é\\\" \\\\\"}";
        assert_eq!(canonical(&value), expected.as_bytes());
    }

    #[test]
    fn targets_are_served_under_their_hash_and_metadata_under_its_version() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let mut repository = TufRepository::new(TufKeys::generate(1, 1).unwrap(), now).unwrap();
        repository.set_target("a.json", "{}");
        repository.publish(now).unwrap();
        repository.publish(now).unwrap();
        let hash = Digest::sha256(b"{}").to_hex();
        let expected = [
            "1.root.json",
            "1.snapshot.json",
            "1.targets.json",
            "2.snapshot.json",
            "2.targets.json",
            &format!("targets/{hash}.a.json"),
            "timestamp.json",
        ];
        assert_eq!(repository.paths().collect::<Vec<_>>(), expected);
        assert_eq!(repository.signed("timestamp.json").unwrap()["version"], 2);
    }
}
