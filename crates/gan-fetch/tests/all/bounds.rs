//! Fetching against servers without end: every transfer has a bound in bytes, in tries and in time.

use crate::support;

use std::time::{Duration, Instant};

use support::bench::{Bench, ended};
use support::scripted::{assert_came, checkpoint, scripted};
use support::server::Reply;

#[test]
fn a_body_without_a_length_is_cut_off() {
    // With and without chunks; the catalogue knows the size for certain, or for about.
    for (more, most) in [("bytes = 1000", 1000), ("approx = '1 kB'", 2000)] {
        let body = checkpoint(4_000_000);
        for chunked in [false, true] {
            let body = body.clone();
            let (bench, server) = scripted(&[], more, move |_, _| {
                if !chunked {
                    return Reply::whole(&body, "v").without("Content-Length");
                }
                let reply = Reply::whole(&[b"3d0900\r\n", &body[..]].concat(), "v").without("Content-Length");
                reply.header("Transfer-Encoding", "chunked")
            });
            bench.run(&["net"]).badly(&format!("the server sent more than {most} bytes"));
            assert_eq!(server.requests().len(), 1);
            assert_eq!(bench.part("net"), None);
            bench.assert_nothing_came();
        }
    }
}

#[test]
fn more_than_is_believed_is_not_even_begun() {
    let (bench, server) = scripted(&[], "approx = '1 kB'", |_, _| Reply::whole(&checkpoint(5000), "v").cut(10));
    bench.run(&["net"]).badly("the file has 5.0 kB, it should be about 1.0 kB");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(bench.part("net"), None);
}

#[test]
fn a_disk_without_room_is_said_before_the_transfer() {
    // Where the server does not say how much comes, the catalogue does, for about.
    for tells in [true, false] {
        let (bench, server) = scripted(&[], "approx = '900000 TB'", move |_, _| {
            let reply = Reply::whole(&checkpoint(5000), "v").header("Content-Length", 900_000_000_000_000_000_u64);
            if tells { reply } else { reply.without("Content-Length") }
        });
        bench.run(&["net"]).badly("900000 TB more").said("its disk has");
        assert_eq!(server.requests().len(), 1, "no mirror can help");
        bench.assert_nothing_came();
    }
}

#[test]
fn beginning_anew_now_sooner_now_later_has_an_end() {
    let body = checkpoint(1_000_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        // Ranges are ignored, so that each try begins with the first byte.
        move |_, n| Reply::whole(&body, "v").cut(if n % 2 == 0 { 100_000 } else { 300_000 })
    });
    bench.run(&["net"]).badly("given up after 5 tries");
    assert_eq!(server.requests().len(), 6);
    bench.assert_nothing_came();
}

#[test]
fn what_is_no_part_of_the_body_takes_no_longer_than_the_body() {
    // The size of a chunk, what may stand behind it, and what may stand behind the last chunk: all without end.
    for chunks in [&b"0"[..], b"1;", b"2\r\n\x80\x02\r\n0\r\nX: "] {
        let body = checkpoint(1000);
        let (bench, server) = scripted(&body, "", {
            let body = body.clone();
            move |request, n| {
                if n > 0 {
                    return Reply::honest(request, &body, "v");
                }
                let endless = [chunks, &[b'0'; 10_000]].concat();
                let reply = Reply::whole(&endless, "v").without("Content-Length").drip(1, Duration::from_millis(10));
                reply.header("Transfer-Encoding", "chunked")
            }
        });
        let began = Instant::now();
        let output = bench.command(&["net"]).env("GAN_FETCH_STALL_MS", "200").output().unwrap();
        ended(output).well().said("again in");
        assert!(began.elapsed() < Duration::from_secs(10), "{}: {:?}", chunks.escape_ascii(), began.elapsed());
        assert_eq!(server.requests().len(), 2);
        assert_came(&bench, &body);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_in_place_of_a_file_is_not_waited_for() {
    let bench = Bench::new();
    bench.weights("pth", &["http://127.0.0.1:1/net.pth".to_owned()], "");
    std::fs::create_dir(bench.path("data")).unwrap();
    let pipe = |path: &std::path::Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    pipe(&bench.data("fetch.lock.toml"));
    bench.run(&["--list"]).badly("fetch.lock.toml").said("a named pipe");
    std::fs::remove_file(bench.path("catalog.toml")).unwrap();
    pipe(&bench.path("catalog.toml"));
    bench.run(&["--list"]).badly("catalog.toml").said("a named pipe");
}
