//! A token, kept while it is good.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use host::{BoxFuture, Clock};
use id_token::{Audience, Found, IdToken, Outcome, TokenSource};

use crate::check::Question;
use crate::error::Error;

/// A source that keeps its last token until shortly before the token's end and then asks again: a
/// rotated file is read anew, a job's endpoint requested anew.
#[derive(Clone)]
pub struct Cached {
    source: Arc<dyn TokenSource>,
    clock: Arc<dyn Clock>,
    kept: Arc<Mutex<Option<(Audience, Found)>>>,
    /// Held while the source is asked, so that tasks at the same time ask it once.
    asking: Arc<async_lock::Mutex<()>>,
}

impl Cached {
    /// Keeps the tokens of `source`, reading the time from `clock`.
    pub fn new(source: Arc<dyn TokenSource>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, kept: Arc::default(), asking: Arc::default() }
    }

    /// Starts with a token that was found already.
    pub(crate) fn holding(self, audience: &Audience, found: &Found) -> Self {
        self.keep(audience, found);
        self
    }

    /// A token for `audience` that lives for `min_ttl` from now on, if the source can give one; it
    /// may give less, but never an expired one or one for another audience.
    ///
    /// # Errors
    /// [`Error::Broken`] or [`Error::Absent`], as the source says.
    pub async fn token(&self, audience: &Audience, min_ttl: Duration) -> Result<IdToken, Error> {
        let provider = self.source.name().to_owned();
        match self.find(audience, min_ttl).await {
            Outcome::Found(found) => Ok(found.token),
            Outcome::Broken(broken) => Err(Error::Broken { provider, broken }),
            Outcome::Absent(absence) => Err(Error::Absent { provider, absence }),
            _ => Err(Error::Nothing { absent: Vec::new(), broken: Vec::new() }),
        }
    }

    fn kept(&self, audience: &Audience, min_ttl: Duration) -> Option<Found> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (kept_for, found) = kept.as_ref()?;
        let end = found.token.claims().expires_at()?;
        let left = end.duration_since(self.clock.now()).ok()?;
        (kept_for == audience && left > min_ttl.max(MARGIN)).then(|| found.clone())
    }

    fn keep(&self, audience: &Audience, found: &Found) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = Some((audience.clone(), found.clone()));
    }
}

impl TokenSource for Cached {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn find<'a>(&'a self, audience: &'a Audience, min_ttl: Duration) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if let Some(found) = self.kept(audience, min_ttl) {
                return Outcome::Found(found);
            }
            let _asking = self.asking.lock().await;
            if let Some(found) = self.kept(audience, min_ttl) {
                return Outcome::Found(found);
            }
            let (source, clock) = (self.source.as_ref(), self.clock.as_ref());
            let question = Question { source, clock, min_ttl, certain: true, sigstores: false };
            let outcome = question.ask(audience).await;
            if let Outcome::Found(found) = &outcome {
                self.keep(audience, found);
            }
            outcome
        })
    }
}

impl std::fmt::Debug for Cached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cached").field("source", &self.source.name()).finish_non_exhaustive()
    }
}

/// The request to the certificate authority takes a moment, and its clock may differ.
const MARGIN: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::Poll;
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;
    use crate::outcome::found;
    use crate::testing::{block_on, jwt};

    /// Hands out tokens of 300 s and counts them.
    #[derive(Default)]
    struct Counting {
        now: AtomicU64,
        asked: AtomicU64,
    }

    impl TokenSource for Counting {
        fn name(&self) -> &str {
            "counting"
        }

        fn find<'a>(&'a self, audience: &'a Audience, _: Duration) -> BoxFuture<'a, Outcome> {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let exp = self.now.load(Ordering::Relaxed) + 300;
            let claims = format!(r#"{{"aud":"{audience}","exp":{exp},"jti":"{number}"}}"#);
            let token = IdToken::parse(&jwt(&claims)).unwrap();
            let mut waited = false;
            Box::pin(std::future::poll_fn(move |context| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(found(token.clone(), "always"));
                }
                context.waker().wake_by_ref();
                Poll::Pending
            }))
        }
    }

    impl Clock for Counting {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(self.now.load(Ordering::Relaxed))
        }

        fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    #[test]
    fn a_token_is_kept_until_it_is_too_old_for_the_purpose() {
        let fake = Arc::new(Counting::default());
        let cached = Cached::new(fake.clone(), fake.clone());
        let audience = Audience::sigstore();
        let number = |min_ttl| {
            let token = block_on(cached.token(&audience, Duration::from_secs(min_ttl))).unwrap();
            token.claims().text("jti").unwrap().to_owned()
        };
        assert_eq!(number(0), "0");
        fake.now.store(200, Ordering::Relaxed);
        assert_eq!(number(60), "0", "100 s are left");
        assert_eq!(number(200), "1");
        fake.now.store(490, Ordering::Relaxed);
        assert_eq!(number(0), "2", "10 s are fewer than the margin");
    }

    #[test]
    fn tasks_that_ask_at_the_same_time_get_one_token() {
        let fake = Arc::new(Counting::default());
        let cached = Cached::new(fake.clone(), fake.clone());
        let (audience, other) = (Audience::sigstore(), cached.clone());
        let both = futures_util::future::join(
            cached.find(&audience, Duration::ZERO),
            other.find(&audience, Duration::ZERO),
        );
        assert!(matches!(block_on(both), (Outcome::Found(_), Outcome::Found(_))));
        assert_eq!(fake.asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_token_for_one_audience_does_not_serve_another() {
        let fake = Arc::new(Counting::default());
        let cached = Cached::new(fake.clone(), fake.clone());
        let other = Audience::new("other").unwrap();
        for audience in [&Audience::sigstore(), &other, &Audience::sigstore()] {
            let token = block_on(cached.token(audience, Duration::ZERO)).unwrap();
            assert_eq!(token.claims().audiences(), [audience.as_str()]);
        }
        assert_eq!(fake.asked.load(Ordering::Relaxed), 3);
    }
}
