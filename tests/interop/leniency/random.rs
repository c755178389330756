//! Random changes: what we take of them the others must take too. Other spellings
//! of the same, which the table lists, are not among them.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sandbox::RekorVersion;
use serde_json::{Value, json};

use super::{Base, Bases, PREDICATE_TYPE, WHO, check};
use harness::{Interop, Library, Program, RegistryKind};

/// How many changes are made to each bundle.
const CHANGES: u64 = 400;

/// A sequence that looks random and is the same every time (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(bound).unwrap()).unwrap()
    }
}

fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, inner)| (name.clone(), inner)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect()
        }
        _ => Vec::new(),
    };
    for (name, inner) in inner {
        let at = format!("{at}/{name}");
        pointers(inner, &at, all);
        all.push(at);
    }
}

/// Changes one thing, and says which.
fn change(bundle: &mut Value, random: &mut Random) -> String {
    let mut all = Vec::new();
    pointers(bundle, "", &mut all);
    let at = all[random.below(all.len())].clone();
    let other = bundle.pointer(&all[random.below(all.len())]).unwrap().clone();
    let (parent, name) = at.rsplit_once('/').unwrap();
    let what = random.below(8);
    if what == 0 {
        match bundle.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.remove(name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            _ => {}
        }
        return format!("{at} removed");
    }
    if what == 1
        && let Value::Array(items) = bundle.pointer_mut(parent).unwrap()
    {
        let item = items[name.parse::<usize>().unwrap()].clone();
        items.push(item);
        return format!("{at} doubled");
    }
    let value = bundle.pointer_mut(&at).unwrap();
    let text = value.as_str().map(str::to_owned);
    let bytes = text.as_deref().and_then(|text| STANDARD.decode(text).ok());
    *value = match (what, text, bytes) {
        // For a list proto-JSON allows it.
        (2, ..) if !value.is_array() => Value::Null,
        (3, ..) => other,
        (4, ..) => [json!({}), json!([]), json!(0), json!(""), json!(true), json!("0")]
            [random.below(6)]
        .clone(),
        (5 | 1, Some(text), _) if !text.is_empty() => {
            let mut letters: Vec<char> = text.chars().collect();
            let index = random.below(letters.len());
            letters[index] = ['A', '0', ' ', '\n', '1'][random.below(5)];
            json!(letters.into_iter().collect::<String>())
        }
        (6, Some(_), Some(mut bytes)) if !bytes.is_empty() => {
            let index = random.below(bytes.len());
            bytes[index] ^= 1 << random.below(8);
            json!(STANDARD.encode(bytes))
        }
        (_, Some(text), Some(mut bytes)) if !text.is_empty() => {
            bytes.push(u8::try_from(random.below(256)).unwrap());
            json!(STANDARD.encode(bytes))
        }
        (_, Some(text), None) => json!(text.clone() + &text),
        (_, _, _) => json!([value.clone()]),
    };
    format!("{at} changed to {:.40}", value.to_string())
}

#[test]
#[ignore = "needs `cargo xtask peers`"]
fn what_we_take_of_many_random_changes_all_take() {
    let interop = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let foreign = Interop::new(RegistryKind::ReferrersApi, RekorVersion::V1);
    let signer = interop.identity(WHO);
    let bases = Bases::make(&interop, &foreign);
    let mut random = Random(1);
    let mut taken: Vec<(String, Base, PathBuf)> = Vec::new();
    for base in [Base::V1, Base::V2, Base::V1Stamped, Base::DsseV1, Base::DsseV2] {
        for _ in 0..CHANGES {
            let mut bundle = bases.bundles[base.index()].clone();
            let what = change(&mut bundle, &mut random);
            let unchanged = bundle == bases.bundles[base.index()];
            if unchanged || check(&interop, &signer, &bundle.to_string(), &bases).is_some() {
                continue;
            }
            let path = interop.write(&format!("{}.json", taken.len()), &bundle.to_string());
            taken.push((what, base, path));
        }
    }
    let cases: Vec<_> =
        taken.iter().map(|(_, _, path)| (path.clone(), bases.artifact.clone())).collect();
    let python = interop.ask(Library::Python, &signer, &cases);
    let rust = interop.ask(Library::Rust, &signer, &cases);
    let mut wrong = Vec::new();
    for (((what, base, bundle), python), rust) in taken.iter().zip(python).zip(rust) {
        let (command, kind) = match base.is_statement() {
            true => ("verify-blob-attestation", ["--type", PREDICATE_TYPE].as_slice()),
            false => ("verify-blob", [].as_slice()),
        };
        let cosign = interop.cosign(command).args(kind).args(signer.policy()).arg("--bundle");
        let go = interop.sigstore_go_verification().arg("-artifact").arg(&bases.artifact);
        let programs = vec![
            cosign.arg(bundle).arg(&bases.artifact),
            go.args(signer.policy_of_go()).arg(bundle),
        ];
        let mut said: Vec<String> = Program::run_all(programs)
            .into_iter()
            .filter(|outcome| outcome.code != 0)
            .map(|outcome| outcome.stderr)
            .collect();
        said.extend([python, rust].into_iter().filter(|said| !said.is_empty()));
        if !said.is_empty() {
            wrong.push(format!("{} of {}: {said:?}", what, base.name()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), taken.len(), wrong.join("\n"));
}
