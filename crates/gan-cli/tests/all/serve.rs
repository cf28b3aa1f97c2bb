//! `gan-cli serve` and `gan-cli watch` as their users meet them.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "images are judged by another reader than the one under test")]

use crate::support::{Bench, signal, tiny_in, wait};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout};
use std::time::Duration;

/// A server that was started, and where it is.
struct Started {
    child: Child,
    out: BufReader<ChildStdout>,
    url: String,
}

impl Started {
    fn new(bench: &Bench, args: &[&str]) -> Self {
        let mut child = bench.command(args).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let Some((_, url)) = line.trim().split_once(": ") else {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("no address: {said}");
        };
        let url = url.to_owned();
        Started { child, out, url }
    }

    fn authority(&self) -> &str {
        self.url.strip_prefix("http://").unwrap().split('/').next().unwrap()
    }

    /// Status, head and body of an answer.
    fn ask(&self, line: &str, more: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let address = self.authority().replace("0.0.0.0", "127.0.0.1");
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\n{more}Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head, answer[end + 4..].to_vec())
    }

    fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.ask(&format!("GET {path}"), "", b"");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    /// Interrupts it; it has to end well. Returns what it said.
    #[track_caller]
    fn end(mut self, name: &str) -> String {
        signal(&self.child, name);
        let code = wait(&mut self.child).code();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        self.out.read_to_string(&mut said).unwrap();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

fn picture(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image =
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]));
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn served_images_are_those_of_translate() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=4", "save_latest_freq=2"]));
    bench.ok(tiny_in("cyclegan", "cycle", &["max_steps=2"]));
    let server = Started::new(&bench, &["serve", "run", "cycle", "--port", "0"]);
    assert!(server.url.starts_with("http://127.0.0.1:"), "{}", server.url);
    let input = picture(45, 31);
    fs::write(bench.path("in.png"), &input).unwrap();
    for (query, args) in [
        ("", &["run"][..]),
        ("?model=run&step=2", &["run", "--checkpoint", "2"]),
        ("?model=cycle&direction=b2a", &["cycle", "--direction", "b2a"]),
    ] {
        let (model, more) = args.split_first().unwrap();
        let paths = ["translate", "--model", model, "--input", "in.png", "--output", "out.png"];
        bench.ok(paths.iter().chain(more));
        let (status, head, body) = server.ask(&format!("POST /v1/translate{query}"), "", &input);
        assert_eq!(status, 200, "{query}: {}", String::from_utf8_lossy(&body));
        assert!(head.contains("image/png"), "{head}");
        let expected = image::open(bench.path("out.png")).unwrap();
        assert!(image::load_from_memory(&body).unwrap() == expected, "{query}");
        fs::remove_file(bench.path("out.png")).unwrap();
    }
    let models: serde_json::Value = serde_json::from_str(&server.get("/v1/models").1).unwrap();
    assert_eq!(models["models"][0]["steps"], serde_json::json!([2, 4]));
    // Checkpoints that come while it serves are found.
    bench.ok(["train", "--out", "run", "--resume", "--set", "max_steps=6"]);
    crate::support::wait_until("the new checkpoint is listed", || server.get("/v1/models").1.contains("[2,4,6]"));
    assert_eq!(server.ask("POST /v1/translate?step=6", "", &input).0, 200);
    assert_eq!(server.ask("POST /v1/translate?step=5", "", &input).0, 400);
    assert!(server.get("/").1.contains("<title>Try a model</title>"));
    assert_eq!(server.get("/../run/config.toml").0, 404);
    let said = server.end("INT");
    assert!(said.contains("run: run, step 4; an image of 32x32 takes about") && said.contains("ending"), "{said}");
}

#[test]
fn two_models_of_one_name_and_a_log() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "a/run", &["max_steps=1"]));
    bench.ok(tiny_in("pix2pix", "b/run", &["max_steps=1", "seed=9"]));
    let server = Started::new(&bench, &["serve", "--model", "a/run", "b/run", "--port", "0", "--log"]);
    let input = picture(32, 32);
    let of = |name: &str| server.ask(&format!("POST /v1/translate?model={name}"), "", &input);
    let (one, other) = (of("run"), of("run-2"));
    assert!((one.0, other.0) == (200, 200) && one.2 != other.2);
    assert_eq!(of("run-3").0, 404);
    let said = server.end("TERM");
    let lines: Vec<serde_json::Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert_eq!(
        (&lines[2]["status"], &lines[2]["path"], &lines[2]["request"]),
        (&404.into(), &"/v1/translate".into(), &3.into())
    );
}

