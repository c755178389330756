//! A machine whose clock is wrong: the sandbox's clock is another one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use host::{BoxFuture, Clock};
use http_client::SystemClock;
use sandbox::LoginPage;
use serde_json::json;

use harness::Setup;

/// A clock that is behind that of this machine.
struct SlowClock(Duration);

impl Clock for SlowClock {
    fn now(&self) -> SystemTime {
        SystemTime::now() - self.0
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        SystemClock.sleep(duration)
    }
}

/// A Sigstore for which the clock of this machine is `seconds` fast.
fn fast_by(seconds: u64) -> Setup {
    Setup::with(|config| {
        config.clock = Arc::new(SlowClock(Duration::from_secs(seconds)));
        config.login = LoginPage::Direct;
    })
}

#[test]
fn a_clock_that_is_six_minutes_fast_signs_with_a_token_of_five_minutes() {
    let setup = fast_by(6 * 60);
    let file = setup.write("a", "content");
    let signed = setup.job().arg("sign-blob").arg(&file).run().ends(0);
    signed.says(&["the clock of this machine is 36", "s ahead of that of"]);
    let report = setup.job().arg("identity").run().ends(0);
    assert!(report.stdout.contains("accepted  yes"), "{report:#?}");
    assert!(report.stdout.contains("for 4m"), "{report:#?}");
    setup.program().arg("verify-blob").arg(&file).args(setup.by_job()).run().ends(0);
}

#[test]
fn a_clock_that_is_a_minute_fast_still_logs_in() {
    let setup = fast_by(62);
    let file = setup.write("a", "content");
    let sign = setup.program().args(["sign-blob", "--fulcio-auth-flow", "device"]);
    let signed = sign.arg(&file).run().ends(0);
    signed.says(&["the clock of this machine is 6", "s ahead of that of"]);
}

#[test]
fn a_token_that_ended_is_refused_by_the_clock_of_the_service() {
    let setup = fast_by(6 * 60);
    let file = setup.write("a", "content");
    let ended = SystemTime::now() - Duration::from_secs(8 * 60);
    let ended = ended.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "email": "a@example.com", "email_verified": true, "exp": ended });
    let token = setup.sandbox.token("email", claims.as_object().unwrap()).unwrap();
    let token = setup.write("token", token);
    let sign = setup.program().arg("sign-blob").arg("--identity-token").arg(token).arg(&file);
    sign.run().ends(1).says(&["expired", "the clock of this machine is 36"]);
}
