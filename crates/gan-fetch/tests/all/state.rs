//! Fetching and what is there already: states, terms, damage, weights that are cut down.

use crate::support;

use std::fs;

use gan_fetch::digest::sha256;
use support::archives::{noise, zip};
use support::bench::{Bench, tree};
use support::server::{Reply, Server};

/// A dataset of two images and its server.
fn two_images(bench: &Bench, more: &str) -> Server {
    let server = Server::of(zip(&[("set/train/a.png", &noise(500, 1)), ("set/train/b.png", &noise(600, 2))]));
    bench.dataset("zip", &[server.url("/set.zip")], more);
    server
}

#[test]
fn the_list_tells_what_is_here() {
    let bench = Bench::new();
    let _server = two_images(&bench, "");
    let state = || {
        let text = bench.run(&["--list"]).well().text.clone();
        let line = text.lines().find(|line| line.starts_with("set ")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!(state(), "-");
    bench.run(&["set"]).well();
    assert_eq!(state(), "present");
    fs::write(bench.data("datasets/set/train/mine.png"), "added").unwrap();
    assert_eq!(state(), "present");
    fs::write(bench.data("datasets/set/train/a.png"), "changed").unwrap();
    assert_eq!(state(), "damaged");
    fs::remove_file(bench.data("fetch.lock.toml")).unwrap();
    assert_eq!(state(), "unverified");
}

#[test]
fn restricted_terms_are_asked_for() {
    let bench = Bench::new();
    let server = two_images(&bench, "restricted = true\nterms = 'For cats only.'");
    bench.run(&["set"]).badly("its terms restrict use: For cats only.");
    assert!(server.requests().is_empty());
    bench.run(&["set", "--accept-licence"]).well();
    assert_eq!(tree(&bench.data("datasets/set")).len(), 2);
}

#[test]
fn offline_fetches_nothing() {
    let bench = Bench::new();
    let server = two_images(&bench, "manual = ['ask a friend for {stored}']");
    let place = bench.data("datasets/set").display().to_string();
    bench.run(&["set", "--offline"]).badly("may not be fetched offline").said(&format!("ask a friend for {place}"));
    assert!(server.requests().is_empty());
    bench.run(&["set"]).well();
    bench.run(&["set", "--offline"]).well().said("present and intact");
    fs::remove_file(bench.data("datasets/set/train/a.png")).unwrap();
    bench.run(&["set", "--offline"]).badly("train/a.png is missing");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn damage_is_repaired_and_the_old_one_kept_aside() {
    let bench = Bench::new();
    let server = two_images(&bench, "");
    bench.run(&["set"]).well();
    fs::write(bench.data("datasets/set/train/a.png"), "short").unwrap();
    fs::write(bench.data("datasets/set/train/mine.png"), "mine").unwrap();
    bench.run(&["set"]).well().said("damaged (train/a.png has 5 bytes instead of 500)");
    assert_eq!(server.requests().len(), 2);
    let now = tree(&bench.data("datasets/set"));
    assert_eq!(now["train/a.png"], noise(500, 1));
    assert_eq!(now.len(), 2);
    let aside = tree(&bench.data(".fetch/replaced"));
    assert!(aside.values().any(|data| data == b"mine"), "{:?}", aside.keys());
}

#[test]
fn weights_are_checked_to_the_last_byte() {
    let bench = Bench::new();
    let body = [&[0x80, 2][..], &noise(1000, 3)].concat();
    let server = Server::of(body.clone());
    bench.weights("pth", &[server.url("/net.pth")], "approx = '1 kB'");
    bench.run(&["net"]).well();
    let place = bench.data("weights/net.pth");
    let mut flipped = body.clone();
    flipped[500] ^= 1;
    fs::write(&place, &flipped).unwrap();
    bench.run(&["net"]).well().said("its hash has changed");
    assert_eq!(fs::read(&place).unwrap(), body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn another_host_serves_every_path() {
    let bench = Bench::new();
    let server = two_images(&bench, "");
    bench.dataset("zip", &["https://nowhere.invalid/data/set.zip?dl=1".to_owned()], "");
    bench.run(&["set", "--base-url", &server.url("/mirror/")]).well();
    assert_eq!(server.requests()[0].path, "/mirror/data/set.zip?dl=1");
}

#[test]
fn one_that_fails_does_not_keep_the_others_from_coming() {
    let bench = Bench::new();
    let server = Server::start(|request, _| match request.path.as_str() {
        "/good.zip" => Reply::honest(request, &zip(&[("good/a.png", b"1")]), "v"),
        _ => Reply::status(404),
    });
    let entry = |name: &str| {
        let url = server.url(&format!("/{name}.zip"));
        format!("[[dataset]]\nname='{name}'\nabout=''\nlicence='CC0'\nformat='zip'\nurls=['{url}']\n")
    };
    fs::write(bench.path("catalog.toml"), format!("{}{}", entry("bad"), entry("good"))).unwrap();
    bench.run(&["bad", "good"]).badly("HTTP 404");
    assert_eq!(tree(&bench.data("datasets")).into_keys().collect::<Vec<_>>(), ["good/a.png"]);
}

#[test]
fn vgg19_keeps_its_convolutions_only() {
    let features = noise(64, 1);
    let header = r#"{"__metadata__":{"format":"pt"},"features.0.weight":{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]},"pre_logits.fc1.weight":{"dtype":"F32","shape":[250],"data_offsets":[64,1064]}}"#;
    let source = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &features, &noise(1000, 2)].concat();
    let hash = sha256(&source);
    let server = Server::start({
        let source = source.clone();
        // As Hugging Face does it: a redirect that announces the hash.
        move |request, _| match request.path.as_str() {
            "/timm/vgg19.tv_in1k/resolve/main/model.safetensors" => {
                Reply::status(302).header("Location", "/blob").header("X-Linked-ETag", format!("\"{hash}\""))
            }
            _ => Reply::honest(request, &source, "v"),
        }
    });
    let bench = Bench::new();
    // The entry as it is, but for the size: half a gigabyte is too much for a test.
    let catalog = include_str!("../../catalog.toml");
    assert!(catalog.contains("approx = \"575 MB\""));
    fs::write(bench.path("catalog.toml"), catalog.replace("approx = \"575 MB\"", "")).unwrap();
    let args = ["vgg19", "--base-url", &server.url("")];
    bench.run(&args).well().said("weights/vgg19.safetensors");
    let stored = fs::read(bench.data("weights/vgg19.safetensors")).unwrap();
    assert!(stored.ends_with(&features) && stored.len() < 300, "{}", stored.len());
    assert!(!String::from_utf8_lossy(&stored).contains("pre_logits"));
    let lock = fs::read_to_string(bench.data("fetch.lock.toml")).unwrap();
    assert!(lock.contains(&format!("sha256 = \"{}\"", sha256(&source))), "{lock}");
    assert!(lock.contains(&format!("stored_sha256 = \"{}\"", sha256(&stored))), "{lock}");
    bench.run(&args).well().said("present and intact");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_damaged_lock_file_is_named() {
    let bench = Bench::new();
    let server = two_images(&bench, "");
    fs::create_dir_all(bench.path("data")).unwrap();
    fs::write(bench.data("fetch.lock.toml"), "not toml").unwrap();
    bench.run(&["set"]).badly("fetch.lock.toml is damaged");
    assert!(server.requests().is_empty());
}

#[test]
fn an_archive_killed_half_way_and_fetched_again() {
    let archive = zip(&[("set/train/a.png", &noise(400_000, 1))]);
    let bench = Bench::new();
    let server = Server::start({
        let archive = archive.clone();
        move |request, n| {
            let reply = Reply::honest(request, &archive, "v");
            if n == 0 { reply.drip(40_000, std::time::Duration::from_millis(40)) } else { reply }
        }
    });
    let more = format!("bytes = {}\nsha256 = '{}'", archive.len(), sha256(&archive));
    bench.dataset("zip", &[server.url("/set.zip")], &more);
    let mut child = bench.spawn(&["set"]);
    let began = std::time::Instant::now();
    while bench.part("set").is_none_or(|part| part.len() < 80_000) {
        assert!(began.elapsed().as_secs() < 5, "no bytes came");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    bench.assert_nothing_came();
    bench.run(&["set"]).well();
    assert!(server.requests()[1].offset().unwrap() >= 80_000, "continued, not begun anew");
    assert_eq!(tree(&bench.data("datasets/set"))["train/a.png"], noise(400_000, 1));
    let lock = fs::read_to_string(bench.data("fetch.lock.toml")).unwrap();
    assert!(lock.contains(&sha256(&archive)), "{lock}");
}
