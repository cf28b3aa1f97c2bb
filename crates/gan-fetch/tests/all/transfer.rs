//! Fetching against servers that misbehave: the right bytes arrive, or nothing does.

use crate::support;

use std::time::{Duration, Instant};

use gan_fetch::digest::sha256;
use support::bench::{Bench, ended};
use support::scripted::{assert_came, checkpoint, hashed, scripted};
use support::server::{Reply, Server};

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
fn a_stored_archive_may_be_labelled_as_compressed() {
    let data = support::archives::noise(10, 1);
    let archive = support::archives::tar(&[support::archives::TarEntry::file("set/trainA/a.png", &data)]);
    let archive = support::archives::gzip(&archive);
    for name in ["set.tar.gz", "set.tgz"] {
        let (bench, body) = (Bench::new(), archive.clone());
        let server = Server::start(move |_, _| Reply::whole(&body, "v").header("Content-Encoding", "gzip"));
        bench.dataset("tar.gz", &[server.url(&format!("/{name}"))], "folders = ['trainA']");
        bench.run(&["set"]).well();
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
fn the_first_digits_of_a_hash_are_held_against_the_file() {
    let body = checkpoint(1000);
    for (digits, good) in [(sha256(&body)[..8].to_owned(), true), (sha256(b"another")[..8].to_owned(), false)] {
        let (bench, _server) = scripted(&body, &format!("approx = '1 kB'\nsha256 = '{digits}'"), {
            let body = body.clone();
            move |request, _| Reply::honest(request, &body, "v")
        });
        let ended = bench.run(&["net"]);
        if good {
            ended.well();
            assert_came(&bench, &body);
        } else {
            ended.badly("the catalogue says").said(&digits);
            bench.assert_nothing_came();
        }
    }
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
    limited.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ended(limited.output().unwrap()).badly("cannot write").said("net.part");
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
    bench.run(&["net"]).badly("another fetch").said(&first.id().to_string());
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
