//! Brings one file: mirrors in order, a few tries each, continued where the last stopped, checked before it is used.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::catalog::Format;
use crate::error::{Error, MirrorFailure};
use crate::headers::{self, ContentRange};
use crate::http::{Client, Fault, Patience, Reply, Resume, refused};
use crate::part::{Origin, Part};
use crate::progress::Reporter;
use crate::tries::Tries;
use crate::{digest, disk, human, sniff};

/// The most that is fetched of a file of which the catalogue tells no size.
const UNKNOWN_MOST: u64 = 32_000_000_000;
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
    /// The whole hash, or its first digits.
    pub(crate) sha256: Option<&'a str>,
    pub(crate) md5: Option<&'a str>,
    /// The sha256 that the lock file remembers of an earlier fetch.
    pub(crate) remembered: Option<&'a str>,
}

impl Wanted<'_> {
    /// No more bytes than this are written to the disk, whatever the server sends.
    fn most(&self) -> u64 {
        self.bytes.or(self.approx.map(|approx| approx.saturating_mul(2))).unwrap_or(UNKNOWN_MOST)
    }

    /// What is wrong with a file of so many bytes, if anything. `whose` begins the sentence about an exact size.
    fn wrong_size(&self, whose: &str, bytes: u64) -> Option<String> {
        match (self.bytes, self.approx) {
            (Some(size), _) => (size != bytes).then(|| format!("{whose} {bytes} bytes, the catalogue says {size}")),
            (None, Some(approx)) => {
                let fits = (approx / 2..=self.most()).contains(&bytes);
                (!fits).then(|| {
                    format!("the file has {}, it should be about {}", human::bytes(bytes), human::bytes(approx))
                })
            }
            (None, None) => (bytes > self.most()).then(|| {
                format!("{whose} {bytes} bytes; without a size in the catalogue, {} are fetched at most", self.most())
            }),
        }
    }

    /// Refuses what the server offers before it is fetched. Less than is expected may be an error page, about which its
    /// bytes tell more.
    fn check_offer(&self, bytes: Option<u64>) -> Result<(), Fault> {
        let bytes = bytes.filter(|bytes| self.bytes.is_some() || *bytes > self.most());
        match bytes.and_then(|bytes| self.wrong_size("the server offers", bytes)) {
            None => Ok(()),
            Some(reason) => Err(Fault::Mirror(reason)),
        }
    }
}

/// A file that came and was checked; its bytes are in the `.part`.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) url: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// Whether a hash that somebody publishes vouches for it.
    pub(crate) vouched: bool,
}

/// Fetches into `part`. On success the part file is whole, checked and flushed to the disk.
///
/// # Errors
/// [`Error::NoMirror`] when every mirror failed; at once when the disk is the fault.
pub(crate) fn download(
    client: &Client,
    wanted: &Wanted<'_>,
    part: &Part,
    progress: &mut Reporter<'_>,
) -> Result<Fetched, Error> {
    let mut failures = Vec::new();
    // The mirror that gave the first part of it comes first: the others would begin anew, and throw that part away.
    let begun = wanted.urls.iter().filter(|url| part.resumable(url).is_some());
    let others = wanted.urls.iter().filter(|url| part.resumable(url).is_none());
    for url in begun.chain(others).collect::<Vec<_>>() {
        match from_mirror(client, wanted, url, part, progress) {
            Ok(fetched) => return Ok(fetched),
            Err(Fault::Local(error)) => return Err(error),
            Err(Fault::Mirror(reason) | Fault::Retry { reason, .. }) => {
                progress.note(&format!("{url}: {reason}"));
                failures.push(MirrorFailure { url: url.clone(), reason });
            }
        }
    }
    Err(Error::NoMirror(failures))
}

