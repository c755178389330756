//! Azure's Container Registry: a token of Entra is exchanged at the registry for a refresh token.

use host::Host;
use oidc_ambient::fetch::{self, Call};
use secrecy::ExposeSecret as _;

use crate::azure;
use crate::error::Error;
use crate::registry::login::{REUSE, RegistryLogin};

pub(crate) fn serves(registry: &str) -> bool {
    DOMAINS.iter().any(|(domain, _)| {
        registry.strip_suffix(domain).is_some_and(|name| name.len() > 1 && name.ends_with('.'))
    })
}

pub(crate) async fn login(host: &Host, registry: &str) -> Result<RegistryLogin, Error> {
    let resource = DOMAINS
        .iter()
        .find_map(|(domain, resource)| registry.ends_with(domain).then_some(*resource))
        .unwrap_or(PUBLIC_CLOUD);
    let access = azure::access_token(host, resource).await?;
    let tenant = host.env.var("AZURE_TENANT_ID");
    let mut fields = vec![
        ("grant_type", "access_token"),
        ("service", registry),
        ("access_token", access.expose_secret()),
    ];
    fields.extend(tenant.as_deref().map(|tenant| ("tenant", tenant)));
    let url = fetch::endpoint("the registry", &format!("https://{registry}/oauth2/exchange"))
        .map_err(Error::unusable(CLOUD))?;
    let exchanged = Call::post_form(url, &fields).secret(host, "refresh_token").await;
    let secret = exchanged.map_err(|failure| {
        Error::unusable(CLOUD)(
            failure.with_hint("give the identity the role AcrPull, or AcrPush to sign"),
        )
    })?;
    let origin = "this machine's access to Azure".to_owned();
    Ok(RegistryLogin { username: None, secret, origin, lifetime: REUSE })
}

const CLOUD: &str = "Azure";
const PUBLIC_CLOUD: &str = "https://management.azure.com/";
/// The domains of registries, and the resource whose tokens they take.
const DOMAINS: [(&str, &str); 3] = [
    ("azurecr.io", PUBLIC_CLOUD),
    ("azurecr.cn", "https://management.chinacloudapi.cn/"),
    ("azurecr.us", "https://management.usgovcloudapi.net/"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, ready};

    #[test]
    fn only_names_below_azures_domains_are_served() {
        assert!(serves("acme.azurecr.io"));
        assert!(serves("acme-a1b2.azurecr.us"));
        for other in ["azurecr.io", ".azurecr.io", "acmeazurecr.io", "acme.azurecr.io.evil.org"] {
            assert!(!serves(other), "{other}");
        }
    }

    #[test]
    fn a_managed_identity_is_exchanged_at_the_registry() {
        let variables = [
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:42/token"),
            ("IDENTITY_HEADER", "h"),
            ("AZURE_TENANT_ID", "tenant-1"),
        ];
        let fake = Fake::new(&variables)
            .answering(200, r#"{"access_token":"entra"}"#)
            .answering(200, r#"{"refresh_token":"refresh"}"#);
        let login = ready(login(&fake.host(), "acme.azurecr.io")).unwrap();
        assert_eq!((login.username, login.secret.expose_secret()), (None, "refresh"));
        let query = fake.request(0).uri().query().unwrap().to_owned();
        assert!(query.contains("resource=https%3A%2F%2Fmanagement.azure.com%2F"), "{query}");
        let exchange = fake.request(1);
        assert_eq!(exchange.uri(), "https://acme.azurecr.io/oauth2/exchange");
        assert_eq!(
            exchange.body(),
            "grant_type=access_token&service=acme.azurecr.io&access_token=entra&tenant=tenant-1"
        );
    }

    #[test]
    fn a_pod_of_azure_exchanges_its_own_token_first() {
        let variables = [
            ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_TENANT_ID", "tenant-1"),
            ("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/"),
        ];
        let token = crate::testing::jwt(r#"{"iss":"https://aks","sub":"pod"}"#);
        let fake = Fake::new(&variables)
            .with_file("/token", &token)
            .answering(200, r#"{"access_token":"entra"}"#)
            .answering(200, r#"{"refresh_token":"refresh"}"#);
        ready(login(&fake.host(), "acme.azurecr.io")).unwrap();
        let request = fake.request(0);
        assert_eq!(request.uri(), "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token");
        let body = String::from_utf8_lossy(request.body()).into_owned();
        assert!(body.contains(&format!("client_assertion={token}")), "{body}");
        assert!(body.contains("scope=https%3A%2F%2Fmanagement.azure.com%2F%2F.default"), "{body}");
    }
}
