//! The Security Token Service of a region.

use std::time::Duration;

use host::Env;
use oidc_ambient::fetch::{self, Call, Failure};
use url::Url;

/// The endpoint of `region`: the global one gives no identity tokens.
pub(crate) fn endpoint(env: &dyn Env, region: &str) -> Result<Url, Failure> {
    for name in ENDPOINTS {
        if let Some(url) = env.var(name) {
            return fetch::endpoint(name, &url);
        }
    }
    let suffix = PARTITIONS
        .into_iter()
        .find_map(|(prefix, suffix)| region.starts_with(prefix).then_some(suffix))
        .unwrap_or("amazonaws.com");
    fetch::endpoint("the endpoint of STS", &format!("https://sts.{region}.{suffix}/"))
}

/// A call of `action`, not yet signed.
pub(crate) fn call(sts: &Url, action: &str, parameters: &[(&str, &str)]) -> Call {
    let common = [("Action", action), ("Version", VERSION)];
    // Keys for AWS are on many machines that cannot reach it: those must not wait for long.
    let policy = fetch::policy()
        .with_attempt(Duration::from_secs(5))
        .with_total(Duration::from_secs(10))
        .with_attempts(3);
    Call::post_form(sts.clone(), &[&common[..], parameters].concat()).policy(policy)
}

/// Of the STS API.
const VERSION: &str = "2011-06-15";
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];
/// The partitions with a domain of their own, by the prefix of their regions.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_own_domain() {
        for (region, host) in [
            ("eu-central-1", "sts.eu-central-1.amazonaws.com"),
            ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
            ("cn-north-1", "sts.cn-north-1.amazonaws.com.cn"),
            ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
            ("us-isof-south-1", "sts.us-isof-south-1.csp.hci.ic.gov"),
            ("eu-isoe-west-1", "sts.eu-isoe-west-1.cloud.adc-e.uk"),
        ] {
            let url = endpoint(&[("A", "b")], region).unwrap();
            assert_eq!((url.scheme(), url.host_str()), ("https", Some(host)), "{region}");
        }
    }
}
