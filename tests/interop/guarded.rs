//! docker-registry behind TLS of a private authority, passwords and client certificates.

use harness::{Interop, RegistryKind, Signer};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use sandbox::RekorVersion;

/// `user:hunter2-of-the-registry`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "user:$2b$04$6nyneUM/r5CFl4nn.CnTuu7LtXQHvW.Uh/eUH2Cky7hr/vOSfdDmC\n";
const PASSWORD: &str = "hunter2-of-the-registry";

/// A certificate authority; its certificate is in `ca.pem`.
pub(crate) struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new(interop: &Interop) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "a private authority");
        let key = KeyPair::generate().unwrap();
        interop.write("ca.pem", &params.self_signed(&key).unwrap().pem());
        Self(Issuer::new(params, key))
    }

    /// Writes `NAME.pem`, a certificate of `hosts`, and `NAME.key`.
    pub(crate) fn certify(&self, interop: &Interop, name: &str, hosts: &[&str]) {
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(hosts).unwrap().signed_by(&key, &self.0).unwrap();
        interop.write(&format!("{name}.pem"), &certificate.pem());
        interop.write(&format!("{name}.key"), &key.serialize_pem());
    }
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn a_registry_with_tls_a_password_and_client_certificates_is_signed_to_and_read_from() {
    let interop = Interop::new(RegistryKind::FallbackTag, RekorVersion::V1);
    let authority = Authority::new(&interop);
    authority.certify(&interop, "server", &["localhost"]);
    authority.certify(&interop, "client", &["client"]);
    let path = |name: &str| interop.path(name).display().to_string();
    let htpasswd = interop.write("htpasswd", HTPASSWD);
    let registry = interop.guarded_registry(&format!(
        "  tls:\n    certificate: {}\n    key: {}\n    clientcas:\n      - {}\n\
         auth:\n  htpasswd:\n    realm: registry\n    path: {}\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem"),
        htpasswd.display()
    ));
    let here = interop.image("team/app");
    let image =
        here.replace(interop.registry(), &registry.address.replace("127.0.0.1", "localhost"));
    let jane = interop.identity(Signer::Email);
    let cacert = ["--registry-cacert".to_owned(), path("ca.pem")];
    let client = [
        "--registry-client-cert".to_owned(),
        path("client.pem"),
        "--registry-client-key".to_owned(),
        path("client.key"),
    ];
    let user = ["--registry-username", "user", "--registry-password", PASSWORD];
    let verify = || interop.ambisign("verify").args(jane.policy()).arg(&image);
    let sign = interop.ambisign_as(Signer::Email, "sign").args(&cacert).args(&client).args(user);
    sign.arg(&image).run().succeeds();
    verify().args(&cacert).args(&client).args(user).run().succeeds();
    let cosign = interop.cosign("verify").args(jane.policy()).args(&cacert).args(&client);
    cosign.args(user).arg(&image).run().succeeds();
    // Without one of the three.
    verify().args(&client).args(user).run().ends(1).says(&["--registry-cacert"]);
    verify().args(&cacert).args(user).run().ends(1).says(&["could not be reached"]);
    verify().args(&cacert).args(&client).run().ends(1).says(&["requires credentials"]);
    // The name in the certificate is another than the host.
    let by_address = image.replace("localhost", "127.0.0.1");
    let verify = || {
        let verify = interop.ambisign("verify").args(jane.policy()).arg(&by_address);
        verify.args(&cacert).args(&client).args(user)
    };
    verify().run().ends(1);
    verify().args(["--registry-server-name", "localhost"]).run().succeeds();
}
