//! Which audience is asked for.

use std::sync::Arc;

use id_token::{Audience, Claims};

/// The audiences that a certificate authority expects: one, or one for each issuer.
///
/// ```
/// use oidc_ambient::Audiences;
/// use oidc_ambient::id_token::Audience;
///
/// # fn main() -> Result<(), oidc_ambient::id_token::Error> {
/// let azure = Audience::new("api://AzureADTokenExchange")?;
/// let others = [azure.clone()];
/// let audiences = Audiences::by_issuer(Audience::sigstore(), others, move |issuer: &str| {
///     match issuer {
///         "https://token.actions.githubusercontent.com" => Some(Audience::sigstore()),
///         "https://vstoken.dev.azure.com/acme" => Some(azure.clone()),
///         _ => None,
///     }
/// });
/// # let _ = audiences;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Audiences {
    /// The one asked for first.
    default: Audience,
    others: Vec<Audience>,
    of_issuer: Option<Arc<OfIssuer>>,
}

/// What the tokens of an issuer must have.
type OfIssuer = dyn Fn(&str) -> Option<Audience> + Send + Sync;

impl Audiences {
    /// `audience`, whatever the issuer.
    pub fn one(audience: Audience) -> Self {
        Self { default: audience, others: Vec::new(), of_issuer: None }
    }

    /// What `of_issuer` says: the audience that an issuer's tokens must have, or `None` for an
    /// issuer that the authority does not list. A source is asked for `default` first, and where
    /// that cannot be had, for each of `others`.
    pub fn by_issuer(
        default: Audience,
        others: impl IntoIterator<Item = Audience>,
        of_issuer: impl Fn(&str) -> Option<Audience> + Send + Sync + 'static,
    ) -> Self {
        let mut distinct: Vec<Audience> = Vec::new();
        for other in others {
            let is_new = other != default && !distinct.contains(&other);
            if is_new && is_sound(&other) && distinct.len() < MOST_OTHERS {
                distinct.push(other);
            }
        }
        Self { default, others: distinct, of_issuer: Some(Arc::new(of_issuer)) }
    }

    /// In the order in which they are asked for.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Audience> {
        std::iter::once(&self.default).chain(&self.others)
    }

    /// What the issuer of `claims` must have, if the authority lists it.
    pub(crate) fn expected(&self, claims: &Claims) -> Option<Audience> {
        self.of_issuer.as_ref()?(claims.issuer()?).filter(is_sound)
    }

    /// Whether the authority lists the issuer of `claims`, as far as that is known.
    pub(crate) fn lists(&self, claims: &Claims) -> bool {
        self.of_issuer.is_none() || self.expected(claims).is_some()
    }
}

impl From<Audience> for Audiences {
    fn from(audience: Audience) -> Self {
        Self::one(audience)
    }
}

impl std::fmt::Debug for Audiences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

/// Whether an audience that an authority names can be asked for and shown.
fn is_sound(audience: &Audience) -> bool {
    let text = audience.as_str();
    text.len() <= LONGEST && host::escape(text) == text
}

/// In bytes; AWS gives tokens for no longer ones.
const LONGEST: usize = 1000;
/// An authority may list hundreds of issuers; each audience may cost a request.
const MOST_OTHERS: usize = 7;
