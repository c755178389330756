//! Certificates that are not what was asked for, and a timestamp authority that the root lacks.

use harness::Setup;
use sandbox::Fault;

#[test]
fn a_certificate_that_does_not_verify_ends_the_signing_with_the_reason() {
    let early = ["no certificate from", "it was not valid at the time of the answer"];
    for (fault, text) in [
        (Fault::CertificateExpired, early),
        (Fault::CertificateNotYetValid, early),
        (Fault::CertificateTenYears, ["no certificate from", "it is valid for 876"]),
        (Fault::TsaUntrusted, ["was not signed", "timestamp"]),
    ] {
        let setup = Setup::with_fault(fault);
        let image = setup.image("demo/app");
        let sign = setup.workload().args(["sign", &image]).run().ends(1);
        sign.says(&text);
        let verify = setup.program().args(["verify", &image]).args(setup.by_workload());
        verify.run().ends(10);
    }
}
