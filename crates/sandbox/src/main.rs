//! A Sigstore in one process.
fn main() {}
