//! Transparency logs: RFC 6962 proofs, C2SP signed notes, checkpoints and tiles
