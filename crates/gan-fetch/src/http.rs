//! One GET request: redirects followed by hand, faults sorted into those worth another try and those that are not.

use std::io::Read;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::http::{HeaderMap, Uri};

use crate::error::{Error, Result};
use crate::headers;

/// Redirects followed for one request.
const MAX_REDIRECTS: usize = 5;

/// Why a request did not bring the file.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Worth another try with the same mirror.
    Retry {
        /// What happened.
        reason: String,
        /// When the server asks to come back.
        after: Option<Duration>,
    },
    /// This mirror will not do.
    Mirror(String),
    /// The fault is on this side (the disk): no mirror can help.
    Local(Error),
}

impl Fault {
    pub(crate) fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }
}

/// How patient the fetcher is. The default suits the internet.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// First pause between tries; doubled each time.
    pub backoff: Duration,
    /// A connection that brings less than [`Patience::SLOWEST`] over this long is given up.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { backoff: Duration::from_secs(1), stall: Duration::from_secs(30) }
    }
}

impl Patience {
    /// Bytes a second under which a connection counts as stalled.
    pub const SLOWEST: u64 = 1024;

    /// `GAN_FETCH_BACKOFF_MS` and `GAN_FETCH_STALL_MS`, which tests set, over the defaults of 1 s and 30 s.
    #[must_use]
    pub fn from_env() -> Self {
        let millis = |name: &str, default: Duration| {
            let value = std::env::var(name).ok().and_then(|value| value.parse().ok());
            value.map_or(default, Duration::from_millis)
        };
        let default = Self::default();
        Self {
            backoff: millis("GAN_FETCH_BACKOFF_MS", default.backoff),
            stall: millis("GAN_FETCH_STALL_MS", default.stall),
        }
    }
}

/// What a server answered.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// A sha256 announced by this response or by a redirect on the way.
    pub(crate) announced: Option<String>,
    pub(crate) body: Box<dyn Read>,
}

/// The part of the file that is here already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resume<'a> {
    pub(crate) offset: u64,
    pub(crate) validator: &'a str,
}

/// An HTTP client for large files.
pub(crate) struct Client {
    agent: Agent,
    pub(crate) patience: Patience,
}

impl Client {
    pub(crate) fn new(patience: Patience) -> Self {
        let config = Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .accept_encoding("identity")
            .user_agent(concat!("gan-cli-fetch/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(patience.stall))
            .timeout_recv_response(Some(patience.stall * 2))
            .timeout_per_read(Some(patience.stall))
            .build();
        Self { agent: config.into(), patience }
    }

    /// Asks for the file, or for what is missing of it. `most` bytes are expected at most, and the body as a whole has the time
    /// that they take at [`Patience::SLOWEST`]: a server can drip what is no part of the body, such as the sizes of chunks.
    pub(crate) fn get(&self, url: &str, resume: Option<Resume<'_>>, most: u64) -> Result<Reply, Fault> {
        let time = Duration::from_secs(most / Patience::SLOWEST) + self.patience.stall * 2;
        let mut url = url.to_owned();
        let mut announced = None;
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.agent.get(&url).config().timeout_recv_body(Some(time)).build();
            if let Some(resume) = resume {
                request = request.header("Range", format!("bytes={}-", resume.offset));
                request = request.header("If-Range", resume.validator);
            }
            let response = request.call().map_err(|error| match error {
                ureq::Error::BadUri(_) | ureq::Error::Http(_) => Fault::Mirror(format!("{url}: {error}")),
                _ => Fault::retry(error.to_string()),
            })?;
            let (parts, body) = response.into_parts();
            announced = headers::announced_sha256(&parts.headers).or(announced);
            let status = parts.status.as_u16();
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Ok(Reply { status, headers: parts.headers, announced, body: Box::new(body.into_reader()) });
            }
            let Some(location) = headers::text(&parts.headers, "location") else {
                return Err(Fault::Mirror(format!("redirect {status} without a Location")));
            };
            url = redirect(&url, location).map_err(Fault::Mirror)?;
        }
        Err(Fault::Mirror(format!("more than {MAX_REDIRECTS} redirects")))
    }
}

/// Sorts a status that is neither 200, 206 nor 416.
pub(crate) fn refused(reply: &Reply) -> Fault {
    let status = reply.status;
    let name = ureq::http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("");
    let reason = format!("HTTP {status} {name}").trim_end().to_owned();
    if matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504) {
        Fault::Retry { reason, after: headers::retry_after(&reply.headers, SystemTime::now()) }
    } else {
        Fault::Mirror(reason)
    }
}

/// Where a redirect leads. An encrypted connection is never left for a plain one: an attacker in between could then
/// swap a file that has no published hash.
pub(crate) fn redirect(from: &str, location: &str) -> Result<String, String> {
    let bad = || format!("redirect to an address that makes no sense: {location}");
    let base: Uri = from.parse().map_err(|_| bad())?;
    let (scheme, authority) = (base.scheme_str().ok_or_else(bad)?, base.authority().ok_or_else(bad)?);
    let location = location.split('#').next().unwrap_or_default();
    let target = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let uri: Uri = target.parse().map_err(|_| bad())?;
    match (scheme, uri.scheme_str()) {
        ("https", Some("http")) => Err(format!("redirect from https to plain http refused: {target}")),
        (_, Some("http" | "https")) => Ok(target),
        _ => Err(bad()),
    }
}

/// The mirror's path under another scheme and host.
///
/// # Errors
/// [`Error::Address`] when either is not an http(s) address.
pub(crate) fn rebase(url: &str, base: &str) -> Result<String> {
    let parse = |text: &str| text.parse::<Uri>().map_err(|_| Error::Address(format!("not an address: {text}")));
    let (uri, to) = (parse(url)?, parse(base)?);
    let (Some(scheme @ ("http" | "https")), Some(authority)) = (to.scheme_str(), to.authority()) else {
        return Err(Error::Address(format!("not an http(s) address: {base}")));
    };
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(format!("{scheme}://{authority}{}{path}", to.path().trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn redirects_are_resolved() {
        let from = "https://h:8/a/b.zip?x=1";
        for (location, target) in [
            ("https://other/c", "https://other/c"),
            ("//other/c", "https://other/c"),
            ("/c?d=1#frag", "https://h:8/c?d=1"),
            ("c", "https://h:8/a/c"),
        ] {
            assert_eq!(redirect(from, location).unwrap(), target);
        }
        assert_eq!(redirect("http://h/a", "https://h/a").unwrap(), "https://h/a");
    }

    #[test]
    fn https_is_not_left_for_http() {
        assert!(redirect("https://h/a", "http://h/a").unwrap_err().contains("plain http refused"));
        assert!(redirect("https://h/a", "HTTP://h/a").is_err());
        assert!(redirect("http://h/a", "file:///etc/passwd").is_err());
        assert!(redirect("https://h/a", "ftp://h/a").is_err());
    }

    #[test]
    fn another_host_keeps_the_path() {
        let url = "https://h/d/a.zip?dl=1";
        assert_eq!(rebase(url, "http://127.0.0.1:8080").unwrap(), "http://127.0.0.1:8080/d/a.zip?dl=1");
        assert_eq!(rebase(url, "https://m/gan/").unwrap(), "https://m/gan/d/a.zip?dl=1");
        assert!(rebase(url, "m.example").is_err());
        assert!(rebase(url, "file:///tmp").is_err());
    }
}
