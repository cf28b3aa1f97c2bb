//! Paths that would lead out of a folder lead nowhere: there is no folder.

use crate::support::Running;

fn leads_nowhere(path: &str) {
    let (server, _) = Running::new();
    for method in ["GET", "POST"] {
        let answer = server.request(&format!("{method} {path}")).send();
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("root:"), "{path}");
    }
    server.still_works();
}

#[test]
fn dots_with_escaped_slashes() {
    leads_nowhere("/..%2f..%2f..%2fetc%2fpasswd");
}

#[test]
fn dots_as_they_are() {
    leads_nowhere("/v1/../../../../etc/passwd");
}

#[test]
fn dots_that_are_escaped_twice() {
    leads_nowhere("/%252e%252e/%252e%252e/etc/passwd");
}

#[test]
fn backslashes_and_drives() {
    leads_nowhere("/..\\..\\C:\\windows\\win.ini");
    leads_nowhere("/C:/windows/win.ini");
}

#[test]
fn zero_bytes() {
    leads_nowhere("/page.css%00.png");
}

#[test]
fn overlong_and_other_unicode() {
    leads_nowhere("/%c0%ae%c0%ae/%c0%afetc");
    leads_nowhere("/%ef%bc%8e%ef%bc%8e/etc");
}

#[test]
fn models_are_names_in_a_list_and_no_paths() {
    let (server, _) = Running::new();
    for name in ["../../etc/passwd", "%2e%2e%2fruns", "/etc/passwd", "C:%5Cmodel", "obedient%00"] {
        server.post(&format!("?model={name}"), &crate::support::picture(8, 8)).refuses(404, "obedient");
    }
    assert_eq!(server.post("?model=obedient", &crate::support::picture(8, 8)).status, 200);
}

#[test]
fn other_methods_are_refused() {
    let (server, _) = Running::new();
    server.get("/v1/translate").refuses(405, "method");
    server.request("DELETE /v1/models").send().refuses(405, "method");
    server.request("OPTIONS /v1/translate").send().refuses(405, "method");
}
