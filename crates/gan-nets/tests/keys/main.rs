//! State-dict keys and shapes of every network, pinned: a checkpoint of the references loads as it is, and one written
//! here loads there.
//!
//! The snapshots beside this file are those of the PyTorch networks in `tests/oracle` (`make_keys.py` writes them);
//! `BLESS=1 cargo test -p gan-nets --test keys` overwrites them with what the Rust networks have.
#![allow(clippy::unwrap_used)]

mod recorder;
mod rules;
mod snapshots;
