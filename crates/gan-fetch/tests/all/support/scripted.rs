//! A bench whose one weights file `net` comes from a scripted server.

use super::archives::noise;
use super::bench::Bench;
use super::server::{Reply, Request, Server};
use gan_fetch::digest::sha256;

/// A file that the sniffer takes for a checkpoint.
pub(crate) fn checkpoint(length: usize) -> Vec<u8> {
    [&[0x80, 2][..], &noise(length - 2, 7)].concat()
}

pub(crate) fn hashed(body: &[u8]) -> String {
    format!("bytes = {}\nsha256 = '{}'", body.len(), sha256(body))
}

/// A bench whose one weights file comes from a scripted server.
pub(crate) fn scripted(
    body: &[u8],
    more: &str,
    script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static,
) -> (Bench, Server) {
    let (bench, server) = (Bench::new(), Server::start(script));
    let more = if more.is_empty() { hashed(body) } else { more.to_owned() };
    bench.weights("pth", &[server.url("/net.pth")], &more);
    (bench, server)
}

#[track_caller]
pub(crate) fn assert_came(bench: &Bench, body: &[u8]) {
    assert_eq!(std::fs::read(bench.data("weights/net.pth")).unwrap(), body);
    assert_eq!(bench.part("net"), None);
    bench.assert_canary();
}
