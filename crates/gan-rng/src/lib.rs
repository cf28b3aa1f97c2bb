//! Counter-based randomness (Philox4x32-10): every number is a pure function of its key.
