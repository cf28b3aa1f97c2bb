//! A scripted HTTP/1.1 server on the loopback interface: one thread a connection, one request a connection.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// First byte asked for by `Range: bytes=N-`.
    pub(crate) fn offset(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What the server sends back: exactly these bytes, then it closes the connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    pub(crate) cut: Option<usize>,
    /// Bytes of the body a piece, and the pause after each.
    pub(crate) drip: Option<(usize, Duration)>,
    /// Headers without end: the pause after each.
    pub(crate) endless_head: Option<Duration>,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }.header("Content-Length", "0")
    }

    pub(crate) fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn cut(mut self, at: usize) -> Self {
        self.cut = Some(at);
        self
    }

    pub(crate) fn drip(mut self, piece: usize, pause: Duration) -> Self {
        self.drip = Some((piece, pause));
        self
    }

    pub(crate) fn endless_head(mut self, pause: Duration) -> Self {
        self.endless_head = Some(pause);
        self
    }

    /// 200 with the whole file.
    pub(crate) fn whole(body: &[u8], tag: &str) -> Self {
        Self { status: 200, body: body.to_vec(), ..Self::default() }
            .header("Content-Length", body.len())
            .header("Content-Type", "application/octet-stream")
            .header("ETag", format!("\"{tag}\""))
    }

    /// What an honest server answers: 206 from the offset asked for when the validator fits, else 200, or 416.
    pub(crate) fn honest(request: &Request, body: &[u8], tag: &str) -> Self {
        let quoted = format!("\"{tag}\"");
        match request.offset() {
            Some(offset) if request.header("if-range").is_none_or(|validator| validator == quoted) => {
                if offset >= body.len() {
                    return Self::status(416).header("Content-Range", format!("bytes */{}", body.len()));
                }
                let range = format!("bytes {offset}-{}/{}", body.len() - 1, body.len());
                let mut reply = Self::whole(&body[offset..], tag).header("Content-Range", range);
                reply.status = 206;
                reply
            }
            _ => Self::whole(body, tag),
        }
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Scripted\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        while let Some(pause) = self.endless_head {
            // Until the client has hung up.
            stream.write_all(head.as_bytes())?;
            head = "X-More: 0123456789\r\n".into();
            std::thread::sleep(pause);
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        let body = &self.body[..self.cut.unwrap_or(self.body.len()).min(self.body.len())];
        let (piece, pause) = self.drip.unwrap_or((body.len().max(1), Duration::ZERO));
        for chunk in body.chunks(piece) {
            stream.write_all(chunk)?;
            stream.flush()?;
            std::thread::sleep(pause);
        }
        stream.shutdown(Shutdown::Both)
    }
}

/// A server that runs until the test ends.
pub(crate) struct Server {
    address: String,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `script` answers the n-th request (counted from 0 over all paths).
    pub(crate) fn start(script: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (script, seen) = (Arc::new(script), Arc::clone(&log));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || answer(stream, &*script, &seen));
            }
        });
        Self { address, log }
    }

    /// A server that always gives the same file, honestly.
    pub(crate) fn of(body: Vec<u8>) -> Self {
        Self::start(move |request, _| Reply::honest(request, &body, "v1"))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, script: &dyn Fn(&Request, usize) -> Reply, seen: &Mutex<Vec<Request>>) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let headers = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    let request = Request { path, headers };
    let n = {
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        seen.len() - 1
    };
    // The client may hang up first; that is part of what is tested.
    let _ = script(&request, n).send(&mut stream);
}
