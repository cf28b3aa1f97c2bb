//! Fetching from servers that go in circles, hold something back, or send something else; and from several mirrors.

use crate::support;

use std::time::{Duration, Instant};

use gan_fetch::digest::sha256;
use support::archives::{TarEntry, gzip, noise, tar, zip};
use support::bench::{Bench, ended, tree};
use support::scripted::{assert_came, checkpoint, hashed, scripted};
use support::server::{Reply, Server};

#[test]
fn another_file_with_each_request_has_an_end() {
    let body = checkpoint(1_000_000);
    // Cut at the same byte each time; and each time a little further, so that every request seems worth it.
    for (step, requests) in [(0, 5..=5), (70_000, 6..=14)] {
        let (bench, server) = scripted(&body, "", {
            let body = body.clone();
            move |_, n| Reply::whole(&body, &n.to_string()).cut(100_000 + step * n.min(12))
        });
        bench.run(&["net"]).badly("given up after");
        assert!(requests.contains(&server.requests().len()), "{step}: {}", server.requests().len());
        bench.assert_nothing_came();
    }
}

#[test]
fn by_turns_a_whole_file_and_a_part_of_another_has_an_end() {
    let body = checkpoint(1_000_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| match request.offset() {
            None => Reply::whole(&body, &n.to_string()).cut(200_000 + 1000 * n),
            Some(_) => {
                let mut request = request.clone();
                request.headers.retain(|(key, _)| !key.eq_ignore_ascii_case("if-range"));
                Reply::honest(&request, &body, &n.to_string())
            }
        }
    });
    bench.run(&["net"]).badly("given up after").said("a part of another file");
    assert!(server.requests().len() <= 10, "{}", server.requests().len());
    bench.assert_nothing_came();
}

#[test]
fn two_hosts_that_send_to_each_other() {
    let body = checkpoint(1000);
    let back = std::sync::Arc::new(std::sync::OnceLock::<String>::new());
    let other = Server::start({
        let back = std::sync::Arc::clone(&back);
        move |_, _| Reply::status(302).header("Location", back.get().unwrap())
    });
    let there = other.url("/net.pth");
    let (bench, server) = scripted(&body, "", move |_, _| Reply::status(302).header("Location", &there));
    back.set(server.url("/net.pth")).unwrap();
    bench.run(&["net"]).badly("more than 5 redirects");
    assert_eq!(server.requests().len() + other.requests().len(), 6);
}

#[test]
fn the_mirror_that_gave_the_first_part_is_asked_first() {
    let body = checkpoint(100_000);
    let first = Server::start({
        let body = body.clone();
        move |request, n| if n == 0 { Reply::status(404) } else { Reply::honest(request, &body, "first") }
    });
    let (bench, second) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| match n {
            0 => Reply::whole(&body, "second").cut(50_000),
            1 => Reply::status(404),
            _ => Reply::honest(request, &body, "second"),
        }
    });
    bench.weights("pth", &[first.url("/net.pth"), second.url("/net.pth")], &hashed(&body));
    bench.run(&["net"]).badly("no mirror gave the file");
    assert!(bench.part("net").is_some());
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    assert_eq!(first.requests().len(), 1, "it would have begun anew");
    assert!(second.requests()[2].offset().is_some_and(|offset| offset > 0));
}

#[test]
fn headers_without_end() {
    let body = checkpoint(1000);
    for pause in [Duration::from_millis(20), Duration::ZERO] {
        let (bench, server) = scripted(&body, "", {
            let body = body.clone();
            move |request, n| {
                let reply = Reply::honest(request, &body, "v");
                if n == 0 { reply.endless_head(pause) } else { reply }
            }
        });
        let second = Server::of(body.clone());
        bench.weights("pth", &[server.url("/net.pth"), second.url("/net.pth")], &hashed(&body));
        let began = Instant::now();
        let output = bench.command(&["net"]).env("GAN_FETCH_STALL_MS", "200").output().unwrap();
        ended(output).well();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        assert_came(&bench, &body);
    }
}

#[test]
fn a_part_that_nobody_asked_for() {
    let body = checkpoint(10_000);
    let (bench, _server) = scripted(&body, "", {
        let body = body.clone();
        move |_, _| {
            let mut reply = Reply::whole(&body[5000..], "v").header("Content-Range", "bytes 5000-9999/10000");
            reply.status = 206;
            reply
        }
    });
    bench.run(&["net"]).badly("HTTP 206");
    bench.assert_nothing_came();
}

#[test]
fn chunks_that_break_off() {
    let body = checkpoint(10_000);
    for keep in [3, 5000, 10_005] {
        let (bench, server) = scripted(&[], "approx = '10 kB'", {
            let body = body.clone();
            move |request, n| {
                if n > 0 {
                    return Reply::honest(request, &body, "v");
                }
                let chunk = [b"2710\r\n", &body[..], b"\r\n0\r\n\r\n"].concat();
                let reply = Reply::whole(&chunk[..keep], "v").without("Content-Length");
                reply.header("Transfer-Encoding", "chunked")
            }
        });
        bench.run(&["net"]).well().said("again in");
        assert_came(&bench, &body);
        assert_eq!(server.requests().len(), 2, "{keep}");
    }
}

