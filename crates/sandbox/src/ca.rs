//! The certificate authority behind Fulcio: an offline root, an intermediate that issues.

use std::fmt;
use std::time::{Duration, SystemTime};

use const_oid::db::rfc5280::ID_KP_CODE_SIGNING;
use der::Decode as _;
use der::asn1::{Any, Ia5String, OctetString, Utf8StringRef};
use spki::ObjectIdentifier;
use x509_cert::certificate::Certificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::{GeneralName, OtherName};
use x509_cert::ext::pkix::{KeyUsages, SubjectAltName};
use x509_cert::name::Name;

use crate::certificate::{self, Request, Role};
use crate::ct::CtLog;
use crate::key::{KeyKind, ServiceKey, encode_pem};
use crate::{Error, Fault, Faults};

const ROOT_NAME: &str = "CN=sandbox root,O=sigstore-sandbox";
const INTERMEDIATE_NAME: &str = "CN=sandbox intermediate,O=sigstore-sandbox";
const SCT_LIST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
/// The type of an otherName that holds a user name.
const USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");
const FULCIO_ARC: &str = "1.3.6.1.4.1.57264.1";
/// Extensions up to this arc hold bare text; those above a DER UTF8String.
const LAST_BARE_ARC: u32 = 6;
/// The OIDC issuer, in its older and its newer extension.
const ISSUER_ARCS: [u32; 2] = [1, 8];

/// The certificate authority behind Fulcio.
pub struct Authority {
    key: ServiceKey,
    /// The issuing certificate, then the root.
    chain: [Certificate; 2],
}

/// What a certificate says about its holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) san: San,
    /// Last numbers of the OIDs of Fulcio's extensions, and their values. Empty ones are left out.
    pub(crate) extensions: Vec<(u32, String)>,
}

/// The one subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum San {
    Email(String),
    Uri(String),
    UserName(String),
}

impl San {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Email(text) | Self::Uri(text) | Self::UserName(text) => text,
        }
    }
}

impl Identity {
    /// The identity as faults of Fulcio change it.
    pub(crate) fn altered(mut self, faults: &Faults) -> Self {
        if faults.contains(&Fault::CertificateForAnother) {
            self.san = match self.san {
                San::Email(_) => San::Email("mallory@example.org".to_owned()),
                San::Uri(uri) => San::Uri(format!("{uri}-mallory")),
                San::UserName(_) => San::UserName("mallory".to_owned()),
            };
        }
        if faults.contains(&Fault::CertificateByAnotherIssuer) {
            let issuers = self.extensions.iter_mut().filter(|(arc, _)| ISSUER_ARCS.contains(arc));
            issuers.for_each(|(_, value)| "https://mallory.example".clone_into(value));
        }
        self
    }
}

impl Authority {
    /// A new authority, valid from an hour before `now`.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate(now: SystemTime) -> Result<Self, Error> {
        let root_key = ServiceKey::generate(KeyKind::EcdsaP384)?;
        let key = ServiceKey::generate(KeyKind::EcdsaP384)?;
        let issuer = (ROOT_NAME, &root_key);
        let root = certificate::authority(ROOT_NAME, &root_key, Role::Root, issuer, now)?;
        let role = Role::Intermediate(ID_KP_CODE_SIGNING);
        let intermediate = certificate::authority(INTERMEDIATE_NAME, &key, role, issuer, now)?;
        Ok(Self { key, chain: [intermediate, root] })
    }

    /// The authority that [`to_pem`](Self::to_pem) wrote.
    ///
    /// # Errors
    /// The text holds no usable key, or not two certificates.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let key = ServiceKey::from_pem(text)?;
        let chain: [Certificate; 2] = certificates_from_pem(text)?
            .try_into()
            .map_err(|_| Error::make("the CA")("expected two certificates"))?;
        Ok(Self { key, chain })
    }

    /// The issuing key and the chain, as PEM blocks.
    ///
    /// # Errors
    /// None that is known: the certificates were encoded before.
    pub fn to_pem(&self) -> Result<String, Error> {
        Ok(self.key.to_pem() + &self.chain_pem()?.concat())
    }

    /// The chain as DER: the issuing certificate, then the root.
    ///
    /// # Errors
    /// None that is known: the certificates were encoded before.
    pub fn chain_der(&self) -> Result<Vec<Vec<u8>>, Error> {
        self.chain.iter().map(certificate::der).collect()
    }

    /// Since when it has been an authority: an hour before it was made.
    pub(crate) fn not_before(&self) -> SystemTime {
        self.chain[0].tbs_certificate.validity.not_before.to_system_time()
    }

    /// The chain as PEM, each with a newline at its end.
    pub(crate) fn chain_pem(&self) -> Result<Vec<String>, Error> {
        Ok(self.chain_der()?.iter().map(|der| encode_pem("CERTIFICATE", der)).collect())
    }

    /// Certifies the key of `spki` for `identity`, from a time on and for a while, with a timestamp
    /// of `log` inside, if there is one. The profile is Fulcio's: extensions in its order, an empty
    /// subject.
    pub(crate) fn issue(
        &self,
        identity: &Identity,
        spki: &[u8],
        log: Option<&CtLog>,
        (begin, life): (SystemTime, Duration),
    ) -> Result<Vec<u8>, Error> {
        let issuer_spki = self.key.public_key().spki();
        let mut extensions = vec![
            certificate::key_usage(KeyUsages::DigitalSignature)?,
            certificate::extended_key_usage(false, ID_KP_CODE_SIGNING)?,
            certificate::authority_key_id(issuer_spki)?,
            subject_alt_name(&identity.san)?,
        ];
        for (arc, value) in identity.extensions.iter().filter(|(_, value)| !value.is_empty()) {
            extensions.push(fulcio_extension(*arc, value)?);
        }
        let request = Request {
            issuer: self.chain[0].tbs_certificate.subject.clone(),
            subject: Name::default(),
            spki,
            not_before: certificate::whole_seconds(begin),
            life,
            extensions,
        };
        let mut tbs = certificate::tbs(request, &self.key)?;
        if let Some(log) = log {
            let scts = log.sct_list(&certificate::der(&tbs)?, issuer_spki, begin)?;
            let scts = OctetString::new(scts).map_err(Error::make("an SCT list"))?;
            let scts = certificate::extension(SCT_LIST, false, &scts)?;
            tbs.extensions.get_or_insert_default().push(scts);
        }
        certificate::der(&certificate::sign(tbs, &self.key)?)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("key", &self.key).finish_non_exhaustive()
    }
}

