//! Server-sent events: what is new, as soon as it is there.

use crate::connection::Working;
use crate::reply::with;
use crate::server::{Stopping, ended};
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::response::Response;
use hyper::body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// A sign of life, without which proxies take a connection for dead.
const ALIVE: Duration = Duration::from_secs(15);

/// A body that goes on as long as there is news.
#[derive(Debug)]
struct Events {
    lines: mpsc::Receiver<Bytes>,
    _working: Working,
}

impl HttpBody for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.lines.poll_recv(cx).map(|lines| lines.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Sends what `news` holds now, and whatever it holds later. A client that is slow gets the newest only.
pub(super) fn stream(mut news: watch::Receiver<Arc<str>>, working: Working, mut stopping: Stopping) -> Response {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let event = format!("data: {}\n\n", *news.borrow_and_update());
            if sender.send(event.into()).await.is_err() {
                return;
            }
            loop {
                tokio::select! {
                    changed = news.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    () = tokio::time::sleep(ALIVE) => {
                        if sender.send(Bytes::from_static(b": alive\n\n")).await.is_err() {
                            return;
                        }
                    }
                    () = sender.closed() => return,
                    () = ended(&mut stopping) => return,
                }
            }
        }
    });
    with(StatusCode::OK, "text/event-stream", Body::new(Events { lines, _working: working }))
}
