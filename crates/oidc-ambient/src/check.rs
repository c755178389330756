//! What every token is looked at for before it counts as found.

use std::time::{Duration, SystemTime};

use host::escape_remote;
use id_token::{Audience, Broken, Claims, Found, Outcome, TokenSource};

/// Asks `source`, and turns a token for another audience or past its end into
/// [`Outcome::Broken`]: Fulcio would call either "an error" without saying which. That is
/// `certain` where the source's place is.
pub(crate) async fn find(
    source: &dyn TokenSource,
    audience: &Audience,
    min_ttl: Duration,
    now: SystemTime,
    certain: bool,
) -> Outcome {
    match source.find(audience, min_ttl).await {
        Outcome::Found(found) => check(found, audience, now, certain),
        outcome => outcome,
    }
}

fn check(found: Found, audience: &Audience, now: SystemTime, certain: bool) -> Outcome {
    let claims = found.token.claims();
    let (reason, hint) = if let Some(reason) = wrong_audience(claims, audience) {
        let hint = if claims.get("kubernetes.io").is_some() {
            format!("mount a projected service account token with the audience `{audience}`")
        } else {
            format!("ask for a token with the audience `{audience}` where it is issued")
        };
        (reason, hint)
    } else if let Some(reason) = expired(claims, now) {
        let hint = "get the token right before it is needed, or give it a longer life; \
                    if it is new, compare this machine's clock with the issuer's";
        (reason, hint.to_owned())
    } else {
        return Outcome::Found(found);
    };
    Outcome::Broken(Broken::new(found.evidence, reason).with_hint(hint).with_certain(certain))
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
    fn a_token_with_little_life_left_or_without_an_end_is_not_ours_to_refuse() {
        assert!(matches!(checked(r#"{"aud":"sigstore","exp":400}"#, 399), Outcome::Found(_)));
        assert!(matches!(checked(r#"{"aud":"sigstore"}"#, 399), Outcome::Found(_)));
    }
}
