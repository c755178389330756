//! The device flow (RFC 8628).

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::json;

use super::pages;
use super::progress::{
    Challenge, Device, Form, LOGIN_EMAIL, LoginEndpoint, LoginPage, refuse, trim,
};
use crate::issuer::random;
use crate::service::json_answer;
use crate::{Error, Fault};

impl LoginEndpoint<'_> {
    /// `POST device/code`. Like Dex, it looks at the client only later.
    pub(super) fn device_code(&self, form: &Form) -> Result<Response<Bytes>, Error> {
        let device_code = base16ct::lower::encode_string(&random::<16>()?);
        let letters: String = random::<8>()?
            .iter()
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect();
        let user_code = format!("{}-{}", &letters[..4], &letters[4..]);
        let expired = self.fault(Fault::DeviceExpired);
        let life = if expired { Duration::ZERO } else { LIFE };
        let direct = self.logins.page == LoginPage::Direct;
        let interval = if direct { SHORT_INTERVAL } else { INTERVAL };
        let device = Device {
            issuer: self.name.to_owned(),
            client: form.get("client_id").unwrap_or_default().to_owned(),
            user_code: user_code.clone(),
            challenge: Challenge::read(form),
            until: self.now.checked_add(life).unwrap_or(self.now),
            interval,
            asked: None,
            decision: None,
        };
        self.pending(|pending| {
            trim(&mut pending.devices);
            pending.devices.insert(device_code.clone(), device);
        });
        let url = format!("{}/device", self.issuer.url());
        Ok(json_answer(
            StatusCode::OK,
            &json!({
                "device_code": device_code,
                "user_code": user_code,
                "verification_uri": url,
                "verification_uri_complete": format!("{url}?user_code={user_code}"),
                "expires_in": LIFE.as_secs(),
                "interval": interval.as_secs(),
            }),
        ))
    }

    /// `GET device`: the page where the user enters the code, filled in from the query.
    #[expect(clippy::unnecessary_wraps, reason = "as the other pages")]
    pub(super) fn device_page(&self, query: &Form) -> Result<Response<Bytes>, Error> {
        let action = format!("{}/device", self.issuer.url());
        let code = query.get("user_code").unwrap_or_default();
        let itself = self.logins.page != LoginPage::Form && !code.is_empty();
        Ok(pages::login(&action, "user_code", code, itself))
    }

    /// `POST device`: the user has decided.
    #[expect(clippy::unnecessary_wraps, reason = "as the other pages")]
    pub(super) fn device_submit(&self, form: &Form) -> Result<Response<Bytes>, Error> {
        let code = form.get("user_code").unwrap_or_default().trim().to_uppercase();
        let email = form.get("email").filter(|email| !email.is_empty()).unwrap_or(LOGIN_EMAIL);
        let refused = form.get("approval") == Some("reject") || self.fault(Fault::LoginDenied);
        let found = self.pending(|pending| {
            let mut devices = pending.devices.values_mut();
            let device = devices.find(|device| {
                device.user_code == code && device.issuer == self.name && device.until > self.now
            })?;
            device.decision = Some(if refused { Err(()) } else { Ok(email.to_owned()) });
            Some(())
        });
        Ok(match found {
            Some(()) => pages::done(),
            None => pages::problem("The user code is invalid or has expired."),
        })
    }

    /// `POST token` of a device.
    pub(super) fn poll(&self, form: &Form, client: &str) -> Result<Response<Bytes>, Error> {
        let code = form.get("device_code").unwrap_or_default();
        let decided = self.pending(|pending| {
            let device = pending
                .devices
                .get_mut(code)
                .filter(|device| device.issuer == self.name && device.client == client);
            let Some(device) = device else {
                return Err(("invalid_request", "Invalid Device code."));
            };
            if device.until <= self.now {
                return Err(("expired_token", ""));
            }
            let last = device.asked.replace(self.now);
            let since = last.and_then(|last| self.now.duration_since(last).ok());
            if since.is_some_and(|since| since.saturating_add(SLACK) < device.interval) {
                return Err(("slow_down", ""));
            }
            if let Some(challenge) = &device.challenge
                && !challenge.fits(form.get("code_verifier").unwrap_or_default())
            {
                return Err(("invalid_grant", "Invalid code_verifier."));
            }
            if self.logins.page == LoginPage::Direct && last.is_some() && device.decision.is_none()
            {
                let refused = self.fault(Fault::LoginDenied);
                device.decision = Some(if refused { Err(()) } else { Ok(LOGIN_EMAIL.to_owned()) });
            }
            match device.decision.clone() {
                None => Err(("authorization_pending", "")),
                Some(Err(())) => Err(("access_denied", "")),
                Some(Ok(email)) => {
                    pending.devices.remove(code);
                    Ok(email)
                }
            }
        });
        match decided {
            Ok(email) => self.tokens(client, &email, None, code),
            Err((error, description)) => Ok(refuse(error, description)),
        }
    }
}

/// How long the user has.
const LIFE: Duration = Duration::from_secs(300);

/// Dex's interval between questions.
const INTERVAL: Duration = Duration::from_secs(5);

/// For logins without a user: there is no reason to wait.
const SHORT_INTERVAL: Duration = Duration::from_secs(1);

/// What timers may be off.
const SLACK: Duration = Duration::from_millis(200);

/// As in Dex's codes: no vowels, so no words.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";