/// Without a length, a size in the catalogue or a hash, only the file itself tells that its end is missing.
#[test]
fn half_a_file_that_looks_whole() {
    let zipped = zip(&[("set/a.png", &noise(5000, 1)), ("set/b.png", &noise(5000, 2))]);
    let tarred = tar(&[TarEntry::file("set/a.png", &noise(5000, 1)), TarEntry::file("set/b.png", &noise(5000, 2))]);
    for (format, archive) in [("zip", zipped), ("tar", tarred.clone()), ("tar.gz", gzip(&tarred))] {
        let server = Server::start({
            let archive = archive.clone();
            move |request, n| match n {
                0 => Reply::whole(&archive[..archive.len() / 2], "v").without("Content-Length").without("ETag"),
                _ => Reply::honest(request, &archive, "v"),
            }
        });
        let bench = Bench::new();
        bench.dataset(format, &[server.url("/set")], "");
        bench.run(&["set"]).badly("");
        bench.assert_nothing_came();
        assert_eq!(bench.part("set"), None, "{format}: the same half would be found again");
        bench.run(&["set"]).well();
        assert_eq!(tree(&bench.data("datasets/set")).len(), 2, "{format}");
    }
    let header = r#"{"a":{"dtype":"U8","shape":[1000],"data_offsets":[0,1000]}}"#;
    let whole = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &noise(1000, 1)].concat();
    let container = zip(&[("net/data.pkl", &noise(1000, 1))]);
    for (format, whole) in [("safetensors", whole), ("pth", container)] {
        let half = whole[..whole.len() - 500].to_vec();
        let server = Server::start(move |_, _| Reply::whole(&half, "v").without("Content-Length"));
        let bench = Bench::new();
        bench.weights(format, &[server.url("/net")], "");
        bench.run(&["net"]).badly("cut short");
        bench.assert_nothing_came();
    }
}

#[test]
fn a_login_page_in_place_of_a_zip() {
    let archive = zip(&[("set/a.png", &noise(100_000, 1))]);
    let page = b"<html><form action=/login>Your name</form></html>".to_vec();
    for before in [0, 50_000] {
        let server = Server::start({
            let (archive, page) = (archive.clone(), page.clone());
            move |request, n| match request.path.as_str() {
                "/login" => Reply::whole(&page, "p").header("Content-Type", "text/html; charset=utf-8"),
                _ if n == 0 && before > 0 => Reply::honest(request, &archive, "v").cut(before),
                _ if n < 3 => Reply::status(302).header("Location", "/login"),
                _ => Reply::honest(request, &archive, "v"),
            }
        });
        let bench = Bench::new();
        bench.dataset("zip", &[server.url("/set.zip")], "");
        bench.run(&["set"]).badly("web page");
        bench.assert_nothing_came();
        // What came before the page is kept.
        assert_eq!(bench.part("set").map_or(0, |part| part.len()), before);
        while !tree(&bench.data("datasets")).contains_key("set/a.png") {
            assert!(server.requests().len() < 6, "logged in, and still nothing");
            bench.run(&["set"]);
        }
        let last = server.requests().pop().unwrap();
        assert_eq!(last.offset().unwrap_or(0), before);
    }
}

#[test]
fn packed_once_more_by_a_proxy_that_does_not_say_so() {
    let archive = gzip(&tar(&[TarEntry::file("set/a.png", &noise(3000, 1))]));
    let packed = gzip(&archive);
    for more in [String::new(), hashed(&archive)] {
        let server = Server::start({
            let (archive, packed) = (archive.clone(), packed.clone());
            move |request, n| match n {
                0 => Reply::whole(&packed, "v").without("Content-Length"),
                _ => Reply::honest(request, &archive, "v"),
            }
        });
        let bench = Bench::new();
        bench.dataset("tar.gz", &[server.url("/set.tar.gz")], &more);
        bench.run(&["set"]).badly("");
        bench.assert_nothing_came();
        // The proxy is gone: nothing of what it sent is in the way.
        bench.run(&["set"]).well();
    }
}

#[test]
fn a_refused_archive_is_fetched_again_unless_its_hash_is_published() {
    let (bad, good) = (zip(&[("set/aux", b"1")]), zip(&[("set/a.png", b"1")]));
    let server = Server::start({
        let (bad, good) = (bad.clone(), good.clone());
        move |request, n| Reply::honest(request, if n == 0 { &bad } else { &good }, &n.to_string())
    });
    let bench = Bench::new();
    bench.dataset("zip", &[server.url("/set.zip")], "");
    bench.run(&["set"]).badly("is refused");
    bench.run(&["set"]).well();
    assert_eq!(server.requests().len(), 2);

    let server = Server::of(bad.clone());
    let bench = Bench::new();
    bench.dataset("zip", &[server.url("/set.zip")], &format!("sha256 = '{}'", sha256(&bad)));
    bench.run(&["set"]).badly("is refused");
    bench.run(&["set"]).badly("is refused");
    assert_eq!(server.requests().len(), 1, "it is the right file: the mirrors have no other");
    bench.assert_nothing_came();
}

/// A process can be killed after the last byte and before it flushed, checked or moved the file.
#[test]
fn all_bytes_of_a_process_that_was_killed() {
    let body = checkpoint(10_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, _| Reply::honest(request, &body, "v")
    });
    let parts = bench.data(".fetch/parts");
    std::fs::create_dir_all(&parts).unwrap();
    let note = format!(r#"{{"url":"{}","validator":"\"v\"","total":10000,"announced":null}}"#, server.url("/net.pth"));
    for (bytes, requests) in [(body.clone(), 0), (noise(10_000, 5), 1)] {
        std::fs::write(parts.join("net.part"), bytes).unwrap();
        std::fs::write(parts.join("net.part.json"), &note).unwrap();
        bench.run(&["net"]).well();
        assert_came(&bench, &body);
        assert_eq!(server.requests().len(), requests);
        std::fs::remove_file(bench.data("weights/net.pth")).unwrap();
    }
}
