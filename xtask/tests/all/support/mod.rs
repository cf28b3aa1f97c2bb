//! What the tests of `fetch-data` share: a scripted HTTP server, archives built on the spot, runs of the binary.
#![allow(dead_code, reason = "each test binary uses a part")]

pub(crate) mod archives;
pub(crate) mod bench;
pub(crate) mod scripted;
pub(crate) mod server;
