//! The server over real sockets: what it answers, and what it does not let itself be made to do.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "images are judged by another reader than the one under test")]

mod bodies;
mod bombs;
mod connections;
mod hosts;
mod models;
mod paths;
mod queue;
mod support;
mod tokens;
mod watching;
