//! Submitting a signature to the logs.

use std::sync::Arc;
use std::time::SystemTime;

use bundle::LogEntry;
use futures_util::future::join_all;
use host::Transport;
use rekor_client::{Entry, Rekor};

use crate::error::{Error, is_outage_of_log, is_unanswered};
use crate::event::Event;
use crate::logs;
use crate::record::LogRecord;
use crate::services::{Log, Signer};

type Logged = (LogRecord, LogEntry);

/// Submits `entry` to every log in use, and waits for those that are down, `until` the entry would be
/// of no use.
pub(crate) async fn log(
    entry: &Entry<'_>,
    signer: &Signer,
    until: Option<SystemTime>,
) -> Result<Vec<Logged>, Error> {
    let patient = signer.patient(until);
    let results = match signer.services.logs.as_slice() {
        [only] => vec![log_to_one(only, entry, signer, patient).await],
        all => {
            let submit = |log| submit(log, entry, signer, Arc::clone(&patient));
            join_all(all.iter().map(submit)).await
        }
    };
    let (mut done, mut failure) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(logged) => done.push(logged),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        None => Ok(done),
        Some(Failure { url, source }) => {
            let logged = done.into_iter().map(|(record, _)| record).collect();
            Err(Error::Log { url, logged, source: Box::new(source) })
        }
    }
}

struct Failure {
    url: String,
    source: rekor_client::Error,
}

/// Submits to `log` or, when it is down, to one that stands in for it.
async fn log_to_one(
    log: &Log,
    entry: &Entry<'_>,
    signer: &Signer,
    patient: Arc<dyn Transport>,
) -> Result<Logged, Failure> {
    let spare = &signer.services.spare_logs;
    if !spare.is_empty() {
        let failure = match submit(log, entry, signer, Arc::clone(&signer.http)).await {
            Err(failure) if is_outage_of_log(&failure.source) => failure,
            result => return result,
        };
        for spare in spare {
            if !logs::is_known(spare, signer, signer.clock.now()).await {
                continue;
            }
            let http = Arc::clone(&signer.http);
            if let Ok(logged) = submit(spare, entry, signer, http).await {
                let maybe = match is_unanswered(&failure.source) {
                    true => ", which may have taken it too",
                    false => "",
                };
                let (down, url) = (&log.url, &spare.url);
                let text = format!("the signature is logged in {url} in place of {down}{maybe}");
                signer.tell(&Event::Warning { text: &text });
                return Ok(logged);
            }
        }
    }
    submit(log, entry, signer, patient).await
}

async fn submit(
    log: &Log,
    entry: &Entry<'_>,
    signer: &Signer,
    http: Arc<dyn Transport>,
) -> Result<Logged, Failure> {
    let url = log.url.clone();
    signer.tell(&Event::Logging { url: url.as_str() });
    let rekor = Rekor::new(url.clone(), log.version, http);
    match rekor.submit(entry).await {
        Ok(logged) => Ok((LogRecord { url, index: logged.log_index }, logged)),
        Err(source) => Err(Failure { url: url.into(), source }),
    }
}
