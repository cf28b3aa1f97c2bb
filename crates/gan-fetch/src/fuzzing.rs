//! The readers of what servers send, for fuzz targets and for no one else: no promise is made that they stay.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::catalog::Entry;
use crate::error::Result;
use crate::headers::ContentRange;
use crate::{headers, http, subset, unpack as archives};

/// Unpacks an archive below `staging`, an empty folder, and returns the folder that would become the entry.
///
/// # Errors
/// As [`Fetcher::fetch`](crate::Fetcher::fetch) of an archive that has come.
pub fn unpack(entry: &Entry, archive: &Path, staging: &Path) -> Result<PathBuf> {
    archives::unpack(entry, archive, staging, &mut |_| {}).map_err(|refusal| refusal.of("archive", "memory"))
}

/// Copies the tensors of a safetensors file whose names begin with one of `prefixes`.
///
/// # Errors
/// As [`Fetcher::fetch`](crate::Fetcher::fetch) of an entry of which a part is kept.
pub fn keep_tensors(source: &Path, target: &Path, prefixes: &[String]) -> Result<()> {
    subset::keep(source, target, prefixes).map_err(|refusal| refusal.of("file", "memory"))
}

/// First and last byte, and the size of the whole.
type Range = (Option<(u64, u64)>, Option<u64>);

/// What is made of the headers of an answer.
#[derive(Debug)]
pub struct Headers {
    /// What `Content-Range` says.
    pub content_range: Option<Range>,
    /// What `If-Range` would carry.
    pub validator: Option<String>,
    /// A sha256 of the whole.
    pub announced: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Where a redirect from an encrypted connection leads, if it is followed.
    pub redirect: Option<String>,
}

/// Reads headers, one a line; lines that are none are left out.
#[must_use]
pub fn read_headers(lines: &[u8]) -> Headers {
    let mut map = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    let range = headers::text(&map, "content-range").and_then(ContentRange::parse);
    Headers {
        content_range: range.map(|range| (range.span, range.total)),
        validator: headers::validator(&map),
        announced: headers::announced_sha256(&map),
        retry_after: headers::retry_after(&map, SystemTime::now()),
        redirect: headers::text(&map, "location")
            .and_then(|location| http::redirect("https://host/folder/file", location).ok()),
    }
}
