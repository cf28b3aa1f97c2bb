//! Connections: how many there are, which one gives way to a new one, and how long each may keep the server waiting.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// A connection, as its requests know it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) peer: IpAddr,
    state: Arc<ConnectionState>,
}

#[derive(Debug)]
struct ConnectionState {
    /// Requests that the server works on; while there are none, it waits for the client.
    working: AtomicUsize,
    /// Since when it waits.
    waiting_since: Mutex<Instant>,
    close: Notify,
}

impl ConnectionState {
    fn waits_from_now(&self) {
        *self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long the server has waited for the client; `None` while it works for it.
    fn waited(&self) -> Option<Duration> {
        let since = *self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        (self.working.load(Ordering::Relaxed) == 0).then(|| since.elapsed())
    }
}

impl Connection {
    fn new(peer: IpAddr) -> Self {
        let (working, waiting_since) = (AtomicUsize::new(0), Mutex::new(Instant::now()));
        Connection { peer, state: Arc::new(ConnectionState { working, waiting_since, close: Notify::new() }) }
    }

    /// Until the answer is dropped, the server is the one who works.
    pub(crate) fn work(&self) -> Working {
        self.state.working.fetch_add(1, Ordering::Relaxed);
        Working(self.state.clone())
    }

    /// The client has sent something worth waiting for.
    pub(crate) fn progress(&self) {
        self.state.waits_from_now();
    }

    /// Ends when the connection is to give way.
    pub(crate) async fn closed(&self) {
        self.state.close.notified().await;
    }
}

/// The server works on a request of a connection.
#[derive(Debug)]
pub(crate) struct Working(Arc<ConnectionState>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.waits_from_now();
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All connections that there are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections {
    all: Arc<Mutex<HashMap<u64, Connection>>>,
}

/// A connection among the others, until this is dropped.
#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) connection: Connection,
    number: u64,
    among: Connections,
}

impl Connections {
    pub(crate) fn register(&self, number: u64, peer: IpAddr) -> Registered {
        let connection = Connection::new(peer);
        self.lock().insert(number, connection.clone());
        Registered { connection, number, among: self.clone() }
    }

    /// Closes the connection that has kept the server waiting longest, if that is longer than `grace`. Those whose requests are worked on
    /// stay.
    pub(crate) fn close_one(&self, grace: Duration) {
        let all = self.lock();
        let waiting = all.values().filter_map(|connection| Some((connection.state.waited()?, connection)));
        if let Some((waited, longest)) = waiting.max_by_key(|(waited, _)| *waited)
            && waited >= grace
        {
            longest.state.close.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Connection>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.among.lock().remove(&self.number);
    }
}

/// A stream whose other side may not keep a write waiting for long.
#[derive(Debug)]
pub(crate) struct Impatient {
    stream: TcpStream,
    limit: Duration,
    /// Runs while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    pub(crate) fn new(stream: TcpStream, limit: Duration) -> Self {
        Impatient { stream, limit, timer: None }
    }

    fn or_give_up<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.timer = None;
            return written;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.or_give_up(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.or_give_up(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.or_give_up(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.or_give_up(cx, closed)
    }
}
