//! As much DER as is needed to tell one thing from the next.

const SEQUENCE: u8 = 0x30;

/// The first element of some bytes, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, after) = bytes.split_first()?;
        let (&first, after) = after.split_first()?;
        let (header, length) = match first {
            0..=0x7f => (2_usize, usize::from(first)),
            0x81..=0x83 => {
                let octets = after.get(..usize::from(first & 0x7f))?;
                let length = octets.iter().fold(0, |sum, &octet| sum << 8 | usize::from(octet));
                (octets.len().checked_add(2)?, length)
            }
            // Indefinite is not DER, and four octets are more than any answer holds.
            _ => return None,
        };
        let (whole, rest) = bytes.split_at_checked(header.checked_add(length)?)?;
        Some(Self { tag, content: whole.get(header..)?, whole, rest })
    }
}

/// Splits certificates that follow one another in DER: each is a SEQUENCE with its length.
pub(crate) fn certificates(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut certificates = Vec::new();
    while !bytes.is_empty() {
        let first = Element::first(bytes)?;
        if first.tag != SEQUENCE {
            return None;
        }
        certificates.push(first.whole.to_vec());
        bytes = first.rest;
    }
    Some(certificates)
}

/// The URIs among the names of a SubjectAltName (RFC 5280 4.2.1.6).
pub(crate) fn uris(subject_alt_name: &[u8]) -> Option<Vec<&str>> {
    const URI: u8 = 0x86;
    let all = Element::first(subject_alt_name)?;
    if all.tag != SEQUENCE || !all.rest.is_empty() {
        return None;
    }
    let mut names = all.content;
    let mut uris = Vec::new();
    while !names.is_empty() {
        let name = Element::first(names)?;
        if name.tag == URI {
            uris.push(std::str::from_utf8(name.content).ok()?);
        }
        names = name.rest;
    }
    Some(uris)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn concatenated_der_is_split_at_its_lengths() {
        let long = [&[0x30, 0x81, 0x80][..], &[7; 128]].concat();
        let both = [&[0x30, 0x01, 0x05][..], &long].concat();
        assert_eq!(certificates(&both).unwrap(), [vec![0x30, 0x01, 0x05], long.clone()]);
        assert_eq!(certificates(&[]).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn what_is_not_whole_der_is_refused() {
        for bytes in [&[0x30][..], &[0x30, 0x02, 0x05], &[0x31, 0x00], &[0x30, 0x80, 0, 0]] {
            assert_eq!(certificates(bytes), None, "{bytes:?}");
        }
        assert_eq!(certificates(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(certificates(&[0x30, 0x82, 0xff]), None);
    }

    #[test]
    fn only_uris_are_taken_from_the_names() {
        let names = [0x30, 0x08, 0x82, 0x01, b'd', 0x86, 0x03, b'a', b':', b'b'];
        assert_eq!(uris(&names).unwrap(), ["a:b"]);
        assert_eq!(uris(&[0x30, 0x00]).unwrap(), Vec::<&str>::new());
        assert_eq!(uris(&[0x30, 0x03, 0x86, 0x01, 0xff]), None, "no text");
        assert_eq!(uris(&[0x30, 0x00, 0x00]), None, "something behind");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = uris(&bytes);
            if let Some(parts) = certificates(&bytes) {
                prop_assert_eq!(parts.concat(), bytes);
            }
        }
    }
}
