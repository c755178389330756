/// Which interface a log speaks. The two have nothing in common but the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ApiVersion {
    /// `/api/v1`: signed entry timestamps, look-ups, `dsse`.
    V1,
    /// `/api/v2`, rekor-tiles: no time of its own, no look-ups, `hashedrekord` only.
    V2,
}
