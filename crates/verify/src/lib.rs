//! The judgement over a Sigstore bundle: pure, strict, and clear about what failed
