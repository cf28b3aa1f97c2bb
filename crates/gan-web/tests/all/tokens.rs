//! The token of a server on a network, and the headers of every answer.

use crate::support::{Obedient, Running, picture};
use gan_web::{Limits, translate_app};

/// A server that listens on all addresses.
fn on_a_network() -> (Running, String) {
    let limits = Limits::default();
    let server = Running::serve(translate_app(vec![Obedient::default()], &limits).unwrap(), "0.0.0.0", limits);
    let token = server.token.clone().unwrap();
    (server, token)
}

#[test]
fn without_the_token_there_is_nothing() {
    let (server, token) = on_a_network();
    for line in ["GET /", "GET /v1/models", "GET /healthz", "GET /page.js", "POST /v1/translate", "GET /nothing"] {
        server.request(line).send().refuses(401, "Bearer TOKEN");
    }
    let other = "0".repeat(32);
    for wrong in [&other, &token[1..], "", &format!("{token}0")] {
        server.request("GET /healthz").header("Authorization", &format!("Bearer {wrong}")).send().refuses(401, "link");
        server.request("GET /healthz").header("Cookie", &format!("gan-session={wrong}")).send().refuses(401, "link");
        server.get(&format!("/?token={wrong}")).refuses(401, "link");
    }
}

#[test]
fn programs_send_it() {
    let (server, token) = on_a_network();
    let bearer = format!("Bearer {token}");
    assert_eq!(server.request("GET /healthz").header("Authorization", &bearer).send().status, 200);
    let request = server.request("POST /v1/translate").header("Authorization", &bearer);
    assert_eq!(request.body(&picture(8, 8)).send().status, 200);
    // It does not replace the other checks.
    let foreign = server.request("GET /").header("Authorization", &bearer).host(Some("evil.example"));
    foreign.send().refuses(421, "name");
    let foreign = server.request("GET /").header("Authorization", &bearer).header("Origin", "http://evil.example");
    foreign.send().refuses(403, "other sites");
}

#[test]
fn a_link_becomes_a_cookie() {
    let (server, token) = on_a_network();
    assert!(server.url.ends_with(&format!("/?token={token}")), "{}", server.url);
    let answer = server.get(&format!("/?token={token}"));
    assert_eq!((answer.status, answer.header("location")), (303, Some("/")));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let value = cookie.split(';').next().unwrap();
    assert!(!value.contains(&token), "the token is not in the cookie");
    assert_eq!(server.request("GET /").header("Cookie", &format!("a=b; {value}")).send().status, 200);
    assert_eq!(server.request("GET /v1/models").header("Cookie", value).send().status, 200);
    let port = server.address.port();
    let by_address = server.request("GET /").header("Cookie", value).host(Some(&format!("192.168.7.7:{port}")));
    assert_eq!(by_address.send().status, 200, "every address is one of a server on all");
}

#[test]
fn the_loopback_interface_needs_none() {
    let (server, _) = Running::new();
    assert!(server.token.is_none() && !server.url.contains("token"));
}

const EVERYWHERE: [(&str, &str); 7] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("content-security-policy", "frame-ancestors 'none'"),
];

#[test]
fn every_answer_has_the_headers() {
    let (server, _) = Running::new();
    let answers = [
        server.get("/"),
        server.get("/page.js"),
        server.get("/v1/models"),
        server.get("/nothing"),
        server.post("", &picture(8, 8)),
        server.post("", b"text"),
        server.request("GET /").host(Some("evil.example")).send(),
    ];
    for answer in answers {
        for (name, part) in EVERYWHERE {
            let value = answer.header(name).unwrap_or_else(|| panic!("{name} is missing: {answer:?}"));
            assert!(value.contains(part), "{name}: {value}");
        }
        assert!(answer.header("x-request-id").unwrap().parse::<u64>().is_ok());
    }
}

#[test]
fn no_other_origin_is_invited() {
    let (server, _) = Running::new();
    for origin in [format!("http://{}", server.address), "http://evil.example".to_owned()] {
        let request = server.request("OPTIONS /v1/translate").header("Origin", &origin);
        let answer = request.header("Access-Control-Request-Method", "POST").header("X-Gan", "1").send();
        assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")), "{answer:?}");
    }
}

#[test]
fn the_page_holds_no_script_and_no_address_of_others() {
    let (server, _) = Running::new();
    let page = String::from_utf8(server.get("/").body).unwrap();
    assert!(
        page.contains("src=\"/page.js\"")
            && !page.contains("<script>")
            && !page.contains("onclick")
            && !page.contains("style=\"")
    );
    let policy = server.get("/").header("content-security-policy").unwrap().to_owned();
    assert!(!policy.contains("unsafe"), "{policy}");
    for path in ["/", "/page.js", "/page.css"] {
        let text = String::from_utf8(server.get(path).body).unwrap();
        assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("//cdn"), "{path}");
    }
    assert!(server.get("/page.css").header("content-type").unwrap().starts_with("text/css"));
}
