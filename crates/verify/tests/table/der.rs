//! A DER writer of a few lines: it writes whatever it is told, right or wrong.

use std::time::SystemTime;

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    if length < 0x80 {
        bytes.push(u8::try_from(length).unwrap());
    } else {
        let all = length.to_be_bytes();
        let short: Vec<u8> = all.iter().copied().skip_while(|byte| *byte == 0).collect();
        bytes.push(0x80 | u8::try_from(short.len()).unwrap());
        bytes.extend(short);
    }
    bytes.extend(content);
    bytes
}

pub(crate) fn seq(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// In the order that DER wants.
pub(crate) fn set(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(0x31, &parts.concat())
}

pub(crate) fn int(value: u64) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        value.to_be_bytes().iter().copied().skip_while(|byte| *byte == 0).collect();
    if bytes.first().is_none_or(|first| *first >= 0x80) {
        bytes.insert(0, 0);
    }
    tlv(0x02, &bytes)
}

pub(crate) fn oid(text: &str) -> Vec<u8> {
    let arcs: Vec<u64> = text.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let mut groups = vec![u8::try_from(arc & 0x7f).unwrap()];
        let mut rest = arc >> 7;
        while rest > 0 {
            groups.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        content.extend(groups.into_iter().rev());
    }
    tlv(0x06, &content)
}

pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

pub(crate) fn bits(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

pub(crate) fn utc_time(time: SystemTime) -> Vec<u8> {
    tlv(0x17, format(time, "%y%m%d%H%M%SZ").as_bytes())
}

pub(crate) fn generalized_time(time: SystemTime) -> Vec<u8> {
    tlv(0x18, format(time, "%Y%m%d%H%M%SZ").as_bytes())
}

fn format(time: SystemTime, format: &str) -> String {
    jiff::Timestamp::try_from(time).unwrap().strftime(format).to_string()
}

/// A distinguished name with a common name only; empty for "".
pub(crate) fn name(common_name: &str) -> Vec<u8> {
    if common_name.is_empty() {
        return seq(&[]);
    }
    seq(&[tlv(0x31, &seq(&[oid("2.5.4.3"), utf8(common_name)]))])
}
