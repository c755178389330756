//! What every token is looked at for before it counts as found.

use std::time::{Duration, SystemTime};

use futures_util::future::{Either, select};
use host::{Clock, escape_remote};
use id_token::{Absence, Audience, Broken, Claims, Found, Outcome, TokenSource};

use crate::audiences::Audiences;

/// One question to one source.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) source: &'a dyn TokenSource,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) min_ttl: Duration,
    /// Whether the source's stage is one whose failures end the search.
    pub(crate) certain: bool,
    /// Whether what the source holds is meant for the audience `sigstore`: for another audience
    /// the job may have a token of its own.
    pub(crate) sigstores: bool,
}

impl Question<'_> {
    /// Asks for a token for `audience`, and turns one for another audience or past its end into
    /// [`Outcome::Broken`]: Fulcio would call either "an error" without saying which.
    pub(crate) async fn ask(self, audience: &Audience) -> Outcome {
        let late = Box::pin(async { self.clock.sleep(DEADLINE).await });
        match select(self.source.find(audience, self.min_ttl), late).await {
            Either::Left((Outcome::Found(found), _)) => {
                let now = self.clock.now();
                let is_for_another = wrong_audience(found.token.claims(), audience).is_some()
                    && audience.as_str() != Audience::SIGSTORE;
                check(found, audience, now, self.certain && !(self.sigstores && is_for_another))
            }
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Outcome::Broken(
                Broken::new(
                    format!("`{}` was asked", self.source.name()),
                    format!("no answer within {} s", DEADLINE.as_secs()),
                )
                .with_certain(self.certain),
            ),
        }
    }

    /// The token with the audience that its issuer's entry in `audiences` says, and that audience.
    pub(crate) async fn ask_any(self, audiences: &Audiences) -> (Outcome, Audience) {
        let mut first = None;
        for (number, audience) in audiences.all().enumerate() {
            let outcome = self.ask(audience).await;
            match &outcome {
                Outcome::Found(found) => {
                    let claims = found.token.claims();
                    match audiences.expected(claims) {
                        Some(expected) if wrong_audience(claims, &expected).is_some() => {
                            return (self.ask(&expected).await, expected);
                        }
                        Some(expected) => return (outcome, expected),
                        None if number == 0 => return (outcome, audience.clone()),
                        // An issuer that is not listed gains nothing by another audience.
                        None => {}
                    }
                }
                Outcome::Broken(broken) if broken.depends_on_audience => {}
                _ if number == 0 => return (outcome, audience.clone()),
                _ => {}
            }
            first.get_or_insert_with(|| (outcome, audience.clone()));
        }
        // There is always a default.
        first.unwrap_or_else(|| (Outcome::Absent(Absence::new("")), Audience::sigstore()))
    }
}

fn check(found: Found, audience: &Audience, now: SystemTime, certain: bool) -> Outcome {
    let claims = found.token.claims();
    let wrong = wrong_audience(claims, audience);
    let (audience_is_wrong, old) = (wrong.is_some(), expired(claims, now));
    let hint = match (&wrong, &old) {
        (None, None) => return Outcome::Found(found),
        (Some(_), _) if claims.get("kubernetes.io").is_some() => {
            format!("mount a projected service account token with the audience `{audience}`")
        }
        (Some(_), _) => {
            format!("ask for a token with the audience `{audience}` where it is issued")
        }
        (None, Some(_)) => "get the token right before it is needed, or give it a longer life; if \
                            it is new, compare this machine's clock with the issuer's"
            .to_owned(),
    };
    // All that is wrong at once: correcting one thing must not lead to the next error.
    let reason = [wrong, old].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let broken = Broken::new(found.evidence, reason).with_hint(hint).with_certain(certain);
    Outcome::Broken(if audience_is_wrong { broken.depending_on_audience() } else { broken })
}

/// `aud` may be a list: what counts is that ours is in it.
pub(crate) fn wrong_audience(claims: &Claims, audience: &Audience) -> Option<String> {
    let found = claims.audiences();
    if found.contains(&audience.as_str()) {
        return None;
    }
    let found = match found.as_slice() {
        [] => "none".to_owned(),
        many => many
            .iter()
            .take(SHOWN_AUDIENCES)
            .map(|one| format!("`{}`", escape_remote(one)))
            .collect::<Vec<_>>()
            .join(", "),
    };
    Some(format!("expected a token for the audience `{audience}`, found {found}"))
}

/// Fulcio allows no leeway either.
fn expired(claims: &Claims, now: SystemTime) -> Option<String> {
    let end = claims.expires_at()?;
    let ago = now.duration_since(end).ok()?;
    let mut reason = format!("the token expired {} s ago", ago.as_secs());
    if let Some(life) = claims.issued_at().and_then(|start| end.duration_since(start).ok()) {
        reason.push_str(&format!(", after a life of {} s", life.as_secs()));
    }
    Some(reason)
}

/// More than any source of ours takes; it bounds those of others.
const DEADLINE: Duration = Duration::from_secs(150);
const SHOWN_AUDIENCES: usize = 5;

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use id_token::IdToken;

    use super::*;

    fn checked(claims: &str, now: u64) -> Outcome {
        let token = IdToken::parse(&crate::testing::jwt(claims)).unwrap();
        let found = Found::new(token, "E");
        check(found, &Audience::sigstore(), UNIX_EPOCH + Duration::from_secs(now), true)
    }

    fn reason(outcome: Outcome) -> String {
        match outcome {
            Outcome::Broken(broken) => {
                assert!(broken.certain && broken.hint.is_some());
                broken.reason
            }
            other => panic!("expected Broken, found {other:?}"),
        }
    }

    #[test]
    fn a_list_that_contains_the_audience_will_do() {
        let claims = r#"{"aud":["other","sigstore"],"exp":100}"#;
        assert!(matches!(checked(claims, 99), Outcome::Found(_)));
    }

    #[test]
    fn a_token_for_another_audience_names_both() {
        let list = reason(checked(r#"{"aud":["https://a","b"],"exp":100}"#, 0));
        assert_eq!(list, "expected a token for the audience `sigstore`, found `https://a`, `b`");
        let none = reason(checked(r#"{"exp":100}"#, 0));
        assert_eq!(none, "expected a token for the audience `sigstore`, found none");
        let part = reason(checked(r#"{"aud":"sigstorex"}"#, 0));
        assert!(part.ends_with("found `sigstorex`"), "{part}");
    }

    #[test]
    fn a_pods_token_for_its_api_server_is_told_what_to_mount() {
        let claims = r#"{"aud":["https://kubernetes.default.svc"],"kubernetes.io":{}}"#;
        let Outcome::Broken(broken) = checked(claims, 0) else { panic!() };
        assert!(broken.hint.unwrap().contains("mount a projected"));
    }

    #[test]
    fn a_token_past_its_end_says_since_when() {
        let text = reason(checked(r#"{"aud":"sigstore","iat":100,"exp":400}"#, 442));
        assert_eq!(text, "the token expired 42 s ago, after a life of 300 s");
    }

    #[test]
    fn a_token_for_another_audience_that_is_also_expired_is_told_both() {
        let text = reason(checked(r#"{"aud":"other","exp":400}"#, 442));
        assert!(text.contains("found `other`; the token expired 42 s ago"), "{text}");
    }

    #[test]
    fn a_token_with_little_life_left_or_without_an_end_is_not_ours_to_refuse() {
        assert!(matches!(checked(r#"{"aud":"sigstore","exp":400}"#, 399), Outcome::Found(_)));
        assert!(matches!(checked(r#"{"aud":"sigstore"}"#, 399), Outcome::Found(_)));
    }
}
