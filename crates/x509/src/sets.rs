//! A guard against sets that take long to sort.

/// Whether no set in `der` has more than 64 members, however deep it lies.
///
/// The decoder sorts every `SET OF` by insertion: one of ten thousand members, which fits into 20
/// kB, takes seconds. Look here before decoding anything of unknown origin that may hold sets. Sets
/// with an implicit tag count as well. What is not DER passes: the decoder says what is wrong.
pub fn has_small_sets(der: &[u8]) -> bool {
    // The ends of the open elements, with the number of members left where it is limited.
    let mut open: Vec<(usize, Option<usize>)> = Vec::new();
    let mut at = 0;
    while at < der.len() {
        while open.last().is_some_and(|(end, _)| *end <= at) {
            open.pop();
        }
        if let Some((_, Some(left))) = open.last_mut() {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return false,
            }
        }
        let Some((tag, start, length)) = header(der, at) else { return true };
        if tag & CONSTRUCTED == 0 {
            at = start.saturating_add(length);
            continue;
        }
        let may_be_set = tag == SET || tag & CONTEXT == CONTEXT;
        open.push((start.saturating_add(length), may_be_set.then_some(MOST_MEMBERS)));
        at = start;
    }
    true
}

/// The tag at `at`, where its content starts and how long that is.
fn header(der: &[u8], at: usize) -> Option<(u8, usize, usize)> {
    let tag = *der.get(at)?;
    let first = *der.get(at.checked_add(1)?)?;
    let start = at.checked_add(2)?;
    if first < 0x80 {
        return Some((tag, start, usize::from(first)));
    }
    let octets = usize::from(first & 0x7f);
    let bytes = der.get(start..start.checked_add(octets)?).filter(|_| (1..=4).contains(&octets))?;
    let length = bytes.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte));
    Some((tag, start + octets, length))
}

const CONSTRUCTED: u8 = 0x20;
const CONTEXT: u8 = 0x80;
const SET: u8 = 0x31;
const MOST_MEMBERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82, length[0], length[1]], content].concat()
    }

    #[test]
    fn sets_of_64_pass_and_one_more_member_does_not_wherever_the_set_is() {
        let set = |tag, members| wrap(tag, &b"\x02\x01\x05".repeat(members));
        for tag in [SET, 0xa0, 0xa1] {
            assert!(has_small_sets(&wrap(0x30, &set(tag, 64))));
            assert!(!has_small_sets(&wrap(0x30, &set(tag, 65))));
        }
        assert!(has_small_sets(&set(0x30, 1000)), "a sequence is not sorted");
        let deep = (0..50).fold(set(SET, 65), |inner, _| wrap(0x30, &inner));
        assert!(!has_small_sets(&deep));
        let beside = [set(SET, 64), set(SET, 64)].concat();
        assert!(has_small_sets(&wrap(0x30, &beside)));
    }

    #[test]
    fn anything_else_is_left_to_the_decoder() {
        for der in [&b""[..], b"\x31", b"\x31\x80", b"\x31\x85\0\0\0\0\x01", b"\x30\x03\x02"] {
            assert!(has_small_sets(der), "{der:?}");
        }
    }
}
