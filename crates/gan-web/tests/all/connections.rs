//! Connections: too many, too slow, too long; and the end of the server.

use crate::support::{Answer, LARGE, Obedient, Running, WAITS, picture, wait_until};
use gan_web::Limits;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// Whether the other side has closed.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
    let mut byte = [0; 1024];
    match stream.read(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

#[test]
fn headers_that_never_end_are_given_up() {
    let (server, _) = Running::with(Limits { header_time: Duration::from_millis(300), ..Limits::default() });
    let (mut silent, mut dripping) = (server.connect(), server.connect());
    dripping.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
    let begun = Instant::now();
    wait_until("both are closed", || {
        let _ = dripping.write_all(b"x");
        is_closed(&mut silent) && is_closed(&mut dripping)
    });
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.still_works();
}

#[test]
fn headers_that_are_too_large_are_refused() {
    let (server, _) = Running::new();
    let answer = server.request("GET /").header("X-Large", &"x".repeat(20 << 10)).send();
    assert_eq!(answer.status, 431);
    let mut many = server.request("GET /");
    for i in 0..500 {
        many = many.header(&format!("X-{i}"), "x");
    }
    assert_eq!(many.send().status, 431);
    server.still_works();
}

#[test]
fn idle_connections_give_way_to_new_ones() {
    let grace = Duration::from_millis(20);
    let limits = Limits { connections: 8, grace, header_time: Duration::from_secs(60), ..Limits::default() };
    let (server, _) = Running::with(limits);
    let mut idle: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = server.connect();
            stream.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    let begun = Instant::now();
    for _ in 0..5 {
        server.still_works();
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let closed = idle.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count();
    assert!(closed >= 32, "{closed} were closed");
}

#[test]
fn more_clients_than_connections_are_all_answered() {
    let (server, _) = Running::with(Limits { connections: 8, queue: 100, ..Limits::default() });
    let request = server.request("POST /v1/translate").body(&picture(8, 8)).bytes();
    let mut streams: Vec<TcpStream> = (0..60).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.write_all(&request).unwrap();
    }
    for stream in &mut streams {
        assert_eq!(Answer::read(stream).status, 200);
    }
}

#[test]
fn those_that_are_worked_for_do_not_give_way() {
    let (server, model) = Running::with(Limits { connections: 2, ..Limits::default() });
    model.held.store(true, Ordering::SeqCst);
    let request = server.request(&format!("POST /v1/translate{WAITS}")).body(&picture(8, 8)).bytes();
    let mut worked_for = server.connect();
    worked_for.write_all(&request).unwrap();
    wait_until("it is worked on", || model.begun.load(Ordering::SeqCst) == 1);
    for _ in 0..10 {
        assert_eq!(server.get("/healthz").status, 200);
    }
    model.held.store(false, Ordering::SeqCst);
    assert_eq!(Answer::read(&mut worked_for).status, 200);
}

#[test]
fn who_does_not_read_is_left() {
    let (server, _) = Running::with(Limits { write_time: Duration::from_millis(300), ..Limits::default() });
    let request = server.request(&format!("POST /v1/translate{LARGE}")).body(&picture(8, 8)).bytes();
    let mut stream = server.connect();
    stream.write_all(&request).unwrap();
    sleep(Duration::from_secs(2));
    let (mut read, begun) = (Vec::new(), Instant::now());
    let _ = stream.read_to_end(&mut read);
    assert!(read.len() < 64 << 20, "all of it came");
    assert!(begun.elapsed() < Duration::from_secs(5));
    server.still_works();
}

#[test]
fn connections_are_kept_for_the_next_request() {
    let (server, _) = Running::new();
    let mut stream = server.connect();
    for _ in 0..3 {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 2048];
        let read = stream.read(&mut answer).unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer[..read]));
    }
}

#[test]
fn what_is_no_http_is_answered_or_closed() {
    let (server, _) = Running::new();
    for bytes in [
        &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..],
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"SSH-2.0-x\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = server.connect();
        stream.write_all(bytes).unwrap();
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    server.still_works();
}

#[test]
fn the_end_waits_for_answers_and_closes_the_rest() {
    let (mut server, model) = Running::new();
    model.held.store(true, Ordering::SeqCst);
    let request = server.request(&format!("POST /v1/translate{WAITS}")).body(&picture(8, 8)).bytes();
    let mut worked_for = server.connect();
    worked_for.write_all(&request).unwrap();
    wait_until("it is worked on", || model.begun.load(Ordering::SeqCst) == 1);
    let (mut idle, Obedient { held, .. }) = (server.connect(), model);
    spawn(move || {
        sleep(Duration::from_millis(500));
        held.store(false, Ordering::SeqCst);
    });
    let begun = Instant::now();
    server.end();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(Answer::read(&mut worked_for).status, 200);
    assert!(is_closed(&mut idle));
    assert!(TcpStream::connect(server.address).is_err(), "the port is free");
}
