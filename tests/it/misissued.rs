//! Certificates that are not what was asked for, and a timestamp authority that the root lacks.

use harness::Setup;
use sandbox::Fault;

#[test]
fn a_certificate_that_does_not_verify_ends_the_signing_with_the_reason() {
    for (fault, text) in [
        (Fault::CertificateExpired, "certificate"),
        (Fault::CertificateNotYetValid, "certificate"),
        (Fault::TsaUntrusted, "timestamp"),
    ] {
        let setup = Setup::with_fault(fault);
        let image = setup.image("demo/app");
        let sign = setup.workload().args(["sign", &image]).run().ends(1);
        sign.says(&[&image, "was not signed", text]);
        let verify = setup.program().args(["verify", &image]).args(setup.by_workload());
        verify.run().ends(10);
    }
}
