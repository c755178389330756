use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt as _;
use image_signing::{Error, Event, Image, ImageSigner, Jobs, Target};
use sandbox::RekorVersion;

use crate::lab::{Lab, count, status};

#[tokio::test(start_paused = true)]
async fn many_images_share_one_token_one_key_and_one_certificate_and_each_has_a_result() {
    let lab = Lab::new(|config| config.referrers = false);
    let mut images = lab.push_many(20).await;
    images.insert(7, Image::parse(&images[0].as_str().replace("app0", "absent")).unwrap());
    let signer = ImageSigner::new(lab.registry.clone());
    let located: Vec<_> = signer.locate_all(&images).collect().await;
    assert_eq!(located.len(), 21);
    let absent: Vec<_> = located.iter().filter(|(_, found)| found.is_err()).collect();
    assert!(matches!(absent[..], [(7, Err(Error::ImageNotFound { .. }))]), "{absent:?}");

    let targets: Vec<Target> =
        located.into_iter().filter_map(|(_, found)| found.ok()).flatten().collect();
    let session = lab.session(RekorVersion::V1, "jane");
    lab.calls();
    let signed: Vec<_> = signer.sign_all(&targets, &session).collect().await;
    let calls = lab.calls();
    assert_eq!((count(&calls, "/token"), count(&calls, "signingCert")), (1, 1));
    let keys: Vec<_> = signed
        .iter()
        .map(|(_, signed)| signed.as_ref().unwrap().signed.bundle.material())
        .collect();
    assert!(keys.len() == 20 && keys.iter().all(|key| *key == keys[0]), "one certificate");
    for image in &images[..7] {
        lab.verifier("jane").verify(image).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_near_its_end() {
    let lab = Lab::new(|_| ());
    let images = lab.push_many(4).await;
    let session = lab.session(RekorVersion::V1, "jane");
    let signer = ImageSigner::new(lab.registry.clone());
    let mut targets = Vec::new();
    for image in &images {
        targets.extend(signer.locate(image).await.unwrap());
    }
    lab.calls();
    for target in &targets {
        signer.sign_and_attach(target, &session).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(200)).await;
    }
    let calls = lab.calls();
    assert_eq!((count(&calls, "signingCert"), count(&calls, "/token")), (2, 2));
    for image in &images {
        lab.verifier("jane").verify(image).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_one_of_the_results_and_only_fail_fast_stops_at_it() {
    for (fail_fast, fewest, most) in [(false, 11, 11), (true, 0, 8)] {
        let lab = Lab::new(|_| ());
        let images = lab.push_many(12).await;
        lab.latency(20, 20);
        lab.rule(|call| {
            (call.method == "PUT" && call.path.contains("/app1/")).then(|| status(403))
        });
        let jobs = Jobs::new(2).fail_fast(fail_fast);
        let signer = ImageSigner::new(lab.registry.clone()).jobs(jobs);
        let session = lab.session(RekorVersion::V1, "jane");
        let results = lab.sign_all(&signer, &session, &images).await;
        let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(matches!(failed[..], [Error::NotAttached { .. }]), "{failed:?}");
        let signed = results.len() - 1;
        assert!((fewest..=most).contains(&signed), "{fail_fast}: {signed}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_signatures_are_attached_at_once_than_there_are_jobs() {
    let lab = Lab::new(|_| ());
    let images = lab.push_many(20).await;
    lab.latency(20, 20);
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, highest) = (Arc::clone(&now), Arc::clone(&most));
    let signer = ImageSigner::new(lab.registry.clone()).jobs(Jobs::new(3));
    let waiting = Arc::new(AtomicUsize::new(0));
    let most_waiting = Arc::clone(&waiting);
    let signer = signer.with_listener(Arc::new(move |event| match event {
        Event::Attaching(_) => {
            let now = count.fetch_add(1, Ordering::Relaxed) + 1;
            most_waiting.fetch_max(now, Ordering::Relaxed);
        }
        Event::Attached(_) => {
            highest.fetch_add(1, Ordering::Relaxed);
            count.fetch_sub(1, Ordering::Relaxed);
        }
        _ => {}
    }));
    let session = lab.session(RekorVersion::V1, "jane");
    let results = lab.sign_all(&signer, &session, &images).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(most.load(Ordering::Relaxed), 20);
    assert!(
        waiting.load(Ordering::Relaxed) > 3,
        "a program learns of each logged signature at once"
    );
    let calls = lab.calls();
    let puts: Vec<_> = calls
        .iter()
        .filter(|call| call.method == "PUT" && call.path.contains("/manifests/"))
        .collect();
    let at = |time| puts.iter().filter(|it| it.start <= time && time < it.end).count();
    let busiest = puts.iter().map(|call| at(call.start)).max();
    assert!(busiest <= Some(3), "{busiest:?}");
}
