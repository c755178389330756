use std::time::Duration;

use host::Patience;
use image_signing::{Error, ImageSigner, SignedImage};
use sandbox::{Fault, RekorVersion};
use signer::{Services, Signer};

use crate::lab::{Call, Lab, count, status};

const MINUTE: u64 = 60;

fn waiting(lab: &Lab, services: Services, seconds: u64) -> Signer {
    lab.signer(services).with_patience(Patience::new(Duration::from_secs(seconds)))
}

async fn sign(lab: &Lab, signer: Signer) -> Result<SignedImage, Error> {
    let image = lab.push("app").await;
    let session = lab.session_of(signer, "jane");
    let signer = ImageSigner::new(lab.registry.clone());
    let targets = signer.locate(&image).await.unwrap();
    let signed = signer.sign_and_attach(&targets[0], &session).await;
    lab.verifier("jane").verify(&image).await.map_or_else(|_| (), |_| assert!(signed.is_ok()));
    signed
}

fn is_entry(call: &Call) -> bool {
    call.method == "POST" && call.path.ends_with("/log/entries")
}

#[tokio::test(start_paused = true)]
async fn a_log_that_is_down_for_ninety_seconds_is_waited_for() {
    for log in [RekorVersion::V1, RekorVersion::V2] {
        let lab = Lab::new(|_| ());
        lab.rule(|call| (is_entry(call) && call.start.as_secs() < 90).then(|| status(502)));
        sign(&lab, waiting(&lab, lab.services(log), 5 * MINUTE)).await.unwrap();
        assert!((90..100).contains(&lab.elapsed().as_secs()), "{:?}", lab.elapsed());
        let heard = lab.heard.lock().unwrap();
        assert!(heard.iter().all(|line| line.starts_with("waiting for http://localhost:")));
        assert!(heard[0].ends_with(": 502"), "{heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_stays_down_is_given_up_within_the_budget_and_nothing_is_attached() {
    let lab = Lab::new(|_| ());
    lab.rule(|call| is_entry(call).then(|| status(502)));
    let error =
        sign(&lab, waiting(&lab, lab.services(RekorVersion::V1), MINUTE)).await.unwrap_err();
    assert!((59..62).contains(&lab.elapsed().as_secs()), "{:?}", lab.elapsed());
    let Error::Signing { source, .. } = &error else { panic!("{error:?}") };
    let signer::Error::Log { logged, .. } = &**source else { panic!("{source:?}") };
    assert!(logged.is_empty() && source.is_outage());
}

#[tokio::test(start_paused = true)]
async fn the_error_says_in_which_log_the_signature_is_nevertheless() {
    let lab = Lab::new(|_| ());
    let [mut services, second] = [RekorVersion::V1, RekorVersion::V2].map(|log| lab.services(log));
    services.logs.extend(second.logs);
    lab.rule(|call| (is_entry(call) && call.path.contains("/v2/")).then(|| status(502)));
    let error = sign(&lab, waiting(&lab, services, MINUTE)).await.unwrap_err();
    let Error::Signing { source, .. } = &error else { panic!("{error:?}") };
    let signer::Error::Log { logged, .. } = &**source else { panic!("{source:?}") };
    assert_eq!(logged.len(), 1, "{logged:?}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_ends_while_a_service_is_down_is_renewed() {
    for path in ["/log/entries", "/timestamp"] {
        let lab = Lab::new(|_| ());
        lab.rule(move |call| {
            (call.path.ends_with(path) && call.start.as_secs() < 12 * MINUTE).then(|| status(502))
        });
        sign(&lab, waiting(&lab, lab.services(RekorVersion::V1), 20 * MINUTE)).await.unwrap();
        let calls = lab.calls();
        assert_eq!((count(&calls, "signingCert"), count(&calls, "/token")), (2, 2), "{path}");
        let warned =
            lab.heard.lock().unwrap().iter().any(|line| line.contains("certificate ended"));
        assert_eq!(warned, path == "/log/entries");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_while_the_certificate_authority_is_down_is_renewed() {
    let lab = Lab::new(|_| ());
    lab.rule(|call| {
        (call.path.ends_with("/signingCert") && call.start.as_secs() < 8 * MINUTE)
            .then(|| status(503))
    });
    sign(&lab, waiting(&lab, lab.services(RekorVersion::V1), 20 * MINUTE)).await.unwrap();
    assert_eq!(count(&lab.calls(), "/token"), 2);
}

#[tokio::test(start_paused = true)]
async fn another_log_stands_in_for_one_that_is_down_at_once() {
    let lab = Lab::new(|_| ());
    let services = lab.services(RekorVersion::V2);
    let spare_logs = lab.services(RekorVersion::V1).logs;
    lab.rule(|call| (is_entry(call) && call.path.contains("/v2/")).then(|| status(502)));
    let signed =
        sign(&lab, waiting(&lab, Services { spare_logs, ..services }, MINUTE)).await.unwrap();
    assert!(lab.elapsed() < Duration::from_secs(5), "{:?}", lab.elapsed());
    assert_eq!(signed.signed.logs.len(), 1);
    let heard = lab.heard.lock().unwrap();
    assert!(heard.iter().any(|line| line.contains("in place of")), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_entry_because_an_answer_was_lost_is_told() {
    let lab = Lab::new(|config| _ = config.faults.insert(Fault::LogAnswerLost));
    sign(&lab, waiting(&lab, lab.services(RekorVersion::V2), MINUTE)).await.unwrap();
    let heard = lab.heard.lock().unwrap();
    let told = |line: &&String| line.contains("already has this entry at index 0");
    assert_eq!(heard.iter().filter(told).count(), 1, "{heard:?}");
}