#[test]
fn a_server_on_a_network_wants_its_token() {
    let bench = Bench::new();
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let server = Started::new(&bench, &["serve", "run", "--host", "0.0.0.0", "--port", "0"]);
    let token = server.url.split("token=").nth(1).unwrap().to_owned();
    assert_eq!(token.len(), 32);
    assert_eq!(server.get("/").0, 401);
    assert_eq!(server.ask("GET /healthz", &format!("Authorization: Bearer {token}\r\n"), b"").0, 200);
    server.end("INT");
}

#[test]
fn what_cannot_be_served_is_said() {
    let bench = Bench::new();
    bench.run(["serve", "nowhere", "--port", "0"]).fails(4, &["nowhere", "name a run"]);
    bench.run(["serve"]).fails(2, &["MODEL"]);
    bench.run(["watch"]).fails(2, &["RUN"]);
    bench.run(["watch", "nowhere", "--port", "0"]).fails(4, &["nowhere", "no run"]);
    bench.run(["serve", "run", "--host", "no.such.host.invalid"]).fails(2, &["--host", "no.such.host.invalid"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    bench.run(["serve", "run", "--port", &port]).fails(2, &[&port, "--port"]);
    fs::create_dir(bench.path("empty")).unwrap();
    bench.run(["serve", "empty", "--port", "0"]).fails(4, &["empty"]);
    bench.ok(tiny_in("pix2pix", "run", &["max_steps=1"]));
    let little = ["serve", "run", "--port", "0", "--max-memory", "1MiB"];
    bench.run(little).fails(5, &["it may take 1 MiB: raise --max-memory, or send smaller images"]);
}

#[test]
fn runs_are_followed_while_they_are_trained() {
    let bench = Bench::new();
    for (run, seed) in [("one", "1"), ("two", "2")] {
        let seed = format!("seed={seed}");
        bench.ok(tiny_in("pix2pix", run, &["max_steps=4", "print_freq=1", "display_freq=2", &seed]));
    }
    let server = Started::new(&bench, &["watch", "one", "two", "--port", "0"]);
    let (status, html) = server.get("/");
    assert_eq!(status, 200);
    let start = html.find("id=\"data\">").unwrap() + 10;
    let data: serde_json::Value =
        serde_json::from_str(&html[start..start + html[start..].find("</script>").unwrap()]).unwrap();
    for (i, name) in ["one", "two"].into_iter().enumerate() {
        assert_eq!((&data[i]["name"], &data[i]["step"], &data[i]["finished"]), (&name.into(), &4.into(), &true.into()));
        let image = data[i]["images"].as_object().unwrap().values().next().unwrap().as_str().unwrap();
        let (status, head, body) = server.ask(&format!("GET /{image}"), "", b"");
        assert!(status == 200 && head.contains("image/png") && body.starts_with(b"\x89PNG"), "{head}");
    }
    bench.ok(["train", "--out", "two", "--resume", "--set", "max_steps=7"]);
    crate::support::wait_until("the page knows the later step", || server.get("/").1.contains("step 7 of 7"));
    server.end("INT");
}

#[test]
fn several_runs_are_one_file() {
    let bench = Bench::new();
    for run in ["one", "two"] {
        bench.ok(tiny_in("pix2pix", run, &["max_steps=2", "display_freq=2"]));
    }
    let ran = bench.ok(["watch", "one", "two", "--export", "compared.html"]);
    assert!(ran.out.contains("compared.html: 2 runs"), "{}", ran.out);
    let html = fs::read_to_string(bench.path("compared.html")).unwrap();
    assert!(
        html.contains("data:image/png;base64,")
            && html.contains("\"name\":\"one\"")
            && html.contains("\"name\":\"two\"")
    );
    for inside in ["one/config.toml", "one/events.jsonl", "two/gallery/index.html", "one/checkpoints/x.html"] {
        bench.run(["watch", "one", "two", "--export", inside]).fails(2, &[inside]);
    }
    bench.run(["watch", "one", "--export", "x.html", "--port", "1"]).fails(2, &["--export"]);
    bench.run(["watch", "one", "nowhere", "--export", "x.html"]).fails(4, &["nowhere"]);
    assert!(!bench.path("x.html").exists());
}
