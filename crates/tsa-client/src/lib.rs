//! RFC 3161 timestamps: ask an authority for one, and verify it
