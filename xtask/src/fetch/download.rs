//! Brings one file: mirrors in order, a few tries each, continued where the last stopped, checked before it is used.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::catalog::Format;
use super::headers::{self, ContentRange};
use super::http::{Client, Fault, Patience, Reply, Resume, refused};
use super::part::{Origin, Part};
use super::progress::Progress;
use super::sniff;
use crate::{digest, human};

/// Tries in a row, with one mirror, that bring nothing.
const MAX_TRIES: u32 = 5;
/// A try that brought this much was worth it: counting begins again.
const WORTH_IT: u64 = 64 * 1024;
/// A server that asks to wait longer is as good as down.
const MAX_WAIT: Duration = Duration::from_secs(120);

/// What is known of the file before it is fetched.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) urls: &'a [String],
    pub(crate) format: Format,
    pub(crate) bytes: Option<u64>,
    /// About how large it is; half and twice as much are believed.
    pub(crate) approx: Option<u64>,
    pub(crate) sha256: Option<&'a str>,
    pub(crate) md5: Option<&'a str>,
    /// The sha256 that the lock file remembers of an earlier fetch.
    pub(crate) remembered: Option<&'a str>,
}

/// A file that came and was checked; its bytes are in the `.part`.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) url: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Fetches into `part`. On success the part file is whole, checked and synced to disk.
///
/// # Errors
/// When every mirror failed, with the reason of each; at once when the disk is the fault.
pub(crate) fn download(
    client: &Client,
    wanted: &Wanted<'_>,
    part: &Part,
    progress: &mut Progress,
) -> anyhow::Result<Fetched> {
    let mut failures = String::new();
    for url in wanted.urls {
        match from_mirror(client, wanted, url, part, progress) {
            Ok(fetched) => return Ok(fetched),
            Err(Fault::Local(error)) => return Err(error),
            Err(Fault::Mirror(reason) | Fault::Retry { reason, .. }) => {
                progress.say(&format!("{url}: {reason}"));
                failures.push_str(&format!("\n  {url}: {reason}"));
            }
        }
    }
    Err(anyhow!("no mirror gave the file:{failures}"))
}

