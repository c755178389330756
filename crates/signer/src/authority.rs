//! What the certificate authority publishes about itself.

use std::sync::Arc;
use std::time::SystemTime;

use fulcio_client::{Configuration, Fulcio};
use host::{Clock, Transport};
use url::Url;

use crate::dated::Dated;

/// Which issuers the certificate authority accepts, and what time it is there.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    /// `None` for an instance that does not publish it: the list is only an early warning.
    pub(crate) configuration: Option<Configuration>,
    /// The `Date` of its answer, and the time of this machine at that moment.
    date: Option<(SystemTime, SystemTime)>,
}

impl Authority {
    pub(crate) async fn ask(url: &Url, http: &Arc<dyn Transport>, clock: &dyn Clock) -> Self {
        let http = Arc::new(Dated::new(Arc::clone(http)));
        let fulcio = Fulcio::new(url.clone(), Arc::clone(&http) as Arc<dyn Transport>);
        let answer = fulcio.configuration().await;
        if let Err(error) = &answer {
            tracing::debug!(%error, "the certificate authority does not tell its issuers");
        }
        let date = http.date().map(|date| (date, clock.now()));
        Self { configuration: answer.ok(), date }
    }

    /// The time there when it is `now` on this machine, whose clock may be wrong.
    pub(crate) fn time(&self, now: SystemTime) -> SystemTime {
        let Some((there, here)) = self.date else { return now };
        let time = match there.duration_since(here) {
            Ok(behind) => now.checked_add(behind),
            Err(ahead) => now.checked_sub(ahead.duration()),
        };
        time.unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_time_of_the_authority_goes_on_as_the_clock_of_this_machine_does() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let ask = |date| Authority { configuration: None, date }.time(at(1_010));
        assert_eq!(ask(Some((at(700), at(1_000)))), at(710));
        assert_eq!(ask(Some((at(1_300), at(1_000)))), at(1_310));
        assert_eq!(ask(None), at(1_010));
    }
}
