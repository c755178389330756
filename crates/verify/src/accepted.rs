use keys::PublicKey;
use x509::{Certificate, FulcioExtension, SubjectName};

use crate::check::Check;
use crate::string_match::StringMatch;

/// One entry of the list of acceptable signers.
#[derive(Clone, Debug)]
pub struct AcceptedSigner {
    pub(crate) kind: Kind,
    pub(crate) extensions: Vec<(String, StringMatch)>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Identity { subject: StringMatch, issuer: StringMatch },
    Key(PublicKey),
    AnyIdentity,
}

/// The identity in a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) subject: SubjectName,
    pub(crate) issuer: Option<String>,
    pub(crate) extensions: Vec<FulcioExtension>,
}

impl AcceptedSigner {
    /// A certificate whose subject (its one alternative name) and OIDC issuer match. A certificate
    /// without an issuer, as some private authorities issue them, has an empty one: an issuer that
    /// is named does not match it, a pattern for any issuer does.
    pub fn identity(subject: StringMatch, issuer: StringMatch) -> Self {
        Self { kind: Kind::Identity { subject, issuer }, extensions: Vec::new() }
    }

    /// A known public key. A bundle with a certificate is refused then.
    pub fn key(key: PublicKey) -> Self {
        Self { kind: Kind::Key(key), extensions: Vec::new() }
    }

    /// The certificate must also have the extension `oid` (in dotted form) with a matching value.
    /// May be called several times. A key has no extensions, so that nothing satisfies both.
    #[must_use]
    pub fn extension(mut self, oid: impl Into<String>, value: StringMatch) -> Self {
        self.extensions.push((oid.into(), value));
        self
    }

    /// The key, if this is a known key.
    pub fn public_key(&self) -> Option<&PublicKey> {
        match &self.kind {
            Kind::Key(key) => Some(key),
            Kind::Identity { .. } | Kind::AnyIdentity => None,
        }
    }

    /// What the subject of the certificate must be, if this is an identity.
    pub fn subject(&self) -> Option<&StringMatch> {
        match &self.kind {
            Kind::Identity { subject, .. } => Some(subject),
            Kind::Key(_) | Kind::AnyIdentity => None,
        }
    }

    /// What the OIDC issuer must be, if this is an identity.
    pub fn issuer(&self) -> Option<&StringMatch> {
        match &self.kind {
            Kind::Identity { issuer, .. } => Some(issuer),
            Kind::Key(_) | Kind::AnyIdentity => None,
        }
    }

    /// Whether `identity` is acceptable. Says nothing about why not: lists may be long.
    pub(crate) fn accepts_identity(&self, identity: &Identity) -> bool {
        let named = match &self.kind {
            Kind::Key(_) => return false,
            Kind::AnyIdentity => true,
            Kind::Identity { subject, issuer } => {
                subject.matches_subject(&identity.subject)
                    && issuer.matches(identity.issuer.as_deref().unwrap_or_default())
            }
        };
        named
            && self
                .extensions
                .iter()
                .all(|(oid, value)| identity.value(oid).is_some_and(|found| value.matches(found)))
    }

    /// Whether `key` is this known key.
    pub(crate) fn accepts_key(&self, key: &PublicKey) -> bool {
        self.extensions.is_empty()
            && self.public_key().is_some_and(|accepted| accepted.spki() == key.spki())
    }

    /// Why `identity` is not acceptable.
    pub(crate) fn refusal(&self, identity: &Identity) -> Option<Check> {
        if let Kind::Identity { subject, issuer } = &self.kind {
            let issuer_matches = issuer.matches(identity.issuer.as_deref().unwrap_or_default());
            if !subject.matches_subject(&identity.subject) {
                return Some(Check::Identity {
                    expected: subject.clone(),
                    found: identity.subject.as_str().to_owned(),
                    issuer: (!issuer_matches)
                        .then(|| Box::new((issuer.clone(), identity.issuer.clone()))),
                });
            }
            if !issuer_matches {
                let (expected, found) = (issuer.clone(), identity.issuer.clone());
                return Some(Check::Issuer { expected, found });
            }
        }
        self.extensions.iter().find_map(|(oid, expected)| {
            let found = identity.value(oid);
            (!found.is_some_and(|found| expected.matches(found))).then(|| Check::Extension {
                oid: oid.clone(),
                expected: expected.clone(),
                found: found.map(str::to_owned),
            })
        })
    }
}

impl Identity {
    pub(crate) fn of(leaf: &Certificate) -> Result<Self, Check> {
        Ok(Self {
            subject: leaf.subject_name().map_err(Check::IdentityMalformed)?,
            issuer: leaf.oidc_issuer().map_err(Check::IdentityMalformed)?,
            extensions: leaf.fulcio_extensions().map_err(Check::IdentityMalformed)?,
        })
    }

    pub(crate) fn value(&self, oid: &str) -> Option<&str> {
        let found = self.extensions.iter().find(|extension| extension.oid == oid);
        found.map(|extension| extension.value.as_str())
    }
}
