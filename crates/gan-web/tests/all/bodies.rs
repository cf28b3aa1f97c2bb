//! Bodies: too large, too slow, lying, broken.

use crate::support::{Answer, Running, picture};
use gan_web::Limits;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn small() -> Limits {
    Limits { body_bytes: 1 << 20, ..Limits::default() }
}

#[test]
fn a_body_that_announces_too_much_is_not_read() {
    let (server, _) = Running::with(small());
    let mut stream = server.connect();
    let head = format!(
        "POST /v1/translate HTTP/1.1\r\nHost: {}\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    // Nothing was sent of it, and the answer is there.
    Answer::read(&mut stream).refuses(413, "1 MiB");
    server.still_works();
}

#[test]
fn a_body_in_chunks_ends_at_the_limit() {
    let (server, model) = Running::with(small());
    let mut stream = server.connect();
    let head = format!(
        "POST /v1/translate HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n\xff\xd8\xff".to_vec(), vec![7; 0x10000 - 3], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while sent < 64 << 20 && stream.write_all(&chunk).is_ok() {
        sent += 0x10000;
    }
    assert!(sent < 32 << 20, "the server reads on: {sent} bytes");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    // The connection may be reset before the answer is read.
    assert!(answer.is_empty() || Answer::of(&answer).status == 413);
    assert_eq!(model.begun.load(Ordering::SeqCst), 0);
    server.still_works();
}

#[test]
fn what_begins_as_no_image_is_not_read_on() {
    let (server, _) = Running::new();
    let mut stream = server.connect();
    let head = format!(
        "POST /v1/translate HTTP/1.1\r\nHost: {}\r\nContent-Length: 10000000\r\nConnection: close\r\n\r\n<!DOCTYPE html>",
        server.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    Answer::read(&mut stream).refuses(415, "no PNG");
    server.still_works();
}

#[test]
fn a_body_that_ends_early_is_no_image() {
    let (server, model) = Running::new();
    let mut stream = server.connect();
    let body = picture(16, 16);
    let head = format!(
        "POST /v1/translate HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n",
        server.address,
        body.len() + 100
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || Answer::of(&answer).status == 400);
    assert_eq!(model.begun.load(Ordering::SeqCst), 0);
    server.still_works();
}

#[test]
fn a_body_that_comes_too_slowly_is_given_up() {
    let limits =
        Limits { stall_time: Duration::from_millis(200), body_time: Duration::from_millis(600), ..Limits::default() };
    let (server, _) = Running::with(limits);
    let head = format!(
        "POST /v1/translate HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n",
        server.address
    );
    // Nothing at all, and a byte now and then.
    let mut silent = server.connect();
    silent.write_all(head.as_bytes()).unwrap();
    Answer::read(&mut silent).refuses(408, "slowly");
    let (mut dripping, begun) = (server.connect(), Instant::now());
    dripping.write_all(head.as_bytes()).unwrap();
    while dripping.write_all(b"x").is_ok() && begun.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(50));
        let mut byte = [0];
        dripping.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        if dripping.peek(&mut byte).is_ok() {
            break;
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.still_works();
}

#[test]
fn large_bodies_share_a_budget_and_small_ones_need_none() {
    let (server, _) = Running::with(Limits { bodies_bytes: 3 << 20, ..Limits::default() });
    let body = [picture(8, 8), vec![0; 3 << 20]].concat();
    let head = |length: usize| {
        format!(
            "POST /v1/translate HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
            server.address
        )
    };
    // One that takes most of it and does not end.
    let mut first = server.connect();
    first.write_all(head(body.len() + 1).as_bytes()).unwrap();
    first.write_all(&body).unwrap();
    sleep(Duration::from_millis(300));
    let mut second = server.connect();
    second.write_all(head(body.len()).as_bytes()).unwrap();
    let _ = second.write_all(&body);
    let mut answer = Vec::new();
    let _ = second.read_to_end(&mut answer);
    if !answer.is_empty() {
        let answer = Answer::of(&answer);
        answer.refuses(503, "too many large images");
        assert!(answer.header("retry-after").is_some());
    }
    server.still_works();
    drop(first);
    crate::support::wait_until("the budget is free again", || server.post("", &body).status != 503);
}

fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in parts {
        let file = if matches!(*name, "image" | "instances") { "; filename=\"../../x.png\"" } else { "" };
        body.extend(format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--B--\r\n");
    body
}

fn post_form(server: &Running, body: &[u8]) -> Answer {
    server.request("POST /v1/translate").header("Content-Type", "multipart/form-data; boundary=B").body(body).send()
}

#[test]
fn forms_hold_one_image_and_a_few_parameters() {
    let (server, _) = Running::new();
    let image = picture(9, 5);
    let answer =
        post_form(&server, &form(&[("image", &image), ("model", b"obedient"), ("seed", b"1"), ("style", b"")]));
    assert_eq!((answer.status, &answer.body), (200, &image));
    let many: Vec<(&str, &[u8])> = (0..7).map(|_| ("seed", &b"1"[..])).chain([("image", &image[..])]).collect();
    for (parts, word) in [
        (&[("seed", &b"1"[..])][..], "no file named image"),
        (&[("image", &image), ("image", &image)], "two files"),
        (&[("image", &image), ("path", b"/etc/passwd")], "no parameter"),
        (&[("image", &image), ("seed", &[b'1'; 2000])], "too long"),
        (&[("image", &image), ("seed", b"x")], "whole number"),
        (&many, "too many fields"),
    ] {
        post_form(&server, &form(parts)).refuses(400, word);
    }
    server.still_works();
}

#[test]
fn broken_forms_are_refused() {
    let (server, _) = Running::new();
    let whole = form(&[("image", &picture(8, 8))]);
    for cut in [0, 3, 40, whole.len() / 2, whole.len() - 8] {
        let answer = post_form(&server, &whole[..cut]);
        assert_eq!(answer.status, 400, "cut at {cut}: {answer:?}");
    }
    for kind in [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        "multipart/mixed; boundary=B",
    ] {
        let answer = server.request("POST /v1/translate").header("Content-Type", kind).body(&whole).send();
        assert_eq!(answer.status, 400, "{kind}");
    }
    server.still_works();
}
