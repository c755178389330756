//! Identity tokens.

use id_token::IdToken;

use super::told;

/// A token: kept as it is, and not shown by what is printed of it.
pub fn id_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let token = match IdToken::parse(text) {
        Ok(token) => token,
        Err(error) => {
            told(&error);
            assert_hidden(text, &format!("{error} {error:?}"));
            return;
        }
    };
    assert_eq!(token.reveal(), text.trim());
    assert_eq!(token.reveal().split('.').count(), 3);
    assert_hidden(text, &format!("{token:?}"));
    let claims = token.claims();
    let _ = (token.algorithm(), claims.issuer(), claims.subject(), claims.email());
    let _ = (claims.audiences(), claims.expires_at(), claims.not_before(), claims.issued_at());
    for name in claims.as_object().keys() {
        assert!(claims.get(name).is_some());
    }
}

/// The signature is what makes it a secret.
fn assert_hidden(text: &str, shown: &str) {
    let signature = text.trim().rsplit('.').next().unwrap_or_default();
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let secret = signature.len() >= 20 && signature.bytes().all(base64);
    assert!(!secret || !shown.contains(signature), "{shown}");
}
