//! Fetching, from servers that behave and servers that do not.
#![allow(clippy::unwrap_used)]

mod archives;
mod bounds;
mod mirrors;
mod resume;
mod state;
mod support;
mod transfer;
