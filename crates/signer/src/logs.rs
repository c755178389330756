//! Whether the trusted root knows the logs in use: an entry in another log would prove nothing, and
//! it could not be taken back.

use std::time::SystemTime;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use host::CallPolicy;
use http::{Request, StatusCode};
use keys::PublicKey;
use rekor_client::ApiVersion;
use tlog::{Note, NoteKey};
use url::Url;

use crate::error::Error;
use crate::services::{Log, Signer};

impl Signer {
    /// Asks the services now for what they publish: the issuers that the certificate authority accepts,
    /// and the keys of logs that are not known by their URL. Nothing waits for that later.
    pub async fn ask_ahead(&self) {
        _ = join(self.authority(), check(self, self.clock.now())).await;
    }
}

/// Refuses a log that the trusted root does not know. A log is known by its URL or, where it is
/// reached by another one, by its key, for which it is asked. A log that gives no usable answer is
/// not refused here.
pub(crate) async fn check(signer: &Signer, now: SystemTime) -> Result<(), Error> {
    let logs = &signer.services.logs;
    let ask = || join_all(logs.iter().map(|log| is_known(log, signer, now)));
    let known = signer.known_logs.get_or_init(ask).await;
    match logs.iter().zip(known).find(|(_, is_known)| !**is_known) {
        None => Ok(()),
        Some((log, _)) => {
            let reason = format!("the trusted root does not know the transparency log {}", log.url);
            Err(Error::Untrusted(reason.into()))
        }
    }
}

pub(crate) async fn is_known(log: &Log, signer: &Signer, now: SystemTime) -> bool {
    is_known_by_url(log, signer, now) || is_known_by_key(log, signer, now).await != Some(false)
}

fn is_known_by_url(log: &Log, signer: &Signer, now: SystemTime) -> bool {
    let place = |url: &Url| {
        let path = url.path().trim_end_matches('/').to_owned();
        (url.host_str().map(str::to_owned), url.port_or_known_default(), path)
    };
    known(signer, now).any(|known| {
        Url::parse(known.base_url()).is_ok_and(|known| place(&known) == place(&log.url))
    })
}

async fn is_known_by_key(log: &Log, signer: &Signer, now: SystemTime) -> Option<bool> {
    let (path, is_v1) = match log.version {
        ApiVersion::V1 => ("api/v1/log/publicKey", true),
        _ => ("api/v2/checkpoint", false),
    };
    let url = format!("{}/{path}", log.url.as_str().trim_end_matches('/'));
    let request = Request::get(&url).body(Bytes::new()).ok()?;
    let answer = signer.http.send(request, &CallPolicy::new().with_body_cap(ANSWER_CAP)).await;
    let answer = answer.ok().filter(|answer| answer.status() == StatusCode::OK)?;
    let text = std::str::from_utf8(answer.body()).ok()?;
    if is_v1 {
        let id = PublicKey::from_pem(text).ok()?.id();
        return Some(known(signer, now).any(|known| known.key().id() == id));
    }
    let note = Note::parse(text).ok()?;
    Some(known(signer, now).any(|known| {
        let key = known.host_name().map(|name| NoteKey::new(name, known.key().clone()));
        matches!(key, Some(Ok(key)) if key.verify(&note).is_ok())
    }))
}

fn known(signer: &Signer, now: SystemTime) -> impl Iterator<Item = &trust_root::Log> {
    signer.root.tlogs().iter().filter(move |log| log.valid_for().contains(now))
}

/// The largest answer with a key or a checkpoint, in bytes.
const ANSWER_CAP: usize = 64 << 10;
