//! Bodies of requests: read within limits, taken apart, and looked at before anything is decoded.

use crate::connection::Connection;
use crate::limits::Limits;
use crate::reply::Problem;
use crate::translate::query::Asked;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use gan_data::{DecodeLimits, DecodeOptions};
use std::future::poll_fn;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// Permits of the budget stand for so many bytes.
const UNIT: usize = 4 << 10;
/// A client that sends so much, again and again, is not one that keeps the server waiting.
const PROGRESS: usize = 64 << 10;
/// Bytes by which formats are told apart.
const MAGIC: usize = 12;

/// Bytes that large bodies may have together.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Budget(Arc::new(Semaphore::new(limits.bodies_bytes / UNIT)))
    }

    /// Adds what a body that has grown to `length` needs.
    fn grow(&self, held: &mut Vec<OwnedSemaphorePermit>, length: usize) -> Result<(), Problem> {
        let needed = length.saturating_sub(Limits::SMALL_BODY).div_ceil(UNIT);
        let has: usize = held.iter().map(OwnedSemaphorePermit::num_permits).sum();
        if needed <= has {
            return Ok(());
        }
        let more = u32::try_from(needed - has).unwrap_or(u32::MAX);
        let permit = self.0.clone().try_acquire_many_owned(more).map_err(|_| {
            let sentence = "too many large images are being sent: try again, or send a smaller one";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, sentence).retry_after(2)
        })?;
        held.push(permit);
        Ok(())
    }
}

/// A body, and its part of the budget until it is dropped.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    _held: Vec<OwnedSemaphorePermit>,
}

/// Reads a whole body. One that announces too much is not read at all, and one that begins as no image is not read on.
pub(crate) async fn receive(
    headers: &HeaderMap,
    mut body: Body,
    limits: &Limits,
    budget: &Budget,
    connection: &Connection,
) -> Result<Received, Problem> {
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.body_bytes as u64) {
        return Err(Problem::too_large(limits));
    }
    let form = is_form(headers);
    let slow = || Problem::new(StatusCode::REQUEST_TIMEOUT, "the body came too slowly");
    // What is announced and does not come takes address space alone.
    let capacity = usize::try_from(declared.unwrap_or(0)).unwrap_or(0);
    let (begun, mut bytes, mut held) = (Instant::now(), Vec::with_capacity(capacity), Vec::new());
    loop {
        let left = limits.body_time.checked_sub(begun.elapsed()).ok_or_else(slow)?;
        let frame = timeout(left.min(limits.stall_time), poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)));
        let Some(frame) = frame.await.map_err(|_| slow())? else { break };
        let frame = frame.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body ends early"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits.body_bytes {
            return Err(Problem::too_large(limits));
        }
        budget.grow(&mut held, bytes.len() + data.len())?;
        if (bytes.len() + data.len()) / PROGRESS > bytes.len() / PROGRESS {
            connection.progress();
        }
        bytes.extend_from_slice(&data);
        if !form && bytes.len() >= MAGIC && !is_known(&bytes) {
            return Err(unknown("image"));
        }
    }
    Ok(Received { bytes, _held: held })
}

/// The images of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Images {
    pub(crate) image: Vec<u8>,
    pub(crate) instances: Option<Vec<u8>>,
}

/// Whether a request is a form with files.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("multipart/")
}

/// Takes a form apart: the file `image`, for some models the file `instances`, and parameters.
pub(crate) async fn of_form(parts: &Parts, body: Vec<u8>, asked: &mut Asked) -> Result<Images, Problem> {
    let bad = |sentence: &str| Problem::new(StatusCode::BAD_REQUEST, sentence);
    let broken = || bad("the form is broken: its parts do not end where its boundary says");
    let mut request = Request::new(Body::from(Bytes::from(body)));
    *request.headers_mut() = parts.headers.clone();
    *request.extensions_mut() = parts.extensions.clone();
    let mut form = Multipart::from_request(request, &()).await.map_err(|_| broken())?;
    let (mut image, mut instances, mut fields) = (None, None, 0);
    while let Some(mut field) = form.next_field().await.map_err(|_| broken())? {
        let name = field.name().unwrap_or_default().to_owned();
        if matches!(&*name, "image" | "instances") {
            let bytes = field.bytes().await.map_err(|_| broken())?.to_vec();
            let place = if name == "image" { &mut image } else { &mut instances };
            if place.replace(bytes).is_some() {
                return Err(bad("the form has two files of one name: send one image a request"));
            }
            continue;
        }
        fields += 1;
        if fields > Limits::FIELDS {
            return Err(bad("the form has too many fields"));
        }
        let mut value = Vec::new();
        while let Some(chunk) = field.chunk().await.map_err(|_| broken())? {
            if value.len() + chunk.len() > Limits::FIELD_BYTES {
                return Err(bad("a field of the form is too long"));
            }
            value.extend_from_slice(&chunk);
        }
        let value = String::from_utf8(value).map_err(|_| bad("a field of the form is not UTF-8"))?;
        asked.take(&name, &value)?;
    }
    let image = image.ok_or_else(|| bad("the form has no file named image"))?;
    Ok(Images { image, instances: instances.filter(|file| !file.is_empty()) })
}

/// Whether a file begins as those do that are read.
fn is_known(image: &[u8]) -> bool {
    image.starts_with(b"\x89PNG\r\n\x1a\n")
        || image.starts_with(b"\xff\xd8\xff")
        || (image.starts_with(b"RIFF") && image.get(8..MAGIC) == Some(b"WEBP"))
}

fn unknown(name: &str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("the {name} is no PNG, JPEG or WebP file"))
}

/// Width and height of an image by its header, if it is of a format and a size that is read.
pub(crate) fn look_at(name: &str, image: &[u8], limits: &Limits) -> Result<(u32, u32), Problem> {
    if image.is_empty() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the {name} is empty: send a PNG, JPEG or WebP file"),
        ));
    }
    if !is_known(image) {
        return Err(unknown(name));
    }
    let decode = DecodeLimits { max_pixels: limits.pixels, max_bytes: limits.decoded_bytes, max_side: limits.side };
    let options = DecodeOptions { limits: decode, ..DecodeOptions::default() };
    match gan_data::probe_bytes(Path::new(name), image, &options) {
        Ok(header) => Ok((header.width, header.height)),
        Err(gan_data::Error::TooLarge { width, height, limit, .. }) => {
            let sentence = format!("the {name} is {width}x{height}: {limit}; scale it down");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, sentence))
        }
        Err(error) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
    }
}
