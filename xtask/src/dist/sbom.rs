//! The list of dependencies as CycloneDX 1.5.

use keys::Digest;
use serde_json::{Value, json};

use super::dependencies::{Package, purl};

/// The document. It holds no time and no random number: the same dependencies give the same bytes.
pub(super) fn document(packages: &[Package], target: &str) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let name = format!("ambisign-{version}-{target}");
    let components: Vec<Value> = packages.iter().map(component).collect();
    let dependencies: Vec<Value> = packages
        .iter()
        .map(|package| {
            let uses: Vec<String> =
                package.uses.iter().map(|(name, version)| purl(name, version)).collect();
            json!({ "ref": package.purl(), "dependsOn": uses })
        })
        .collect();
    let content = json!([name, components, dependencies]).to_string();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": serial_number(content.as_bytes()),
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": name,
                "name": "ambisign",
                "version": version,
                "licenses": [{ "expression": "Apache-2.0" }],
                "purl": purl("ambisign", version),
            },
            "properties": [{ "name": "target", "value": target }],
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": package.purl(),
        "name": package.name,
        "version": package.version,
        "purl": package.purl(),
    });
    if let Some(licence) = &package.licence {
        // The old way to write OR.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    component
}

/// A UUID of version 8 (RFC 9562) from the digest of the content.
fn serial_number(content: &[u8]) -> String {
    let hex = Digest::sha256(content).to_hex();
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    format!(
        "urn:uuid:{}-{}-8{}-a{}-{}",
        part(0..8),
        part(8..12),
        part(13..16),
        part(17..20),
        part(20..32)
    )
}
