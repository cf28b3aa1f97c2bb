//! `fetch-data` against servers that misbehave: the right bytes arrive, or nothing does.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use support::archives::{noise, sha256};
use support::bench::{Bench, ended};
use support::server::{Reply, Request, Server};

/// A file that the sniffer takes for a checkpoint.
fn checkpoint(length: usize) -> Vec<u8> {
    [&[0x80, 2][..], &noise(length - 2, 7)].concat()
}

fn hashed(body: &[u8]) -> String {
    format!("bytes = {}\nsha256 = '{}'", body.len(), sha256(body))
}

/// A bench whose one weights file comes from a scripted server.
fn scripted(
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
fn assert_came(bench: &Bench, body: &[u8]) {
    assert_eq!(std::fs::read(bench.data("weights/net.pth")).unwrap(), body);
    assert_eq!(bench.part("net"), None);
    bench.assert_canary();
}

#[test]
fn a_plain_fetch_and_a_second_that_finds_it_there() {
    let body = checkpoint(5000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, _| Reply::honest(request, &body, "v")
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    bench.run(&["net"]).well().said("present and intact");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(server.requests()[0].header("accept-encoding"), Some("identity"));
    let lock = std::fs::read_to_string(bench.data("fetch.lock.toml")).unwrap();
    assert!(lock.contains("[weights.net]") && lock.contains(&sha256(&body)), "{lock}");
}

#[test]
fn dropped_at_twenty_offsets() {
    let body = checkpoint(200_000);
    for i in 0..20 {
        // Every tenth, and the edges.
        let at = [0, 1, 2, 511, 512, 65_535, 65_536, 131_072, 199_998, 199_999].get(i).copied().unwrap_or(i * 10_000);
        let (bench, server) = scripted(&body, "", {
            let body = body.clone();
            move |request, n| {
                let reply = Reply::honest(request, &body, "v");
                if n == 0 { reply.cut(at) } else { reply }
            }
        });
        bench.run(&["net"]).well();
        assert_came(&bench, &body);
        let requests = server.requests();
        assert_eq!(requests.len(), 2, "cut at {at}");
        if at > 0 {
            // A reset may swallow bytes that were on their way; what came is not asked for again.
            assert!(requests[1].offset().is_some_and(|offset| offset <= at), "cut at {at}");
            assert_eq!(requests[1].header("if-range"), Some("\"v\""));
        }
    }
}

#[test]
fn dropped_again_and_again_but_getting_on() {
    let body = checkpoint(1_000_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, _| Reply::honest(request, &body, "v").cut(100_000)
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    assert!(server.requests().len() >= 10);
}

#[test]
fn at_most_five_tries_without_getting_on() {
    for cut in [Some(0), None] {
        let body = checkpoint(1000);
        let (bench, server) = scripted(&body, "", {
            let body = body.clone();
            move |request, _| match cut {
                Some(at) => Reply::honest(request, &body, "v").cut(at),
                None => Reply::status(503),
            }
        });
        bench.run(&["net"]).badly("given up after 5 tries").said("by hand:");
        assert_eq!(server.requests().len(), 5);
        bench.assert_nothing_came();
    }
}

#[test]
fn killed_and_run_again() {
    let body = checkpoint(400_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| {
            let reply = Reply::honest(request, &body, "v");
            if n == 0 { reply.drip(50_000, Duration::from_millis(40)) } else { reply }
        }
    });
    let mut child = bench.spawn(&["net"]);
    let began = Instant::now();
    while bench.part("net").is_none_or(|part| part.len() < 100_000) {
        assert!(began.elapsed() < Duration::from_secs(5), "no bytes came");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    bench.assert_nothing_came();
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    assert!(server.requests()[1].offset().unwrap() >= 100_000);
}

#[test]
fn without_a_validator_a_part_is_not_kept() {
    let body = checkpoint(10_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| {
            let reply = Reply::honest(request, &body, "v").without("ETag");
            if n == 0 { reply.cut(5000) } else { reply }
        }
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    assert_eq!(server.requests()[1].offset(), None);
}

#[test]
fn the_date_of_the_last_change_will_do_and_a_weak_tag_will_not() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (name, value, kept) in [("Last-Modified", date, true), ("ETag", "W/\"v\"", false)] {
        let body = checkpoint(10_000);
        let (bench, server) = scripted(&body, "", {
            let body = body.clone();
            move |request, n| {
                let mut request = request.clone();
                request.headers.retain(|(key, _)| !key.eq_ignore_ascii_case("if-range"));
                let reply = Reply::honest(&request, &body, "v").without("ETag").header(name, value);
                if n == 0 { reply.cut(5000) } else { reply }
            }
        });
        bench.run(&["net"]).well();
        assert_came(&bench, &body);
        assert_eq!(server.requests()[1].header("if-range"), kept.then_some(date));
    }
}

#[test]
fn two_hundred_instead_of_206_begins_anew() {
    let body = checkpoint(10_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |_, n| {
            let reply = Reply::whole(&body, "v");
            if n == 0 { reply.cut(5000) } else { reply }
        }
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_file_changes_between_tries() {
    let (old, new) = (checkpoint(10_000), checkpoint(12_000));
    // An honest server answers 200 with the new file, a careless one 206 with the new file's tag.
    for careless in [false, true] {
        let (bench, _server) = scripted(&new, "", {
            let (old, new) = (old.clone(), new.clone());
            move |request, n| match n {
                0 => Reply::whole(&old, "old").header("Content-Length", new.len()).cut(5000),
                _ if careless => {
                    let mut request = request.clone();
                    request.headers.retain(|(key, _)| !key.eq_ignore_ascii_case("if-range"));
                    Reply::honest(&request, &new, "new")
                }
                _ => Reply::honest(request, &new, "new"),
            }
        });
        bench.run(&["net"]).well();
        assert_came(&bench, &new);
    }
}

#[test]
fn a_tag_that_lies_is_caught_by_the_hash() {
    let (old, new) = (noise(10_000, 1), checkpoint(10_000));
    let (bench, server) = scripted(&new, "", {
        let new = new.clone();
        move |request, n| match n {
            0 => Reply::whole(&old, "same").cut(5000),
            _ => Reply::honest(request, &new, "same"),
        }
    });
    bench.run(&["net"]).well().said("beginning anew");
    assert_came(&bench, &new);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn range_not_satisfiable() {
    let body = checkpoint(10_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| match n {
            0 => Reply::whole(&body, "v").cut(5000),
            1 => Reply::status(416).header("Content-Range", "bytes */3"),
            _ => Reply::honest(request, &body, "v"),
        }
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    assert_eq!(server.requests()[2].offset(), None);
}

#[test]
fn content_ranges_that_are_wrong() {
    let body = checkpoint(10_000);
    for range in
        ["bytes 0-9999/10000", "bytes 5001-9999/10000", "bytes 4999-9998/10000", "bytes 5000-9999/20000", "junk", ""]
    {
        let (bench, server) = scripted(&body, "", {
            let body = body.clone();
            move |request, n| match (n, request.offset()) {
                (0, _) => Reply::whole(&body, "v").cut(5000),
                (1, Some(offset)) => {
                    let mut reply = Reply::whole(&body[offset..], "v");
                    reply.status = 206;
                    // A server may send what it likes after its wrong promise.
                    if range.is_empty() { reply } else { reply.header("Content-Range", range) }
                }
                _ => Reply::honest(request, &body, "v"),
            }
        });
        bench.run(&["net"]).well();
        assert_came(&bench, &body);
        let requests = server.requests();
        assert_eq!(requests.len(), 3, "{range}");
        assert_eq!(requests[2].offset(), None, "{range}: the part must be gone");
    }
}

#[test]
fn bodies_of_another_length() {
    let body = checkpoint(10_000);
    let long = [&body[..], b"more"].concat();
    // Promised longer, promised shorter, not promised at all.
    for (sent, promised, said) in [
        (&long, true, "offers 10004 bytes"),
        (&body[..9000].to_vec(), true, "offers 9000 bytes"),
        (&long, false, "more than 10000 bytes"),
        (&body[..9000].to_vec(), false, "closed at 9000 of 10000"),
    ] {
        let (bench, _server) = scripted(&body, "", {
            let sent = sent.clone();
            move |_, _| {
                let reply = Reply::whole(&sent, "v");
                if promised { reply } else { reply.without("Content-Length").without("ETag") }
            }
        });
        bench.run(&["net"]).badly(said);
        bench.assert_nothing_came();
    }
}

#[test]
fn a_body_without_a_length_is_fine_when_it_is_right() {
    let body = checkpoint(10_000);
    let (bench, _server) = scripted(&body, "", {
        let body = body.clone();
        move |_, _| Reply::whole(&body, "v").without("Content-Length")
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
}

#[test]
fn busy_and_asking_to_come_back() {
    let body = checkpoint(1000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| match n {
            0 => Reply::status(503).header("Retry-After", "1"),
            1 => Reply::status(429),
            _ => Reply::honest(request, &body, "v"),
        }
    });
    let began = Instant::now();
    bench.run(&["net"]).well();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 3);
    assert_came(&bench, &body);
}

#[test]
fn asking_to_come_back_tomorrow_is_as_good_as_down() {
    let body = checkpoint(1000);
    let (bench, server) = scripted(&body, "", |_, _| Reply::status(503).header("Retry-After", "86400"));
    bench.run(&["net"]).badly("asks to wait 24 h");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn redirects_are_followed_and_loops_are_not() {
    let body = checkpoint(1000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| match n {
            0 => Reply::status(302).header("Location", "/elsewhere/net.pth?x=1"),
            1 => Reply::status(307).header("Location", "there.pth"),
            _ => Reply::honest(request, &body, "v"),
        }
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    let paths: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/net.pth", "/elsewhere/net.pth?x=1", "/elsewhere/there.pth"]);

    let (bench, server) = scripted(&body, "", |_, _| Reply::status(302).header("Location", "/net.pth"));
    bench.run(&["net"]).badly("more than 5 redirects");
    assert_eq!(server.requests().len(), 6);
    bench.assert_nothing_came();
}

#[test]
fn a_web_page_is_not_the_file() {
    let page = b"<!DOCTYPE html><title>Sorry</title>".to_vec();
    // Labelled as such, and (where no hash is published) passed off as the file.
    for (label, said) in
        [("text/html; charset=utf-8", "web page instead"), ("application/zip", "looks like a web page")]
    {
        let page = page.clone();
        let (bench, _server) =
            scripted(&[], "approx = '1 kB'", move |_, _| Reply::whole(&page, "v").header("Content-Type", label));
        bench.run(&["net"]).badly(said);
        bench.assert_nothing_came();
        assert_eq!(bench.part("net"), None);
    }
}

#[test]
fn a_compressed_transfer_is_refused() {
    let body = checkpoint(1000);
    let packed = support::archives::gzip(&body);
    for more in [hashed(&body), "approx = '1 kB'".to_owned()] {
        let (bench, _server) = scripted(&body, &more, {
            let packed = packed.clone();
            move |_, _| Reply::whole(&packed, "v").header("Content-Encoding", "gzip")
        });
        bench.run(&["net"]).badly("re-encoded the file (gzip)");
        bench.assert_nothing_came();
    }
}

#[test]
fn a_server_that_drips_or_falls_silent() {
    let body = checkpoint(10_000);
    for piece in [1, 6000] {
        let (bench, _server) = scripted(&body, "", {
            let body = body.clone();
            move |request, n| {
                let reply = Reply::honest(request, &body, "v");
                // One byte at a time, or a piece and then silence.
                let pause = Duration::from_millis(if piece == 1 { 10 } else { 5000 });
                if n == 0 { reply.drip(piece, pause) } else { reply }
            }
        });
        let began = Instant::now();
        let output = bench.command(&["net"]).env("GAN_FETCH_STALL_MS", "200").output().unwrap();
        ended(output).well().said("again in");
        assert!(began.elapsed() < Duration::from_secs(3));
        assert_came(&bench, &body);
    }
}

#[test]
fn silence_before_the_headers() {
    let body = checkpoint(1000);
    let (bench, _server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| {
            if n == 0 {
                std::thread::sleep(Duration::from_secs(5));
            }
            Reply::honest(request, &body, "v")
        }
    });
    let output = bench.command(&["net"]).env("GAN_FETCH_STALL_MS", "100").output().unwrap();
    ended(output).well().said("again in");
    assert_came(&bench, &body);
}

#[test]
fn a_wrong_hash_and_the_second_mirror() {
    let (good, bad) = (checkpoint(1000), checkpoint(2000)[..1000].iter().rev().copied().collect::<Vec<_>>());
    let (bench, server) = scripted(&good, "", {
        let bad = bad.clone();
        move |request, _| Reply::honest(request, &bad, "v")
    });
    bench.run(&["net"]).badly("the catalogue says").said(&sha256(&good)).said(&sha256(&bad));
    assert_eq!(server.requests().len(), 1, "a wrong file is not asked for again");
    bench.assert_nothing_came();
    assert_eq!(bench.part("net"), None);

    let (gone, second) = (Server::start(|_, _| Reply::status(404)), Server::of(good.clone()));
    bench.weights("pth", &[gone.url("/a"), server.url("/b"), second.url("/c")], &hashed(&good));
    bench.run(&["net"]).well().said("HTTP 404 Not Found");
    assert_eq!((gone.requests().len(), second.requests().len()), (1, 1));
    assert_came(&bench, &good);
}

#[test]
fn a_size_that_cannot_be() {
    for (approx, good) in [("1 kB", true), ("2.1 kB", false), ("400 B", false)] {
        let body = checkpoint(1000);
        let (bench, _server) = scripted(&body, &format!("approx = '{approx}'"), {
            let body = body.clone();
            move |request, _| Reply::honest(request, &body, "v")
        });
        let ended = bench.run(&["net"]);
        if good {
            ended.well();
        } else {
            ended.badly("the file has 1.0 kB, it should be about");
            bench.assert_nothing_came();
        }
    }
}

#[test]
fn a_wrong_md5() {
    let body = checkpoint(1000);
    let md5 = "md5 = '00000000000000000000000000000000'";
    let (bench, _server) = scripted(&body, md5, {
        let body = body.clone();
        move |request, _| Reply::honest(request, &body, "v")
    });
    bench.run(&["net"]).badly("the md5 is");
    bench.assert_nothing_came();
}

#[test]
fn a_hash_that_the_host_announces() {
    let body = checkpoint(1000);
    let other = sha256(b"another file");
    // On the redirect, as Hugging Face does; kept across a broken connection.
    for (hash, good) in [(sha256(&body), true), (other, false)] {
        let (bench, _server) = scripted(&body, "approx = '1 kB'", {
            let body = body.clone();
            move |request, n| match request.path.as_str() {
                "/net.pth" => {
                    Reply::status(302).header("Location", "/blob").header("X-Linked-ETag", format!("\"{hash}\""))
                }
                _ if n == 1 => Reply::honest(request, &body, "v").cut(500),
                _ => Reply::honest(request, &body, "v"),
            }
        });
        let ended = bench.run(&["net"]);
        if good {
            ended.well();
            assert_came(&bench, &body);
        } else {
            ended.badly("the server announced");
            bench.assert_nothing_came();
        }
    }
}

#[test]
fn without_a_published_hash_the_first_fetch_is_remembered() {
    let (first, second) = (checkpoint(1000), checkpoint(1500));
    let (bench, _server) = scripted(&[], "approx = '1 kB'", {
        let (first, second) = (first.clone(), second.clone());
        move |request, n| Reply::honest(request, if n == 0 { &first } else { &second }, if n == 0 { "1" } else { "2" })
    });
    bench.run(&["net"]).well().said("now remembers");
    std::fs::remove_file(bench.data("weights/net.pth")).unwrap();
    bench.run(&["net"]).badly("fetch.lock.toml remembers").said(&sha256(&first));
    bench.assert_nothing_came();
    std::fs::remove_file(bench.data("fetch.lock.toml")).unwrap();
    bench.run(&["net"]).well();
    assert_came(&bench, &second);
}

/// A limit on the size of files makes the same fault as a full disk does, at a chosen byte.
#[cfg(unix)]
#[test]
fn the_disk_is_full() {
    let body = checkpoint(300_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, _| Reply::honest(request, &body, "v")
    });
    let plain = bench.command(&["net"]);
    let mut limited = std::process::Command::new("sh");
    limited
        .args(["-c", "trap '' XFSZ; ulimit -f 128; exec \"$@\"", "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    limited.env("GAN_FETCH_BACKOFF_MS", "1");
    ended(limited.output().unwrap()).badly("cannot write").said("net.part").said("make room");
    assert_eq!(server.requests().len(), 1, "the fault is not the server's");
    bench.assert_nothing_came();
    // With room again, it goes on where it stopped.
    bench.run(&["net"]).well();
    assert!(server.requests()[1].offset().unwrap() > 0);
    assert_came(&bench, &body);
}

#[test]
fn two_fetchers_at_once() {
    let body = checkpoint(100_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, _| Reply::honest(request, &body, "v").drip(10_000, Duration::from_millis(60))
    });
    let first = bench.spawn(&["net"]);
    let began = Instant::now();
    while server.requests().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(2));
    }
    bench.run(&["net"]).badly("another fetch-data").said(&first.id().to_string());
    ended(first.wait_with_output().unwrap()).well();
    assert_came(&bench, &body);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn nobody_listens() {
    let (bench, body) = (Bench::new(), checkpoint(1000));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    bench.weights("pth", &[format!("http://127.0.0.1:{port}/net.pth")], &hashed(&body));
    bench.run(&["net"]).badly("given up after 5 tries").said("put it at").said("weights/net.pth");
    bench.assert_nothing_came();
}
