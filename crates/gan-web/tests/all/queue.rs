//! The queue of a model: full, left, late; and a model that panics.

use crate::support::{Answer, FAILS, Obedient, PANICS, PATIENCE, Running, WAITS, long_picture, picture, wait_until};
use gan_web::{Limits, translate_app};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

fn sent(server: &Running, query: &str) -> TcpStream {
    let request = server.request(&format!("POST /v1/translate{query}")).body(&picture(8, 8));
    let mut stream = server.connect();
    stream.write_all(&request.bytes()).unwrap();
    stream
}

/// A server whose model is held, with so many requests under way.
fn held(limits: Limits, waiting: usize) -> (Running, Obedient, Vec<TcpStream>) {
    let (server, model) = Running::with(limits);
    model.held.store(true, Ordering::SeqCst);
    let mut streams = vec![sent(&server, WAITS)];
    wait_until("the first is worked on", || model.begun.load(Ordering::SeqCst) == 1);
    streams.extend((0..waiting).map(|_| sent(&server, "")));
    let waits = || server.get("/healthz").json()["models"][0]["waiting"].as_u64().unwrap();
    wait_until("the others wait", || waits() == waiting as u64 + 1);
    (server, model, streams)
}

#[test]
fn a_full_queue_says_when_to_try_again() {
    let (server, model, _streams) = held(Limits { queue: 3, ..Limits::default() }, 3);
    let answer = server.post("", &picture(8, 8));
    answer.refuses(429, "busy");
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    model.held.store(false, Ordering::SeqCst);
}

#[test]
fn those_that_wait_get_their_turn() {
    let (server, model, mut streams) = held(Limits { queue: 3, ..Limits::default() }, 3);
    model.held.store(false, Ordering::SeqCst);
    for stream in &mut streams {
        assert_eq!(Answer::read(stream).status, 200);
    }
    assert_eq!(model.begun.load(Ordering::SeqCst), 4);
    server.still_works();
}

#[test]
fn who_leaves_is_not_worked_for_and_makes_room() {
    let (server, model, mut streams) = held(Limits { queue: 2, ..Limits::default() }, 2);
    drop(streams.split_off(1));
    let waits = || server.get("/healthz").json()["models"][0]["waiting"].as_u64().unwrap();
    wait_until("their places are free", || waits() == 1);
    let mut next = sent(&server, "");
    wait_until("another one waits", || waits() == 2);
    model.held.store(false, Ordering::SeqCst);
    assert_eq!(Answer::read(&mut next).status, 200);
    assert_eq!(model.begun.load(Ordering::SeqCst), 2, "nobody waits for the other two");
}

#[test]
fn a_request_that_waits_too_long_is_told_so() {
    let limits = Limits { deadline: Duration::from_millis(300), ..Limits::default() };
    let (server, model, _streams) = held(limits, 0);
    let begun = Instant::now();
    let answer = server.post("", &picture(8, 8));
    answer.refuses(503, "in time");
    assert!(begun.elapsed() < PATIENCE / 2 && answer.header("retry-after").is_some());
    model.held.store(false, Ordering::SeqCst);
    wait_until("the model is free", || server.post("", &picture(8, 8)).status == 200);
    // The one that was late was not worked on.
    assert_eq!(model.begun.load(Ordering::SeqCst), 2);
}

#[test]
fn a_panic_is_the_failure_of_one_request() {
    let (server, model) = Running::new();
    for panics in 1..=3 {
        server.post(PANICS, &picture(8, 8)).refuses(500, "other images are not affected");
        assert_eq!(model.recovered.load(Ordering::SeqCst), panics);
        server.still_works();
    }
    let health = server.get("/healthz").json();
    assert_eq!((&health["models"][0]["panics"], &health["models"][0]["made"]), (&3.into(), &3.into()));
}

#[test]
fn one_model_does_not_wait_for_another_or_fall_with_it() {
    let [one, other] = ["one", "other"].map(|id| Obedient { id, ..Obedient::default() });
    let limits = Limits::default();
    let server = Running::serve(translate_app(vec![one.clone(), other.clone()], &limits).unwrap(), "127.0.0.1", limits);
    one.held.store(true, Ordering::SeqCst);
    let mut waiting = sent(&server, WAITS);
    wait_until("the first is worked on", || one.begun.load(Ordering::SeqCst) == 1);
    assert_eq!(server.post("?model=other", &picture(8, 8)).status, 200);
    server.post("?model=other&seed=13", &picture(8, 8)).refuses(500, "failed");
    assert_eq!(server.post("?model=other", &picture(8, 8)).status, 200);
    one.held.store(false, Ordering::SeqCst);
    assert_eq!(Answer::read(&mut waiting).status, 200);
    assert_eq!(other.recovered.load(Ordering::SeqCst), 1);
}

/// Those that take a moment neither wait for those that take long nor lose their places to them.
#[test]
fn images_that_take_long_have_a_queue_of_their_own() {
    let (model, limits) = (Obedient { twins: Some(Arc::default()), ..Obedient::default() }, Limits::default());
    let server = Running::serve(translate_app(vec![model.clone()], &limits).unwrap(), "127.0.0.1", limits);
    let twins = || model.twins.as_ref().unwrap().load(Ordering::SeqCst);
    server.still_works();
    assert_eq!(twins(), 0, "nobody has asked for one yet");
    model.held.store(true, Ordering::SeqCst);
    let send = |query: &str| {
        let mut stream = server.connect();
        let request = server.request(&format!("POST /v1/translate{query}")).body(&long_picture());
        stream.write_all(&request.bytes()).unwrap();
        stream
    };
    let mut long = vec![send(WAITS)];
    wait_until("the first is worked on", || model.begun.load(Ordering::SeqCst) == 2);
    long.extend([send(""), send("")]);
    let waits = || server.get("/healthz").json()["models"][0]["waiting"].as_u64().unwrap();
    wait_until("two wait", || waits() == 3);
    let answer = server.post("", &long_picture());
    answer.refuses(429, "busy");
    assert!(answer.header("retry-after").is_some());
    for _ in 0..20 {
        server.still_works();
    }
    // Nor does one that fails take the others with it.
    server.post(PANICS, &picture(8, 8)).refuses(500, "other images are not affected");
    model.held.store(false, Ordering::SeqCst);
    long.iter_mut().for_each(|stream| assert_eq!(Answer::read(stream).status, 200));
    assert_eq!(twins(), 1);
    server.post(PANICS, &long_picture()).refuses(500, "other images are not affected");
    assert_eq!(server.post("", &long_picture()).status, 200);
}

#[test]
fn what_is_wrong_in_the_server_is_told_to_the_server() {
    let (server, _) = Running::new();
    server.post(FAILS, &picture(8, 8)).refuses(500, "the server says why");
    let served = server.served.lock().unwrap();
    let failed = served.iter().find(|served| served.status == 500).unwrap();
    assert_eq!((failed.failure.as_deref(), &*failed.path), (Some("/secret/path is gone"), "/v1/translate"));
}
