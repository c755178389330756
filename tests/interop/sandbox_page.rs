//! The page of the sandbox in a browser.

use std::time::Duration;

use harness::{Browser, HostileServer, Reply, Setup, by, target, workspace};
use serde_json::Value;

/// A page that does what another web site can do: requests with and without CORS, then a form.
fn attack(page: &str) -> String {
    format!(
        "<!doctype html><form method=post action=\"{page}sandbox/faults\">\
         <input name=fault value=tsa-error><input name=on value=true></form><script>\
         const target = '{page}sandbox/faults';\
         const body = new URLSearchParams({{ fault: 'tsa-error', on: 'true' }});\
         Promise.allSettled([\
           fetch(target, {{ method: 'POST', body, mode: 'no-cors' }}),\
           fetch(target + '/tsa-error', {{ method: 'PUT' }}),\
           fetch('{page}sandbox/state').then((answer) => answer.text()),\
         ]).then((results) => {{\
           document.title = results[1].status + results[2].status === 'rejectedrejected'\
             ? 'attacked' : 'succeeded';\
           setTimeout(() => document.forms[0].submit(), 500);\
         }});</script>"
    )
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_person_switches_a_fault_in_chromium_and_another_web_site_does_not() {
    let Some(browser) = Browser::find() else { return };
    let setup = Setup::new();
    let image = setup.image("demo/app");
    setup.job().args(["sign", &image]).run().ends(0);
    let file = setup.write("release.tar", "content");
    setup.workload().arg("sign-blob").arg(&file).run().ends(0);

    let page = format!("{}/", setup.sandbox.oidc());
    let attack = attack(&page);
    let evil = HostileServer::new(move |_| {
        Reply::response(200, &[("content-type", "text/html")], &attack)
    });
    let attacker = format!("http://{}/", evil.address().replace("127.0.0.1", "evil.test"));
    let screenshots = target().join("screenshots");
    std::fs::create_dir_all(&screenshots).unwrap();
    let screenshot = screenshots.join("sandbox.png");
    let outcome = browser
        .script(&workspace().join("tests/interop/page.mjs"), setup.directory())
        .args([&page, &attacker])
        .arg(&screenshot)
        .within(Duration::from_secs(120))
        .run()
        .succeeds();
    let seen: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(seen["title"], "Sigstore sandbox", "{seen:#}");
    for step in ["switched_on", "follows", "styled", "attacked"] {
        assert_eq!(seen[step], true, "{step}: {seen:#}");
    }
    assert_eq!(seen["refused"], "another web site may not use this page\n", "{seen:#}");
    assert!(seen["rebound"].as_str().unwrap().contains("not at another name"), "{seen:#}");

    // What the browser shows is how the sandbox behaves.
    let arguments = by(&setup.workload_id(), &setup.sandbox.spiffe_issuer());
    setup.program().arg("verify-blob").args(arguments).arg(&file).run().ends(0);
    setup.workload().args(["sign-blob", "--timeout", "5s"]).arg(&file).run().ends(1).says(&["500"]);
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
        std::fs::copy(&screenshot, workspace().join("docs/sandbox.png")).unwrap();
    }
}
