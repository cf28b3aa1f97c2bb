//! What the tests share: a scripted HTTP server, archives built on the spot, fetches as processes.

pub(crate) mod archives;
pub(crate) mod bench;
pub(crate) mod child;
pub(crate) mod scripted;
pub(crate) mod server;
