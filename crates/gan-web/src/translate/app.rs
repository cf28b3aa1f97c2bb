//! Routes of the page and the API.

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::reply::{Problem, json, with};
use crate::server::App;
use crate::translate::clients::Clients;
use crate::translate::engine::{Engine, Refusal, Work};
use crate::translate::facts::ModelFacts;
use crate::translate::query::Asked;
use crate::translate::upload::{Budget, Images, is_form, look_at, of_form, receive};
use crate::translate::worker::{NotMade, Worker};
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = concat!(
    include_str!("page/png.js"),
    include_str!("page/api.js"),
    include_str!("page/canvas.js"),
    include_str!("page/compare.js"),
    include_str!("page/main.js")
);

/// What all requests share.
#[derive(Debug)]
struct Shared {
    models: Vec<Worker>,
    limits: Limits,
    budget: Budget,
    clients: Clients,
}

/// The page and the API that try these models, each of which gets threads of its own. The first is what requests get that name none.
///
/// # Errors
/// [`Error::System`] if there is no thread to be had.
pub fn translate_app<E: Engine>(engines: Vec<E>, limits: &Limits) -> Result<App> {
    let models = engines.into_iter().map(|engine| Worker::start(engine, limits).map_err(Error::System));
    let models = models.collect::<Result<Vec<_>>>()?;
    let (budget, clients) = (Budget::new(limits), Clients::new(limits.per_client));
    let shared = Arc::new(Shared { models, limits: *limits, budget, clients });
    let fixed = |kind: &'static str, text: &'static str| get(move || async move { with(StatusCode::OK, kind, text) });
    let router = Router::new()
        .route("/", fixed("text/html; charset=utf-8", PAGE))
        .route("/page.css", fixed("text/css; charset=utf-8", STYLE))
        .route("/page.js", fixed("text/javascript; charset=utf-8", SCRIPT))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
        .route("/v1/models", get(models_of))
        .route("/v1/translate", post(translate))
        .route("/healthz", get(health))
        .with_state(shared);
    Ok(App { router })
}

async fn models_of(State(shared): State<Arc<Shared>>) -> Response {
    #[derive(Serialize)]
    struct Answer {
        models: Vec<ModelFacts>,
        max_bytes: usize,
        max_pixels: u64,
        max_side: u32,
    }
    let Limits { body_bytes, pixels, side, .. } = shared.limits;
    let models = shared.models.iter().map(Worker::facts).collect();
    json(StatusCode::OK, &Answer { models, max_bytes: body_bytes, max_pixels: pixels, max_side: side })
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    #[derive(Serialize)]
    struct Health<'a> {
        status: &'a str,
        models: Vec<ModelHealth<'a>>,
    }
    #[derive(Serialize)]
    struct ModelHealth<'a> {
        id: &'a str,
        waiting: usize,
        made: u64,
        panics: u64,
    }
    let of = |worker: &'_ Worker| {
        let counters = worker.counters();
        (worker.waiting(), counters.made.load(Ordering::Relaxed), counters.panics.load(Ordering::Relaxed))
    };
    let models = shared.models.iter().map(|worker| {
        let (waiting, made, panics) = of(worker);
        ModelHealth { id: worker.id(), waiting, made, panics }
    });
    json(StatusCode::OK, &Health { status: "ok", models: models.collect() })
}

async fn translate(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let limits = &shared.limits;
    let mut asked = Asked::in_query(parts.uri.query())?;
    let Some(_counted) = shared.clients.count(connection.peer) else {
        let sentence = "this client has as many requests under way as it may have: wait for one of them";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, sentence).retry_after(1));
    };
    let mut received = receive(&parts.headers, body, limits, &shared.budget, &connection).await?;
    // From here on it is the server that makes the client wait.
    let _working = connection.work();
    let bytes = std::mem::take(&mut received.bytes);
    let images = match is_form(&parts.headers) {
        true => of_form(&parts, bytes, &mut asked).await?,
        false => Images { image: bytes, instances: None },
    };
    let worker = chosen(&shared.models, &asked)?;
    let (size, images) = looked_at(images, *limits).await?;
    let work = Work { image: images.image, instances: images.instances, size, choice: asked.choice };
    let begun = Instant::now();
    let Some(ticket) = worker.queue(work) else {
        let sentence = "the model is busy, and its queue is full: try again";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, sentence).retry_after(worker.patience(size)));
    };
    let made = ticket.made(limits.deadline).await.map_err(|error| problem(error, worker, size))?;
    drop(received);
    let mut response = with(StatusCode::OK, "image/png", made.png);
    let headers = response.headers_mut();
    let timing = format!("translate;dur={:.1}", begun.elapsed().as_secs_f64() * 1e3);
    if let Ok(timing) = HeaderValue::from_str(&timing) {
        headers.insert(HeaderName::from_static("server-timing"), timing);
    }
    Ok(response)
}

/// The model that was asked for, by its name in the list.
fn chosen<'a>(models: &'a [Worker], asked: &Asked) -> Result<&'a Worker, Problem> {
    let found = match &asked.model {
        None => models.first(),
        Some(name) => models.iter().find(|model| model.id() == name),
    };
    found.ok_or_else(|| {
        let known: Vec<&str> = models.iter().map(Worker::id).collect();
        Problem::new(StatusCode::NOT_FOUND, format!("there is no such model; there are {}", known.join(", ")))
    })
}

/// Looks at the headers of the images, away from the thread that serves.
async fn looked_at(images: Images, limits: Limits) -> Result<((u32, u32), Images), Problem> {
    let look = move || {
        let size = look_at("image", &images.image, &limits)?;
        if let Some(instances) = &images.instances {
            look_at("instance map", instances, &limits)?;
        }
        Ok((size, images))
    };
    let panicked = |_| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the image cannot be read");
    tokio::task::spawn_blocking(look).await.map_err(panicked)?
}

fn problem(error: NotMade, worker: &Worker, size: (u32, u32)) -> Problem {
    match error {
        NotMade::Refused(Refusal::Choice(sentence)) => Problem::new(StatusCode::BAD_REQUEST, sentence),
        NotMade::Refused(Refusal::Image(sentence)) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence),
        NotMade::Refused(Refusal::Failed(reason)) => failed("the model cannot do this; the server says why", reason),
        NotMade::Late => {
            let sentence = "the image was not made in time: try again, or send a smaller one";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, sentence).retry_after(worker.patience(size))
        }
        NotMade::Panicked => {
            failed("the translation failed; other images are not affected", "a translation panicked".to_owned())
        }
    }
}

fn failed(sentence: &str, reason: String) -> Problem {
    Problem { failure: Some(reason), ..Problem::new(StatusCode::INTERNAL_SERVER_ERROR, sentence) }
}
