//! What Fulcio writes into its leaves: the identity, its issuer, and the circumstances.

use der::Decode as _;
use der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::certificate::{Certificate, Extension, printable, read};
use crate::error::Error;
use crate::oid;

/// The identity that a certificate was issued for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubjectName {
    /// An e-mail address.
    Email(String),
    /// A URI: a workflow, a SPIFFE ID, or most other identities.
    Uri(String),
    /// A user name, `name!domain`, in Fulcio's own form of an otherName.
    OtherName(String),
}

impl SubjectName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Email(name) | Self::Uri(name) | Self::OtherName(name) => name,
        }
    }

    /// What it is: `email`, `uri` or `username`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Uri(_) => "uri",
            Self::OtherName(_) => "username",
        }
    }
}

impl std::fmt::Display for SubjectName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An extension of Fulcio's arc, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FulcioExtension {
    /// Which one, in dotted form.
    pub oid: String,
    /// What Fulcio calls it; `Unknown` if it is newer than this crate.
    pub name: &'static str,
    /// Its text. Of an unknown one that is not a UTF8String, the bytes in hexadecimal.
    pub value: String,
}

impl FulcioExtension {
    /// The key under which cosign prints it, for the five that it names.
    pub fn cosign_name(&self) -> Option<&'static str> {
        oid::cosign_name(&self.oid)
    }

    /// The one name under which a report has it: cosign's where it has one, else Fulcio's.
    pub fn reported_name(&self) -> &'static str {
        self.cosign_name().unwrap_or(self.name)
    }
}

impl Certificate {
    /// The one name it was issued for.
    ///
    /// # Errors
    /// There is no subject alternative name, more than one, or one of another kind.
    pub fn subject_name(&self) -> Result<SubjectName, Error> {
        let wrong = |found: &str| Error::SubjectName { found: found.to_owned() };
        let names = read::<SubjectAltName>(self.extensions(), oid::SUBJECT_ALT_NAME)?
            .ok_or_else(|| wrong("none"))?;
        let name = match names.0.as_slice() {
            [name] => name,
            names => return Err(wrong(&format!("{} names", names.len()))),
        };
        let subject = match name {
            GeneralName::Rfc822Name(name) => SubjectName::Email(name.to_string()),
            GeneralName::UniformResourceIdentifier(name) => SubjectName::Uri(name.to_string()),
            GeneralName::OtherName(other) if other.type_id == OTHER_NAME => {
                let name = other
                    .value
                    .decode_as::<Utf8StringRef<'_>>()
                    .map_err(|_| wrong("a user name that is not a UTF8String"))?;
                SubjectName::OtherName(name.as_str().to_owned())
            }
            GeneralName::OtherName(other) => {
                return Err(wrong(&format!("an otherName of type {}", other.type_id)));
            }
            GeneralName::DnsName(_) => return Err(wrong("a DNS name")),
            GeneralName::IpAddress(_) => return Err(wrong("an IP address")),
            GeneralName::DirectoryName(_) => return Err(wrong("a directory name")),
            GeneralName::EdiPartyName(_) => return Err(wrong("an EDI party name")),
            GeneralName::RegisteredId(_) => return Err(wrong("a registered id")),
        };
        if subject.as_str().is_empty() {
            return Err(wrong("an empty name"));
        }
        Ok(subject)
    }

    /// Who issued the token that the certificate was issued for: extension .8, else the older .1.
    ///
    /// # Errors
    /// One of the two is malformed, or they contradict each other.
    pub fn oidc_issuer(&self) -> Result<Option<String>, Error> {
        let issuer = |oid| self.extension(oid).map(text).transpose();
        match (issuer(oid::ISSUER_V2)?, issuer(oid::ISSUER)?) {
            (Some(new), Some(old)) if new != old => Err(Error::Extension {
                oid: oid::ISSUER_V2.to_owned(),
                reason: format!(
                    "it names the issuer \"{}\", and {} the issuer \"{}\"",
                    printable(&new),
                    oid::ISSUER,
                    printable(&old),
                ),
            }),
            (new, old) => Ok(new.or(old)),
        }
    }

    /// Every extension of Fulcio's arc, in the certificate's order.
    ///
    /// # Errors
    /// One that is known is malformed.
    pub fn fulcio_extensions(&self) -> Result<Vec<FulcioExtension>, Error> {
        self.extensions()
            .iter()
            .filter(|extension| is_fulcio(&extension.oid))
            .map(|extension| {
                let (name, value) = match (oid::name(&extension.oid), text(extension)) {
                    (Some(name), text) => (name, text?),
                    (None, Ok(text)) => ("Unknown", text),
                    (None, Err(_)) => ("Unknown", base16ct::lower::encode_string(&extension.value)),
                };
                Ok(FulcioExtension { oid: extension.oid.clone(), name, value })
            })
            .collect()
    }
}

const OTHER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap(oid::OTHER_NAME);

fn is_fulcio(oid: &str) -> bool {
    oid.strip_prefix(oid::FULCIO_ARC).is_some_and(|rest| rest.starts_with('.'))
}

/// The text of an extension: .1 to .6 are the bytes themselves, the others a DER UTF8String.
fn text(extension: &Extension) -> Result<String, Error> {
    let wrong =
        |reason: &str| Error::Extension { oid: extension.oid.clone(), reason: reason.to_owned() };
    match extension.oid.as_str() {
        oid::ISSUER
        | oid::GITHUB_WORKFLOW_TRIGGER
        | oid::GITHUB_WORKFLOW_SHA
        | oid::GITHUB_WORKFLOW_NAME
        | oid::GITHUB_WORKFLOW_REPOSITORY
        | oid::GITHUB_WORKFLOW_REF => {
            String::from_utf8(extension.value.clone()).map_err(|_| wrong("it is not UTF-8"))
        }
        _ => Utf8StringRef::from_der(&extension.value)
            .map(|text| text.as_str().to_owned())
            .map_err(|_| wrong("it is not one DER UTF8String")),
    }
}
