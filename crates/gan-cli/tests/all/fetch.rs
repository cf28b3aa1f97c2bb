//! `gan-cli fetch`. How transfers go wrong is tested in gan-fetch.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use crate::support;

#[allow(dead_code, reason = "the tests of gan-fetch use all of it")]
#[path = "../../../gan-fetch/tests/all/support/server.rs"]
mod server;

use server::{Reply, Server};
use std::fs;
use std::process::Command;
use std::time::Duration;
use support::{Bench, Ran, signal, wait, wait_until};

/// Bytes that pass for a file of PyTorch.
fn weights(length: usize) -> Vec<u8> {
    let mut bytes = vec![0x80, 2];
    bytes.resize(length, 7);
    bytes
}

/// A catalogue `c.toml` of one weight file.
fn catalog(bench: &Bench, url: &str, more: &str) {
    let entry = format!(
        "[[weights]]\nname='net'\nabout='a test'\nlicence='CC0'\nformat='pth'\nurls=['{url}']\ntry='gan-cli summary {{here}}'\n{more}\n"
    );
    fs::write(bench.path("c.toml"), entry).unwrap();
}

fn fetch(bench: &Bench, args: &[&str]) -> Ran {
    let mut command = bench.command(["fetch", "--catalog", "c.toml"]);
    command.args(args).env("GAN_FETCH_BACKOFF_MS", "1").output().unwrap().into()
}

#[test]
fn the_list_says_what_is_for_whom() {
    let bench = Bench::new();
    let list = bench.ok(["fetch", "--list"]).out;
    for words in [
        "Pairs of images",
        "Two folders of unpaired images",
        "Trained generators",
        "for pix2pix: gan-cli train pix2pix --data facades --out runs/facades --preset facades\n",
        "for cyclegan, cut: gan-cli train cyclegan --data horse2zebra --out runs/horse2zebra --preset horse2zebra\n",
        "gan-cli translate --model",
    ] {
        assert!(list.contains(words), "{words} is missing in:\n{list}");
    }
    let (users, internal) = list.split_once("Networks of losses and metrics").unwrap();
    assert!(!users.contains("lpips_") && internal.contains("lpips_alex"));
    assert_eq!(bench.ok(["fetch"]).out, list, "no name: the list");
    assert!(!bench.path("data-dir").exists(), "looking changes nothing");
    assert!(bench.ok(["fetch", "--list", "--out", "else where"]).out.contains("'else where/datasets/facades'"));
}

#[test]
fn a_file_comes_and_is_found_again() {
    let bench = Bench::new();
    let server = Server::of(weights(3000));
    catalog(&bench, &server.url("/net.pth"), "approx='3 kB'");
    let ran = fetch(&bench, &["net"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let place = bench.path("data-dir/weights/net.pth");
    assert_eq!(fs::read(&place).unwrap(), weights(3000));
    assert!(ran.out.contains("net: 1 file, 3.0 kB, at "), "{ran:?}");
    assert!(ran.out.contains(&format!("try: gan-cli summary {}", place.display())), "{ran:?}");
    assert!(fetch(&bench, &["net"]).out.contains("present and intact"));
    assert!(fetch(&bench, &["net", "--offline"]).out.contains("present and intact"));
    assert_eq!(server.requests().len(), 1);
    assert_eq!(fetch(&bench, &["net", "--out", "there"]).code, Some(0));
    assert!(bench.path("there/weights/net.pth").is_file());
    fetch(&bench, &["net", "--out", "nowhere", "--offline"])
        .fails(1, &["net: it is not at nowhere", "without --offline"]);
}

#[test]
fn what_goes_wrong_is_told_with_what_helps() {
    let bench = Bench::new();
    bench.run(["fetch", "horse2zebr"]).fails(2, &["the catalogue has no `horse2zebr`", "did you mean `horse2zebra`"]);
    bench.run(["fetch", "qqqqqqqqqqqq"]).fails(2, &["--list"]);
    bench.run(["fetch", "facades", "--base-url", "ftp://h"]).fails(2, &["--base-url", "not an http(s) address"]);
    bench.run(["fetch", "cityscapes"]).fails(1, &["no redistribution", "by hand:", "1. register at"]);
    bench.run(["fetch", "horse2zebra"]).fails(1, &["ImageNet", "--accept-licence"]);
    fs::write(bench.path("c.toml"), "[[weights]]\nname='net'\n").unwrap();
    fetch(&bench, &["net"]).fails(4, &["c.toml", "missing field"]);
    let server = Server::start(|_, _| Reply::status(404));
    catalog(&bench, &server.url("/net.pth"), "");
    fetch(&bench, &["net"])
        .fails(1, &["net: no mirror gave the file", "HTTP 404 Not Found", "by hand:", "2. put it at"]);
    let both = fetch(&bench, &["net", "net"]);
    both.fails(1, &["net: no mirror", "error: 2 of 2 not fetched"]);
}

#[test]
fn an_interrupted_fetch_says_how_to_go_on() {
    let bench = Bench::new();
    let body = weights(400_000);
    let server = Server::start({
        let body = body.clone();
        move |request, n| {
            let reply = Reply::honest(request, &body, "v");
            if n == 0 { reply.drip(40_000, Duration::from_millis(200)) } else { reply }
        }
    });
    catalog(&bench, &server.url("/net.pth"), "approx='400 kB'");
    let mut child = bench.command(["fetch", "net", "--catalog", "c.toml"]).spawn().unwrap();
    let part = bench.path("data-dir/.fetch/parts/net.part");
    wait_until("some bytes", || fs::metadata(&part).is_ok_and(|part| part.len() >= 80_000));
    signal(&child, "INT");
    assert_eq!(wait(&mut child).code(), Some(130));
    let said = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    let line =
        said.lines().find_map(|line| line.split_once("Run again to go on: ")).unwrap_or_else(|| panic!("{said}")).1;
    assert_eq!(line, "gan-cli fetch net --catalog c.toml");
    assert!(!bench.path("data-dir/weights").exists());
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_gan-cli"));
    let mut again = Command::new("sh");
    again.args(["-c", &line.replacen("gan-cli", &bin.display().to_string(), 1)]).current_dir(bench.path(""));
    let ran: Ran = again.env("GAN_DATA_DIR", bench.path("data-dir")).output().unwrap().into();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(server.requests()[1].offset().unwrap() >= 80_000, "continued, not begun anew");
    assert_eq!(fs::read(bench.path("data-dir/weights/net.pth")).unwrap(), body);
}
