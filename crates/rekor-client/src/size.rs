//! How large a request a log takes.
//!
//! A log stands behind servers with limits of their own, which nothing publishes and which answer as
//! they like: 413, 502 with a page, or a connection that is closed. So the log is sent a request of
//! the size in question that asks for nothing and logs nothing.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{iter, repeat};
use host::{CallPolicy, Parts};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, StatusCode};

use crate::client::Rekor;
use crate::error::Error;
use crate::version::ApiVersion;

impl Rekor {
    /// Refuses an entry whose request would have `size` bytes, if the log does not take requests that
    /// large. Nothing is logged. A log of version 2 takes digests only, and small requests are taken
    /// by every log: for these nothing is sent.
    ///
    /// # Errors
    /// [`Error::TooLarge`]. A log that refuses small requests as well, or cannot be reached, is not
    /// refused here.
    pub async fn check_size(&self, size: usize) -> Result<(), Error> {
        if self.version() != ApiVersion::V1 || size <= SMALL {
            return Ok(());
        }
        let Some(answer) = self.refuses(size).await else { return Ok(()) };
        let mut takes = size / 2;
        while takes >= SMALL / 2 {
            if self.refuses(takes).await.is_none() {
                let url = self.site().to_string();
                return Err(Error::TooLarge { url, size, takes, answer });
            }
            takes /= 2;
        }
        Ok(())
    }

    /// How the log refuses a request of `size` bytes; `None` if it reads it.
    async fn refuses(&self, size: usize) -> Option<String> {
        let mut refusal = None;
        for _ in 0..LOOKS {
            refusal = self.probe(size).await;
            // Once may be chance.
            if refusal.as_ref().is_none_or(|(_, is_certain)| *is_certain) {
                break;
            }
        }
        refusal.map(|(answer, _)| answer)
    }

    /// The refusal, and whether it is about the size without doubt.
    async fn probe(&self, size: usize) -> Option<(String, bool)> {
        let path = ["api", "v1", "log", "entries", "retrieve"];
        let url = self.at(&path).ok()?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(url.as_str())
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_LENGTH, size)
            .body(padding(size))
            .ok()?;
        let answer = match self.http().send_parts(request, &CallPolicy::new()).await {
            Ok(answer) => answer,
            Err(error) => return Some((host::with_causes(&error), false)),
        };
        let (head, mut parts) = answer.into_parts();
        let mut text = Vec::new();
        while let Some(Ok(part)) = parts.next().await {
            text.extend_from_slice(&part);
            if text.len() > ANSWER {
                break;
            }
        }
        let says_so = String::from_utf8_lossy(&text).to_ascii_lowercase().contains("too large");
        let is_certain = head.status == StatusCode::PAYLOAD_TOO_LARGE || says_so;
        let refused = head.status.is_server_error()
            || [StatusCode::FORBIDDEN, StatusCode::REQUEST_TIMEOUT].contains(&head.status);
        let shown = format!("it answers {}", head.status);
        (is_certain || refused).then_some((shown, is_certain))
    }
}

/// A query for no entries that has `size` bytes, made while it is sent.
fn padding(size: usize) -> Parts {
    const HEAD: &[u8] = b"{\"entryUUIDs\":[],\"padding\":\"";
    const TAIL: &[u8] = b"\"}";
    const PART: usize = 64 << 10;

    let fill = size.saturating_sub(HEAD.len() + TAIL.len());
    let part = Bytes::from(vec![b'0'; PART]);
    let rest = part.slice(..fill % PART);
    let whole = repeat(part).take(fill / PART);
    let parts = iter([Bytes::from_static(HEAD), rest]).chain(whole);
    Box::pin(parts.chain(iter([Bytes::from_static(TAIL)])).map(Ok))
}

/// Every log takes a request of this size, in bytes.
const SMALL: usize = 1 << 20;
const LOOKS: u32 = 2;
/// What is read of an answer.
const ANSWER: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use futures_util::future::ready;

    use super::*;

    #[test]
    fn a_padded_query_is_json_of_the_size_in_question() {
        for size in [SMALL + 1, SMALL + 65_536, 3 * SMALL + 77] {
            let parts = padding(size).map(Result::unwrap);
            let whole = parts.fold(Vec::new(), |mut all, part| {
                all.extend_from_slice(&part);
                ready(all)
            });
            let whole = futures_util::FutureExt::now_or_never(whole).unwrap();
            assert_eq!(whole.len(), size);
            assert!(serde_json::from_slice::<serde_json::Value>(&whole).is_ok());
        }
    }
}
