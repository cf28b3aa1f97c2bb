//! The page that follows runs.

use crate::models::fixture;
use crate::support::{Answer, Running, wait_until};
use gan_train::gallery::LiveRuns;
use gan_web::{Limits, watch_app};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a trainer writes for an open page.
fn write_data(run: &Path, step: u64) {
    std::fs::create_dir_all(run.join("gallery/images")).unwrap();
    let picture = crate::support::picture(8, 8);
    std::fs::write(run.join("gallery/images/000000001-0-0.png"), picture).unwrap();
    let data = format!(
        "window.galleryData([{{\"name\":\"x\",\"summary\":\"step {step}\",\"step\":{step},\"total\":100,\"finished\":false,\"live\":true,\
         \"curves\":[],\"epochs\":[],\"previews\":[{{\"step\":1,\"epoch\":0,\"rows\":[[{{\"label\":\"input\",\"file\":\"000000001-0-0.png\",\
         \"width\":8,\"height\":8}}]]}}],\"images\":{{}},\"facts\":[],\"settings\":\"\"}}]);\n"
    );
    std::fs::write(run.join("gallery/newer.js"), data).unwrap();
}

fn runs(folder: &Path) -> Vec<PathBuf> {
    let runs = ["one", "two"].map(|name| folder.join(name));
    for run in &runs {
        std::fs::create_dir(run).unwrap();
        std::fs::write(run.join("config.toml"), "[train]\n").unwrap();
        write_data(run, 1);
    }
    runs.to_vec()
}

fn watch(runs: &[PathBuf]) -> Running {
    Running::serve(watch_app(LiveRuns::open(runs).unwrap()).unwrap(), "127.0.0.1", Limits::default())
}

/// The next event of a stream.
fn event(stream: &mut BufReader<TcpStream>) -> serde_json::Value {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).unwrap();
        }
    }
}

#[test]
fn the_page_runs_its_own_script_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = watch(&runs(folder.path()));
    let (first, second) = (server.get("/"), server.get("/"));
    let nonce = |answer: &Answer| {
        let policy = answer.header("content-security-policy").unwrap().to_owned();
        policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned()
    };
    assert_ne!(nonce(&first), nonce(&second));
    let html = String::from_utf8(first.body.clone()).unwrap();
    assert!(html.contains(&format!("<script nonce=\"{}\">", nonce(&first))) && html.contains("/watch.js"));
    assert!(html.contains("one, two") && server.get("/watch.js").status == 200);
    assert!(!first.header("content-security-policy").unwrap().contains("script-src 'unsafe"));
}

#[test]
fn images_are_those_that_the_page_shows() {
    let folder = tempfile::tempdir().unwrap();
    let all = runs(folder.path());
    let server = watch(&all);
    for run in 0..2 {
        let answer = server.get(&format!("/images/{run}/000000001-0-0.png"));
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
    }
    std::fs::write(all[0].join("gallery/images/secret.png"), "x").unwrap();
    for path in [
        "/images/0/secret.png",
        "/images/2/000000001-0-0.png",
        "/images/0/..%2f..%2fconfig.toml",
        "/images/0/../../config.toml",
    ] {
        server.get(path).refuses(404, "");
    }
}

#[test]
fn what_is_new_comes_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let all = runs(folder.path());
    let mut server = watch(&all);
    let mut stream = server.connect();
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut stream = BufReader::new(stream);
    let first = event(&mut stream);
    assert_eq!((&first[0]["step"], &first[1]["name"]), (&1.into(), &"two".into()));
    assert_eq!(first[0]["images"]["000000001-0-0.png"], "images/0/000000001-0-0.png");
    write_data(&all[1], 22);
    assert_eq!(event(&mut stream)[1]["step"], 22);
    // A stream does not keep the server from its end.
    let begun = std::time::Instant::now();
    server.end();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_run_whose_files_vanish_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let all = runs(folder.path());
    let server = watch(&all);
    std::fs::remove_dir_all(&all[0]).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    write_data(&all[1], 5);
    wait_until("the other goes on", || String::from_utf8(server.get("/").body).unwrap().contains("step 5"));
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn an_old_run_is_read_off_its_events() {
    let server = watch(&[fixture("pix2pix")]);
    let html = String::from_utf8(server.get("/").body).unwrap();
    assert!(html.contains("G_L1") && html.contains("pix2pix"), "the curves of its losses");
}
