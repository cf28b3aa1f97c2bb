//! A server in this process, a model that does as it is told, and a client that sends bytes.

use gan_web::{
    App, Choice, Draw, Engine, Limits, Listen, Log, Made, ModelFacts, ModelInput, Refusal, Served, Server, Twin, Work,
    translate_app,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// Longest that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until this is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
    pub(crate) served: Arc<Mutex<Vec<Served>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// One obedient model on the loopback interface.
    pub(crate) fn new() -> (Self, Obedient) {
        Self::with(Limits::default())
    }

    pub(crate) fn with(limits: Limits) -> (Self, Obedient) {
        let model = Obedient::default();
        let app = translate_app(vec![model.clone()], &limits).unwrap();
        (Self::serve(app, "127.0.0.1", limits), model)
    }

    pub(crate) fn serve(app: App, host: &str, limits: Limits) -> Self {
        let served = Arc::new(Mutex::new(Vec::new()));
        let told = served.clone();
        let log = Log::new(move |one: &Served| told.lock().unwrap().push(one.clone()));
        let listen = Listen { host: host.to_owned(), port: Some(0), limits, log, ..Listen::default() };
        let server = Server::bind(&listen).unwrap();
        let port = server.address().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let (url, token) = (server.url(), server.token().map(|token| token.digits().to_owned()));
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = spawn(move || server.run(app, &flag).unwrap());
        Running { address, url, token, served, stop, thread: Some(thread) }
    }

    pub(crate) fn request(&self, line: &str) -> Request {
        let head = format!("{line} HTTP/1.1\r\n");
        Request { address: self.address, head, host: Some(self.address.to_string()), body: Vec::new() }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path}")).send()
    }

    /// Sends a body to be translated.
    pub(crate) fn post(&self, query: &str, body: &[u8]) -> Answer {
        self.request(&format!("POST /v1/translate{query}")).body(body).send()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Whether the server still translates.
    #[track_caller]
    pub(crate) fn still_works(&self) {
        assert_eq!(self.post("", &picture(8, 8)).status, 200);
    }

    pub(crate) fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A request, byte by byte.
#[derive(Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    head: String,
    host: Option<String>,
    body: Vec<u8>,
}

impl Request {
    pub(crate) fn host(mut self, host: Option<&str>) -> Self {
        self.host = host.map(String::from);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    pub(crate) fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        let length = body.len().to_string();
        self.header("Content-Length", &length)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let host = self.host.as_ref().map(|host| format!("Host: {host}\r\n")).unwrap_or_default();
        [format!("{}{host}Connection: close\r\n\r\n", self.head).as_bytes(), &self.body].concat()
    }

    #[track_caller]
    pub(crate) fn send(&self) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // A server that has refused may not read to the end.
        let _ = stream.write_all(&self.bytes());
        Answer::read(&mut stream)
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        Self::of(&bytes)
    }

    #[track_caller]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
        Answer { status, headers: lines.filter_map(header).collect(), body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Checks a refusal: its status, and that its sentence has this word and no path.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, word: &str) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let answer = self.json();
        let sentence = answer["error"].as_str().unwrap();
        assert!(sentence.contains(word), "`{word}` is missing in: {sentence}");
        assert!(!sentence.contains("/tmp") && !sentence.contains("/work") && !sentence.contains(".rs"), "{sentence}");
    }
}

/// A model that does what the seed says.
#[derive(Clone, Default)]
pub(crate) struct Obedient {
    pub(crate) id: &'static str,
    pub(crate) begun: Arc<AtomicUsize>,
    pub(crate) recovered: Arc<AtomicUsize>,
    /// While this is set, `WAITS` waits.
    pub(crate) held: Arc<AtomicBool>,
    /// Engines for images that take long that were made, where there are such.
    pub(crate) twins: Option<Arc<AtomicUsize>>,
}

/// An image that takes long, by what the model says of itself.
pub(crate) fn long_picture() -> Vec<u8> {
    picture(640, 400)
}

/// The model panics.
pub(crate) const PANICS: &str = "?seed=13";
/// The model waits until it is let go.
pub(crate) const WAITS: &str = "?seed=14";
/// Something in the server is wrong.
pub(crate) const FAILS: &str = "?seed=15";
/// The result is large.
pub(crate) const LARGE: &str = "?seed=16";

impl Engine for Obedient {
    fn facts(&mut self) -> ModelFacts {
        ModelFacts {
            id: if self.id.is_empty() { "obedient" } else { self.id }.to_owned(),
            name: "obedient".to_owned(),
            method: "pix2pix".to_owned(),
            input: ModelInput::Image { channels: 3 },
            instances: false,
            output_channels: 3,
            directions: vec!["a2b"],
            steps: Vec::new(),
            step: None,
            best: None,
            styles: false,
            dropout: true,
            side: 64,
            draw: Draw::Pen { likely: false },
            seconds: 0.01,
            max_pixels: 1 << 24,
        }
    }

    fn translate(&mut self, work: &Work) -> Result<Made, Refusal> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let Choice { seed, .. } = work.choice;
        match seed {
            Some(13) => panic!("as it was told"),
            Some(14) => wait_until("the model is let go", || !self.held.load(Ordering::SeqCst)),
            Some(15) => return Err(Refusal::Failed("/secret/path is gone".to_owned())),
            Some(16) => return Ok(Made { png: vec![0; 64 << 20], size: work.size }),
            _ => {}
        }
        Ok(Made { png: work.image.clone(), size: work.size })
    }

    fn twin(&self) -> Option<Twin<Self>> {
        let (twins, same) = (self.twins.clone()?, self.clone());
        Some(Box::new(move || {
            twins.fetch_add(1, Ordering::SeqCst);
            Ok(same.clone())
        }))
    }

    fn recover(&mut self) {
        self.recovered.fetch_add(1, Ordering::SeqCst);
    }
}

/// A PNG of some colours.
pub(crate) fn picture(width: u32, height: u32) -> Vec<u8> {
    encoded(
        image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8]))
            .into(),
    )
}

pub(crate) fn encoded(image: image::DynamicImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        sleep(Duration::from_millis(5));
    }
}