fn subject_alt_name(san: &San) -> Result<Extension, Error> {
    let build = || {
        Ok::<_, der::Error>(match san {
            San::Email(email) => GeneralName::Rfc822Name(Ia5String::new(email)?),
            San::Uri(uri) => GeneralName::UniformResourceIdentifier(Ia5String::new(uri)?),
            San::UserName(name) => GeneralName::OtherName(OtherName {
                type_id: USER_NAME,
                value: Any::encode_from(&Utf8StringRef::new(name)?)?,
            }),
        })
    };
    let name = build().map_err(Error::make("a subject alternative name"))?;
    certificate::extension(certificate::SUBJECT_ALT_NAME, true, &SubjectAltName(vec![name]))
}

fn fulcio_extension(arc: u32, value: &str) -> Result<Extension, Error> {
    let oid = ObjectIdentifier::new(&format!("{FULCIO_ARC}.{arc}"))
        .map_err(Error::make("an extension"))?;
    if arc <= LAST_BARE_ARC {
        return certificate::raw_extension(oid, false, value.as_bytes());
    }
    let value = Utf8StringRef::new(value).map_err(Error::make("an extension"))?;
    certificate::extension(oid, false, &value)
}

/// Every PEM block CERTIFICATE of `text`, in order.
pub(crate) fn certificates_from_pem(text: &str) -> Result<Vec<Certificate>, Error> {
    let blocks = pem::parse_many(text).map_err(Error::make("a certificate"))?;
    let certificates = blocks.iter().filter(|block| block.tag() == "CERTIFICATE");
    certificates
        .map(|block| Certificate::from_der(block.contents()))
        .collect::<Result<_, _>>()
        .map_err(Error::make("a certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_survives_its_pem() {
        let authority = Authority::generate(SystemTime::now()).unwrap();
        let again = Authority::from_pem(&authority.to_pem().unwrap()).unwrap();
        assert_eq!(again.chain_der().unwrap(), authority.chain_der().unwrap());
        assert!(Authority::from_pem(&authority.key.to_pem()).is_err());
    }

    #[test]
    fn faults_change_the_subject_or_the_issuer_and_nothing_else() {
        let identity = Identity {
            san: San::Uri("https://a.example".to_owned()),
            extensions: vec![(1, "i".to_owned()), (8, "i".to_owned()), (9, "w".to_owned())],
        };
        let subject = identity.clone().altered(&[Fault::CertificateForAnother].into());
        assert_eq!(subject.san, San::Uri("https://a.example-mallory".to_owned()));
        assert_eq!(subject.extensions, identity.extensions);
        let issuer = identity.clone().altered(&[Fault::CertificateByAnotherIssuer].into());
        assert_eq!(issuer.san, identity.san);
        let mallory = || "https://mallory.example".to_owned();
        assert_eq!(issuer.extensions, [(1, mallory()), (8, mallory()), (9, "w".to_owned())]);
        assert_eq!(identity.clone().altered(&Faults::default()), identity);
    }
}
