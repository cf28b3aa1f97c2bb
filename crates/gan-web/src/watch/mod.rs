//! A page that follows runs while they are trained.
//!
//! ```text
//! GET /               the page, with what there is now
//! GET /events         newer data, as server-sent events
//! GET /images/N/FILE  an image that the page shows
//! GET /healthz        whether the server works
//! ```

mod events;

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::reply::{Problem, with};
use crate::server::{App, Stopping};
use crate::token::Token;
use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use gan_train::gallery::LiveRuns;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::watch;

const SCRIPT: &str = include_str!("page/watch.js");
/// How often the runs are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Largest image that is shown.
const MAX_IMAGE: u64 = 64 << 20;

/// What all requests share.
#[derive(Debug)]
struct Shared {
    runs: Mutex<LiveRuns>,
    news: watch::Receiver<Arc<str>>,
}

impl Shared {
    fn runs(&self) -> MutexGuard<'_, LiveRuns> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page about these runs. It follows them as long as the server runs.
///
/// # Errors
/// [`Error::System`] if there is no thread to be had.
pub fn watch_app(runs: LiveRuns) -> Result<App> {
    let (sender, news) = watch::channel::<Arc<str>>(runs.data().into());
    let shared = Arc::new(Shared { runs: Mutex::new(runs), news });
    let followed = Arc::downgrade(&shared);
    let follow = move || {
        loop {
            thread::sleep(LOOK);
            let Some(shared) = followed.upgrade() else { return };
            let mut runs = shared.runs();
            // What cannot be read is being written, or gone; what was shown stays.
            if runs.refresh().unwrap_or(false) {
                let _ = sender.send(runs.data().into());
            }
        }
    };
    thread::Builder::new().name("watch".to_owned()).spawn(follow).map_err(Error::System)?;
    let router = Router::new()
        .route("/", get(page))
        .route("/watch.js", get(|| async { with(StatusCode::OK, "text/javascript; charset=utf-8", SCRIPT) }))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/events", get(events))
        .route("/images/{run}/{file}", get(image))
        .route("/healthz", get(|| async { with(StatusCode::OK, "application/json", r#"{"status":"ok"}"#) }))
        .with_state(shared);
    Ok(App { router })
}

/// The page carries its script and style in itself; a number that is used once lets the browser run that script and no other.
async fn page(State(shared): State<Arc<Shared>>) -> Response {
    let nonce = Token::random();
    let nonce = nonce.digits();
    let html = shared.runs().page().replacen("<script>", &format!("<script nonce=\"{nonce}\">"), 1);
    let html = html.replacen("</body>", "<script src=\"/watch.js\"></script>\n</body>", 1);
    let policy = format!(
        "default-src 'self'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = with(StatusCode::OK, "text/html; charset=utf-8", html);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

async fn events(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    Extension(stopping): Extension<Stopping>,
) -> Response {
    events::stream(shared.news.clone(), connection.work(), stopping)
}

/// An image is looked up among those that the page shows: nothing of the address becomes a path.
async fn image(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, Problem> {
    let gone = || Problem::new(StatusCode::NOT_FOUND, "there is no such image, or no more");
    let file = shared.runs().image(uri.path().trim_start_matches('/')).map(ToOwned::to_owned).ok_or_else(gone)?;
    let read = tokio::task::spawn_blocking(move || gan_fs::read_regular(&file, MAX_IMAGE));
    let bytes = read.await.ok().and_then(Result::ok).ok_or_else(gone)?;
    Ok(with(StatusCode::OK, "image/png", bytes))
}
