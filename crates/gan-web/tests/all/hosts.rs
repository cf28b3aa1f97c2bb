//! Names of hosts and origins: pages of other sites get nothing, whatever name they make lead here.

use crate::support::{Answer, Running, picture};
use std::io::Write;

#[test]
fn a_foreign_host_is_misdirected_on_every_path() {
    let (server, model) = Running::new();
    for line in ["GET /", "GET /v1/models", "POST /v1/translate", "GET /nothing", "PUT /"] {
        server.request(line).host(Some("evil.example")).send().refuses(421, "--allow-host");
    }
    assert_eq!(model.begun.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn a_request_without_a_host_is_misdirected() {
    let (server, _) = Running::new();
    let mut stream = server.connect();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    Answer::read(&mut stream).refuses(421, "name");
}

#[test]
fn the_port_belongs_to_the_name() {
    let (server, _) = Running::new();
    for host in ["127.0.0.1", "localhost", "localhost:1", "127.0.0.1:80"] {
        server.request("GET /").host(Some(host)).send().refuses(421, "name");
    }
}

#[test]
fn two_hosts_are_none() {
    let (server, _) = Running::new();
    let answer = server.request("GET /").header("Host", "evil.example").send();
    assert!(matches!(answer.status, 400 | 421), "{answer:?}");
}

#[test]
fn a_host_in_the_request_line_counts_too() {
    let (server, _) = Running::new();
    server.request("GET http://evil.example/v1/models").send().refuses(421, "name");
    let own = format!("GET http://{}/v1/models", server.address);
    assert_eq!(server.request(&own).send().status, 200);
}

#[test]
fn a_foreign_origin_is_refused() {
    let (server, _) = Running::new();
    for origin in
        ["https://evil.example", "http://127.0.0.1:1", "http://localhost", "file://", "chrome-extension://abc", "null"]
    {
        for line in ["POST /v1/translate", "GET /v1/models"] {
            let request = server.request(line).header("Origin", origin).header("X-Gan", "1");
            request.body(&picture(8, 8)).send().refuses(403, "other sites");
        }
    }
}

#[test]
fn what_browsers_say_of_the_asking_site_counts() {
    let (server, _) = Running::new();
    for site in ["cross-site", "same-site"] {
        server.request("GET /v1/models").header("Sec-Fetch-Site", site).send().refuses(403, "other sites");
        let link = server.request("GET /").header("Sec-Fetch-Site", site).header("Sec-Fetch-Mode", "navigate");
        assert_eq!(link.send().status, 200, "a link may lead to the page");
        let post =
            server.request("POST /v1/translate").header("Sec-Fetch-Site", site).header("Sec-Fetch-Mode", "navigate");
        post.body(&picture(8, 8)).send().refuses(403, "other sites");
    }
    assert_eq!(server.request("GET /v1/models").header("Sec-Fetch-Site", "same-origin").send().status, 200);
}

#[test]
fn the_own_page_says_that_it_is_one() {
    let (server, _) = Running::new();
    for host in [server.address.to_string(), format!("localhost:{}", server.address.port())] {
        let request = server.request("POST /v1/translate").header("Origin", &format!("http://{host}"));
        request.clone().body(&picture(8, 8)).send().refuses(403, "X-Gan");
        assert_eq!(request.header("X-Gan", "1").body(&picture(8, 8)).send().status, 200);
    }
}

#[test]
fn programs_need_no_header() {
    let (server, _) = Running::new();
    server.still_works();
}

#[test]
fn other_spellings_of_this_machine() {
    let (server, _) = Running::new();
    let port = server.address.port();
    for own in ["LOCALHOST", "[::1]", "localhost", "127.0.0.1"] {
        assert_eq!(server.request("GET /healthz").host(Some(&format!("{own}:{port}"))).send().status, 200, "{own}");
    }
}

#[test]
fn a_name_with_a_dot_behind_is_another_name() {
    let (server, _) = Running::new();
    let port = server.address.port();
    for other in ["localhost.", "127.1", "2130706433", "0x7f000001", "[::ffff:127.0.0.1]"] {
        server.request("GET /").host(Some(&format!("{other}:{port}"))).send().refuses(421, "name");
    }
}
