//! kubelet's `CredentialProviderConfig`, as JSON or YAML.

use std::path::{Component, Path};

use serde::Deserialize;

use crate::node::yaml;

/// The programs that are asked for credentials.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    kind: String,
    pub(crate) providers: Vec<Provider>,
}

/// One program. What else kubelet has for it (how long answers are kept) has no meaning for a
/// process that asks once.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) match_images: Vec<String>,
    pub(crate) api_version: String,
    #[serde(default)]
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) env: Vec<Variable>,
    /// It wants the token of a pod's service account, which only kubelet has.
    pub(crate) token_attributes: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Config {
    /// Reads the configuration.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let value = match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| error.to_string())?,
            false => yaml::parse(text)?,
        };
        let config: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if config.kind != "CredentialProviderConfig" {
            return Err(format!(
                "expected the kind CredentialProviderConfig, found {:?}",
                config.kind
            ));
        }
        for provider in &config.providers {
            // It is looked for in one directory.
            let mut parts = Path::new(&provider.name).components();
            if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
                return Err(format!("the provider {:?} is not the name of a file", provider.name));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = r#"
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  # Amazon's.
  - name: ecr-credential-provider
    matchImages:
      - "*.dkr.ecr.*.amazonaws.com"
      - '*.dkr.ecr.*.amazonaws.com.cn'
    defaultCacheDuration: "12h"
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    args: ["get-credentials", --verbose]
    env:
    - name: AWS_PROFILE
      value: node
"#;

    #[test]
    fn yaml_and_json_say_the_same() {
        let config = Config::parse(YAML.as_bytes()).unwrap();
        let [provider] = config.providers.as_slice() else { panic!("{config:?}") };
        assert_eq!(provider.name, "ecr-credential-provider");
        assert_eq!(provider.match_images.len(), 2);
        assert_eq!(provider.args, ["get-credentials", "--verbose"]);
        assert_eq!(
            (provider.env[0].name.as_str(), provider.env[0].value.as_str()),
            ("AWS_PROFILE", "node")
        );
        let json = serde_json::to_vec(&yaml::parse(YAML).unwrap()).unwrap();
        assert_eq!(format!("{:?}", Config::parse(&json).unwrap()), format!("{config:?}"));
    }

    #[test]
    fn what_is_no_configuration_is_refused_with_the_reason() {
        let with_name = |name: &str| YAML.replace("ecr-credential-provider", name);
        for (text, said) in [
            ("{}".to_owned(), "missing field `kind`"),
            (
                YAML.replace("kind: Cred", "kind: Other"),
                "expected the kind CredentialProviderConfig",
            ),
            (with_name("../bin/sh"), "is not the name of a file"),
            (with_name("/bin/sh"), "is not the name of a file"),
            (with_name("&x y"), "line 6"),
        ] {
            let refused = Config::parse(text.as_bytes()).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