fn from_mirror(
    client: &Client,
    wanted: &Wanted<'_>,
    url: &str,
    part: &Part,
    progress: &mut Reporter<'_>,
) -> Result<Fetched, Fault> {
    let here = || part.resumable(url).map_or(0, |(_, length)| length);
    let (mut tries, mut fresh_start) = (Tries::new(wanted.most()), false);
    loop {
        let before = here();
        tries.count();
        match attempt(client, wanted, url, part, &mut tries, progress) {
            Ok(origin) => match verify(wanted, url, &origin, part, progress) {
                Ok(fetched) => return Ok(fetched),
                // Pieces of two transfers may not belong together: once, from the start, in one go.
                Err(Fault::Mirror(reason)) if before > 0 && !fresh_start => {
                    progress.note(&format!("{reason}; beginning anew"));
                    fresh_start = true;
                    tries.begin_anew();
                }
                Err(fault) => return Err(fault),
            },
            Err(Fault::Retry { reason, after }) => {
                if part.resumable(url).is_none() {
                    part.discard().map_err(|error| local(error, part.path()))?;
                }
                if let Err(count) = tries.broke_off(here()) {
                    return Err(Fault::Mirror(format!("{reason} (given up after {count} tries)")));
                }
                let backoff = client.patience.backoff * 2_u32.pow(tries.idle() - 1);
                let wait = after.unwrap_or(backoff).max(backoff);
                if wait > MAX_WAIT {
                    let wait = human::duration(wait);
                    return Err(Fault::Mirror(format!("{reason}, and the server asks to wait {wait}")));
                }
                progress.note(&format!("{reason}; again in {:.1} s", wait.as_secs_f64()));
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
    tries: &mut Tries,
    progress: &mut Reporter<'_>,
) -> Result<Origin, Fault> {
    let disk = |error| local(error, part.path());
    let room = |bytes| disk::require_room(part.folder(), bytes).map_err(Fault::Local);
    let known = part.resumable(url);
    if let Some((origin, length)) = &known
        && origin.total == Some(*length)
    {
        return Ok(origin.clone());
    }
    let resume = known
        .as_ref()
        .and_then(|(origin, offset)| Some(Resume { offset: *offset, validator: origin.validator.as_deref()? }));
    let most = wanted.most();
    let missing = most.saturating_sub(resume.map_or(0, |resume| resume.offset));
    let mut reply = client.get(url, resume, missing)?;
    let range = headers::text(&reply.headers, "content-range").and_then(ContentRange::parse);
    match (reply.status, &known) {
        (200, _) => {
            acceptable(&reply, url)?;
            let length = headers::text(&reply.headers, "content-length").and_then(|n| n.parse().ok());
            wanted.check_offer(length)?;
            let validator = headers::validator(&reply.headers);
            let announced = reply.announced.take();
            let origin = Origin { url: url.to_owned(), validator, total: length, announced };
            let expected = Expected { from: 0, total: length.or(wanted.bytes), most };
            let file = part.begin(&origin).map_err(disk)?;
            room(expected.total.or(wanted.approx).unwrap_or(0))?;
            receive(client.patience, &mut *reply.body, file, expected, part, tries, progress)?;
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
            wanted.check_offer(total)?;
            let expected = Expected { from: *offset, total: total.or(wanted.bytes), most };
            room(expected.total.or(wanted.approx).map_or(0, |total| total.saturating_sub(*offset)))?;
            let file = part.reopen().map_err(disk)?;
            receive(client.patience, &mut *reply.body, file, expected, part, tries, progress)?;
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

/// What a body should bring.
#[derive(Debug, Clone, Copy)]
struct Expected {
    /// Where the body begins in the file.
    from: u64,
    /// Size of the whole file, as the server or the catalogue says.
    total: Option<u64>,
    /// Bytes that the file has at most.
    most: u64,
}

/// Copies the body to the end of the file.
fn receive(
    patience: Patience,
    body: &mut dyn Read,
    mut file: File,
    Expected { from, total, most }: Expected,
    part: &Part,
    tries: &mut Tries,
    progress: &mut Reporter<'_>,
) -> Result<(), Fault> {
    let disk = |error| local(error, part.path());
    let mut position = from;
    progress.begin(total, position);
    let most = total.unwrap_or(most).min(most);
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
        if position + n as u64 > most {
            part.discard().map_err(disk)?;
            return Err(Fault::Mirror(format!("the server sent more than {most} bytes")));
        }
        file.write_all(&chunk[..n]).map_err(disk)?;
        position += n as u64;
        tries.received(n as u64);
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
    progress: &mut Reporter<'_>,
) -> Result<Fetched, Fault> {
    let path = part.path();
    let disk = |error| local(error, path);
    let bytes = std::fs::metadata(path).map_err(disk)?.len();
    // Its bytes may be those of a process that was killed before it flushed them; what is vouched for below has to be on the disk.
    part.flush().map_err(disk)?;
    progress.begin_check(bytes);
    let found = digest::of_file(path, |n| progress.advance(n)).map_err(disk)?;
    let expected = [
        ("sha256", &found.sha256, wanted.sha256, "the catalogue says"),
        ("md5", &found.md5, wanted.md5, "the catalogue says"),
        ("sha256", &found.sha256, origin.announced.as_deref(), "the server announced"),
        ("sha256", &found.sha256, wanted.remembered, "fetch.lock.toml remembers"),
    ];
    let wrong_size = wanted.wrong_size("the file has", bytes);
    // Where the size is known for about only, hash and first bytes say better what is wrong.
    let mut wrong = wrong_size.clone().filter(|_| wanted.bytes.is_some());
    for (algorithm, found, expected, who) in expected {
        if let Some(expected) = expected
            && !found.starts_with(expected)
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
    if wrong.is_none() && sniff::is_cut_short(path, wanted.format).map_err(disk)? {
        wrong = Some(format!("the file ends before its {} does: it is cut short", wanted.format.extension()));
    }
    match wrong.or(wrong_size) {
        None => {
            let vouched = wanted.sha256.is_some() || wanted.md5.is_some() || origin.announced.is_some();
            Ok(Fetched { url: url.to_owned(), bytes, sha256: found.sha256, vouched })
        }
        Some(reason) => {
            part.discard().map_err(disk)?;
            Err(Fault::Mirror(reason))
        }
    }
}

/// A fault of this machine's disk.
fn local(error: io::Error, path: &Path) -> Fault {
    Fault::Local(Error::io("write", path)(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_bound() {
        let wanted = |bytes, approx| Wanted {
            urls: &[],
            format: Format::Zip,
            bytes,
            approx,
            sha256: None,
            md5: None,
            remembered: None,
        };
        assert_eq!(wanted(Some(10), Some(100)).most(), 10);
        assert_eq!(wanted(None, Some(100)).most(), 200);
        assert_eq!(wanted(None, Some(u64::MAX)).most(), u64::MAX);
        assert_eq!(wanted(None, None).most(), UNKNOWN_MOST);
        for (wanted, good, bad) in [
            (wanted(Some(10), Some(100)), vec![10], vec![0, 9, 11, 100]),
            (wanted(None, Some(100)), vec![50, 100, 200], vec![0, 49, 201, u64::MAX]),
            (wanted(None, None), vec![0, UNKNOWN_MOST], vec![UNKNOWN_MOST + 1]),
        ] {
            assert!(good.iter().all(|n| wanted.wrong_size("it has", *n).is_none()), "{wanted:?}");
            assert!(bad.iter().all(|n| wanted.wrong_size("it has", *n).is_some()), "{wanted:?}");
        }
    }
}
