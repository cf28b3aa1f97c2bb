//! Fetching when connections break: what came is kept if it is certain to belong to the same file, and only then.

use crate::support;

use std::time::{Duration, Instant};

use support::archives::noise;
use support::scripted::{assert_came, checkpoint, scripted};
use support::server::Reply;

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
    for range in [
        "bytes 0-9999/10000",
        "bytes 5001-9999/10000",
        "bytes 4999-9998/10000",
        "bytes 5000-10000/10000",
        "bytes 5000-9999/20000",
        "junk",
        "",
    ] {
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
fn a_part_of_another_file_of_the_same_length() {
    // Nobody publishes a hash, so nothing else would notice that the halves do not belong together.
    let (old, new) = (checkpoint(10_000), [&[0x80, 2][..], &noise(9_998, 99)].concat());
    let (bench, server) = scripted(&[], "approx = '10 kB'", {
        let new = new.clone();
        move |request, n| match n {
            0 => Reply::whole(&old, "old").cut(5000),
            _ => {
                let mut request = request.clone();
                request.headers.retain(|(key, _)| !key.eq_ignore_ascii_case("if-range"));
                Reply::honest(&request, &new, "new")
            }
        }
    });
    bench.run(&["net"]).well().said("a part of another file");
    assert_came(&bench, &new);
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn less_than_was_asked_for() {
    let body = checkpoint(300_000);
    let (bench, server) = scripted(&body, "", {
        let body = body.clone();
        move |request, n| match (n, request.offset()) {
            (0, _) => Reply::whole(&body, "v").cut(5000),
            (_, Some(offset)) => {
                let end = (offset + 100_000).min(body.len());
                let range = format!("bytes {offset}-{}/{}", end - 1, body.len());
                let mut reply = Reply::whole(&body[offset..end], "v").header("Content-Range", range);
                reply.status = 206;
                reply
            }
            _ => Reply::status(404),
        }
    });
    bench.run(&["net"]).well();
    assert_came(&bench, &body);
    assert_eq!(server.requests().len(), 4);
}
