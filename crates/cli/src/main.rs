//! The ambisign program.
fn main() {}
