//! Answers: JSON, and errors that a person can read.

use crate::limits::Limits;
use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refusal, or a failure: a status and one sentence. It names no path and no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
    /// Seconds after which the request may succeed.
    pub(crate) retry_after: Option<u64>,
    /// What the log is to tell, and clients are not.
    pub(crate) failure: Option<String>,
}

/// What the log is to tell of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure(pub(crate) String);

impl Problem {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Problem { status, sentence: sentence.into(), retry_after: None, failure: None }
    }

    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Problem { retry_after: Some(seconds), ..self }
    }

    pub(crate) fn too_large(limits: &Limits) -> Self {
        let mib = limits.body_bytes >> 20;
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {mib} MiB: send a smaller image"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Sentence<'a> {
            error: &'a str,
        }
        let mut response = json(self.status, &Sentence { error: &self.sentence });
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(failure) = self.failure {
            response.extensions_mut().insert(Failure(failure));
        }
        response
    }
}

/// A value as JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => with(status, "application/json", bytes),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A body of this type.
pub(crate) fn with(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let body: Body = body.into();
    (status, headers, body).into_response()
}
