//! What requests may take.

use std::time::Duration;

/// What requests may take. The default suits one person, or a few, with a browser and some programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time. When all are taken, the one that has kept the server waiting longest gives way to a new one.
    pub connections: usize,
    /// Time for which a connection may keep the server waiting before it may have to give way.
    pub grace: Duration,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Time for the headers of a request, counted from when the connection is idle.
    pub header_time: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are larger than [`Limits::SMALL_BODY`], together.
    pub bodies_bytes: usize,
    /// Time for a whole body.
    pub body_time: Duration,
    /// Time without a byte of the body.
    pub stall_time: Duration,
    /// Time in which a client takes nothing of an answer.
    pub write_time: Duration,
    /// Pixels of an image, by its header.
    pub pixels: u64,
    /// Longest side of an image.
    pub side: u32,
    /// Bytes of the pixels of an image.
    pub decoded_bytes: u64,
    /// Requests that wait for one model.
    pub queue: usize,
    /// Requests of one client on another machine that are worked on or wait.
    pub per_client: usize,
    /// Time from when a request was read to its answer.
    pub deadline: Duration,
    /// Time that the translation of one image may be expected to take.
    pub translation: Duration,
    /// Time that answers get when the server ends.
    pub shutdown: Duration,
}

impl Limits {
    /// Bytes of a body that every connection may have, whatever the others take.
    pub const SMALL_BODY: usize = 1 << 20;
    /// Fields of a form beside its files.
    pub const FIELDS: usize = 6;
    /// Bytes of such a field.
    pub const FIELD_BYTES: usize = 1 << 10;
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 64,
            grace: Duration::from_millis(500),
            header_bytes: 16 << 10,
            header_time: Duration::from_secs(5),
            body_bytes: 16 << 20,
            bodies_bytes: 64 << 20,
            body_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(10),
            write_time: Duration::from_secs(15),
            pixels: 16 << 20,
            side: 8192,
            decoded_bytes: 256 << 20,
            queue: 8,
            per_client: 2,
            deadline: Duration::from_secs(20),
            translation: Duration::from_secs(10),
            shutdown: Duration::from_secs(5),
        }
    }
}