fn from_mirror(
    client: &Client,
    wanted: &Wanted<'_>,
    url: &str,
    part: &Part,
    progress: &mut Progress,
) -> Result<Fetched, Fault> {
    let here = || part.resumable(url).map_or(0, |(_, length)| length);
    let (mut tries, mut fresh_start) = (0, false);
    loop {
        let before = here();
        tries += 1;
        match attempt(client, wanted, url, part, progress) {
            Ok(origin) => match verify(wanted, url, &origin, part, progress) {
                Ok(fetched) => return Ok(fetched),
                // Pieces of two transfers may not belong together: once, from the start, in one go.
                Err(Fault::Mirror(reason)) if before > 0 && !fresh_start => {
                    progress.say(&format!("{reason}; beginning anew"));
                    (fresh_start, tries) = (true, 0);
                }
                Err(fault) => return Err(fault),
            },
            Err(Fault::Retry { reason, after }) => {
                if part.resumable(url).is_none() {
                    part.discard().map_err(|error| local(error, part.path()))?;
                }
                if here().saturating_sub(before) >= WORTH_IT {
                    tries = 1;
                }
                if tries >= MAX_TRIES {
                    return Err(Fault::Mirror(format!("{reason} (given up after {tries} tries)")));
                }
                let backoff = client.patience.backoff * 2_u32.pow(tries - 1);
                let wait = after.unwrap_or(backoff).max(backoff);
                if wait > MAX_WAIT {
                    let wait = human::duration(wait);
                    return Err(Fault::Mirror(format!("{reason}, and the server asks to wait {wait}")));
                }
                progress.say(&format!("{reason}; again in {:.1} s", wait.as_secs_f64()));
                std::thread::sleep(wait);
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// One request and its body. On success the part has the length that the server promised.
fn attempt(
    client: &Client,
    wanted: &Wanted<'_>,
    url: &str,
    part: &Part,
    progress: &mut Progress,
) -> Result<Origin, Fault> {
    let disk = |error| local(error, part.path());
    let known = part.resumable(url);
    if let Some((origin, length)) = &known
        && origin.total == Some(*length)
    {
        return Ok(origin.clone());
    }
    let resume = known
        .as_ref()
        .and_then(|(origin, offset)| Some(Resume { offset: *offset, validator: origin.validator.as_deref()? }));
    let mut reply = client.get(url, resume)?;
    let range = headers::text(&reply.headers, "content-range").and_then(ContentRange::parse);
    match (reply.status, &known) {
        (200, _) => {
            acceptable(&reply, url)?;
            let length = headers::text(&reply.headers, "content-length").and_then(|n| n.parse().ok());
            expect_size(wanted, length)?;
            let validator = headers::validator(&reply.headers);
            let announced = reply.announced.take();
            let origin = Origin { url: url.to_owned(), validator, total: length, announced };
            let file = part.begin(&origin).map_err(disk)?;
            receive(client.patience, &mut *reply.body, file, 0, length.or(wanted.bytes), part, progress)?;
            Ok(origin)
        }
        (206, Some((origin, offset))) => {
            acceptable(&reply, url)?;
            let same = origin.validator.as_deref().is_some_and(|v| headers::same_file(&reply.headers, v));
            let total = range.and_then(|range| range.total).or(origin.total);
            // It may send less than was asked for; the next try then asks for the rest.
            let fits = range.and_then(|range| range.span).is_some_and(|(first, _)| first == *offset);
            if !same || !fits || (origin.total.is_some() && total != origin.total) {
                part.discard().map_err(disk)?;
                let what = if same { "sent another range than was asked for" } else { "sent a part of another file" };
                return Err(Fault::retry(format!("the server {what}")));
            }
            let file = part.reopen().map_err(disk)?;
            receive(client.patience, &mut *reply.body, file, *offset, total.or(wanted.bytes), part, progress)?;
            Ok(origin.clone())
        }
        (416, Some((origin, offset))) if range.and_then(|r| r.total) == Some(*offset) => Ok(origin.clone()),
        (416, Some(_)) => {
            part.discard().map_err(disk)?;
            Err(Fault::retry("the server has no such range"))
        }
        _ => Err(refused(&reply)),
    }
}

/// Refuses answers that cannot be the file, whatever their status.
fn acceptable(reply: &Reply, url: &str) -> Result<(), Fault> {
    let kind = headers::text(&reply.headers, "content-type").unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("text/html") || kind.starts_with("application/xhtml") {
        return Err(Fault::Mirror("the server sent a web page instead of the file".into()));
    }
    let coding = headers::text(&reply.headers, "content-encoding").unwrap_or("identity").to_ascii_lowercase();
    // Some servers label a stored .tar.gz as gzip-encoded; the bytes on the wire are then the file itself.
    let label_only = matches!(coding.as_str(), "gzip" | "x-gzip") && (url.ends_with(".gz") || url.ends_with(".tgz"));
    if coding != "identity" && !coding.is_empty() && !label_only {
        return Err(Fault::Mirror(format!("the server re-encoded the file ({coding}) although asked not to")));
    }
    Ok(())
}

fn expect_size(wanted: &Wanted<'_>, offered: Option<u64>) -> Result<(), Fault> {
    match (wanted.bytes, offered) {
        (Some(wanted), Some(offered)) if wanted != offered => {
            Err(Fault::Mirror(format!("the server offers {offered} bytes, the catalogue says {wanted}")))
        }
        _ => Ok(()),
    }
}

/// Copies the body to the file. `total` is the size of the whole file, `position` where the body begins in it.
fn receive(
    patience: Patience,
    body: &mut dyn Read,
    mut file: File,
    mut position: u64,
    total: Option<u64>,
    part: &Part,
    progress: &mut Progress,
) -> Result<(), Fault> {
    let disk = |error| local(error, part.path());
    progress.begin(total, position);
    let mut chunk = vec![0; 1 << 17];
    let least = (Patience::SLOWEST as f64 * patience.stall.as_secs_f64()) as u64;
    let (mut window, mut in_window) = (Instant::now(), 0);
    loop {
        let n = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                file.sync_data().map_err(disk)?;
                return Err(Fault::retry(format!("the connection broke at {position} bytes: {error}")));
            }
        };
        if let Some(total) = total
            && position + n as u64 > total
        {
            part.discard().map_err(disk)?;
            return Err(Fault::Mirror(format!("the server sent more than {total} bytes")));
        }
        file.write_all(&chunk[..n]).map_err(disk)?;
        position += n as u64;
        progress.advance(n as u64);
        in_window += n as u64;
        if window.elapsed() >= patience.stall {
            if in_window < least {
                return Err(Fault::retry(format!("the connection is too slow ({in_window} bytes lately)")));
            }
            (window, in_window) = (Instant::now(), 0);
        }
    }
    file.sync_all().map_err(disk)?;
    match total {
        Some(total) if position < total => {
            Err(Fault::retry(format!("the connection closed at {position} of {total} bytes")))
        }
        _ => Ok(()),
    }
}

/// Checks size, format and every hash that is known. A file that fails is discarded.
fn verify(
    wanted: &Wanted<'_>,
    url: &str,
    origin: &Origin,
    part: &Part,
    progress: &mut Progress,
) -> Result<Fetched, Fault> {
    let path = part.path();
    let disk = |error| local(error, path);
    let bytes = std::fs::metadata(path).map_err(disk)?.len();
    progress.begin_check(bytes);
    let found = digest::of_file(path, |n| progress.advance(n)).map_err(disk)?;
    let expected = [
        ("sha256", &found.sha256, wanted.sha256, "the catalogue says"),
        ("md5", &found.md5, wanted.md5, "the catalogue says"),
        ("sha256", &found.sha256, origin.announced.as_deref(), "the server announced"),
        ("sha256", &found.sha256, wanted.remembered, "fetch.lock.toml remembers"),
    ];
    let mut wrong = None;
    if let Some(size) = wanted.bytes
        && size != bytes
    {
        wrong = Some(format!("the file has {bytes} bytes, the catalogue says {size}"));
    }
    for (algorithm, found, expected, who) in expected {
        if let Some(expected) = expected
            && expected != found
            && wrong.is_none()
        {
            wrong = Some(format!("the {algorithm} is {found}, {who} {expected}"));
        }
    }
    if wrong.is_none()
        && let Some(looks) = sniff::mismatch(path, wanted.format).map_err(disk)?
    {
        wrong = Some(format!("the file is no {}: {looks}", wanted.format.extension()));
    }
    if wrong.is_none()
        && wanted.bytes.is_none()
        && let Some(approx) = wanted.approx
        && !(approx / 2..=approx.saturating_mul(2)).contains(&bytes)
    {
        wrong = Some(format!("the file has {}, it should be about {}", human::bytes(bytes), human::bytes(approx)));
    }
    match wrong {
        None => Ok(Fetched { url: url.to_owned(), bytes, sha256: found.sha256 }),
        Some(reason) => {
            part.discard().map_err(disk)?;
            Err(Fault::Mirror(reason))
        }
    }
}

/// A fault of this machine's disk, with what helps against it.
fn local(error: io::Error, path: &Path) -> Fault {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
    let remedy = if full { "; make room or give another --dir, then run the same command again" } else { "" };
    let message = format!("cannot write {}{remedy}", path.display());
    Fault::Local(anyhow::Error::new(error).context(message))
}
