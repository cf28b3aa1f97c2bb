//! Tests that cross crates live in this package; the library itself is empty.
