//! What the fetcher reads from response headers: ranges, validators, announced hashes, when to come back.

use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;

use crate::digest;

/// The header as text, trimmed; `None` when it is missing or not ASCII.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `Content-Range: bytes FIRST-LAST/TOTAL`, or `bytes */TOTAL` of a refused range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    /// First and last byte sent, both included.
    pub(crate) span: Option<(u64, u64)>,
    /// Size of the whole file, unless the server does not say.
    pub(crate) total: Option<u64>,
}

impl ContentRange {
    /// `None` for anything that is not a well-formed byte range.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (span, total) = rest.trim().split_once('/')?;
        let total = if total == "*" { None } else { Some(number(total)?) };
        let span = if span == "*" {
            None
        } else {
            let (first, last) = span.split_once('-')?;
            let (first, last) = (number(first)?, number(last)?);
            if last < first || total.is_some_and(|total| last >= total) {
                return None;
            }
            Some((first, last))
        };
        if span.is_none() && total.is_none() {
            return None;
        }
        Some(Self { span, total })
    }
}

/// Digits only: `parse` alone would also take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What `If-Range` may carry: a strong entity tag, else the date of the last change. A weak tag promises nothing
/// about bytes.
pub(crate) fn validator(headers: &HeaderMap) -> Option<String> {
    let strong = text(headers, "etag").filter(|tag| tag.starts_with('"') && tag.len() > 2);
    strong.or_else(|| text(headers, "last-modified").filter(|date| http_date(date).is_some())).map(str::to_owned)
}

/// Whether the response still describes the file that `validator` stood for; headers that say nothing do not
/// contradict it.
pub(crate) fn same_file(headers: &HeaderMap, validator: &str) -> bool {
    let now = if validator.starts_with('"') { text(headers, "etag") } else { text(headers, "last-modified") };
    now.is_none_or(|now| now == validator)
}

/// A sha256 of the whole file that the host announces, in hexadecimal digits.
///
/// Understood: `X-Linked-ETag` (Hugging Face, on the redirect), `x-amz-checksum-sha256` (S3; composite checksums of
/// multipart uploads end in `-N` and say nothing about the bytes), `Repr-Digest` and the older `Digest`.
pub(crate) fn announced_sha256(headers: &HeaderMap) -> Option<String> {
    let linked = text(headers, "x-linked-etag").map(|tag| tag.trim_matches('"').to_ascii_lowercase());
    if let Some(tag) = linked.filter(|tag| tag.len() == 64 && tag.bytes().all(|b| b.is_ascii_hexdigit())) {
        return Some(tag);
    }
    let listed = |name: &str, open: &str| {
        text(headers, name)?.split(',').find_map(|item| {
            let (algorithm, value) = item.trim().split_once('=')?;
            if !algorithm.eq_ignore_ascii_case("sha-256") {
                return None;
            }
            value.strip_prefix(open)?.strip_suffix(open).map(str::to_owned)
        })
    };
    let encoded = text(headers, "x-amz-checksum-sha256")
        .map(str::to_owned)
        .or_else(|| listed("repr-digest", ":"))
        .or_else(|| listed("digest", ""))?;
    let bytes = digest::base64(&encoded)?;
    (bytes.len() == 32).then(|| digest::hex(&bytes))
}

/// How long `Retry-After` asks to wait: seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = text(headers, "retry-after")?;
    if let Some(seconds) = number(text) {
        return Some(Duration::from_secs(seconds));
    }
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(http_date(text)?.saturating_sub(now)))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day = number(parts.next()?)?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year = number(parts.next()?)?;
    let mut clock = parts.next()?.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let of_a_day = hour < 24 && minute < 60 && second <= 60;
    if parts.next() != Some("GMT") || !(1970..10_000).contains(&year) || !(1..=31).contains(&day) || !of_a_day {
        return None;
    }
    // Days since 1970-01-01 of the proleptic Gregorian calendar, with years that begin in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ureq::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_str(v).unwrap())).collect()
    }

    #[test]
    fn ranges() {
        let range = |text| ContentRange::parse(text).map(|r| (r.span, r.total));
        assert_eq!(range("bytes 0-9/10"), Some((Some((0, 9)), Some(10))));
        assert_eq!(range("bytes 5-9/*"), Some((Some((5, 9)), None)));
        assert_eq!(range("bytes */10"), Some((None, Some(10))));
        for bad in [
            "",
            "bytes",
            "bytes 5-4/10",
            "bytes 0-10/10",
            "bytes */*",
            "bytes +1-2/3",
            "lines 0-1/2",
            "bytes -/3",
            "bytes 1-99999999999999999999999/*",
            "bytes 1/2",
            "0-9/10",
        ] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_strong_tag_or_a_date() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(validator(&headers(&[("etag", "\"a\""), ("last-modified", date)])).unwrap(), "\"a\"");
        assert_eq!(validator(&headers(&[("etag", "W/\"a\""), ("last-modified", date)])).unwrap(), date);
        assert_eq!(validator(&headers(&[("etag", "W/\"a\"")])), None);
        // What is no date would be taken for a tag, or send a weak one.
        for no_date in ["", "W/\"a\"", "\"a\"", "yesterday"] {
            assert_eq!(validator(&headers(&[("last-modified", no_date)])), None);
        }
        assert!(same_file(&headers(&[("etag", "\"a\"")]), "\"a\""));
        assert!(!same_file(&headers(&[("etag", "\"b\"")]), "\"a\""));
        assert!(same_file(&headers(&[]), "\"a\""));
    }

    #[test]
    fn hashes_that_hosts_announce() {
        let hash = digest::sha256(b"abc");
        let encoded = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        let announced = |name, value: &str| announced_sha256(&headers(&[(name, value)]));
        assert_eq!(announced("x-linked-etag", &format!("\"{hash}\"")), Some(hash.clone()));
        assert_eq!(announced("x-amz-checksum-sha256", encoded), Some(hash.clone()));
        assert_eq!(announced("x-amz-checksum-sha256", &format!("{encoded}-12")), None);
        assert_eq!(announced("repr-digest", &format!("md5=:AA==:, sha-256=:{encoded}:")), Some(hash.clone()));
        assert_eq!(announced("digest", &format!("SHA-256={encoded}")), Some(hash));
        assert_eq!(announced("x-linked-etag", "\"0123\""), None);
        assert_eq!(announced("etag", &"a".repeat(64)), None);
    }

    #[test]
    fn when_to_come_back() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        let after = |value: &str| retry_after(&headers(&[("retry-after", value)]), now);
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(30)));
        assert_eq!(after("Sun, 06 Nov 1993 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(after("soon"), None);
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
        assert_eq!(http_date("Thu, 29 Feb 2024 24:00:00 GMT"), None);
        assert_eq!(http_date("Thu, 29 Feb 2024 18446744073709551615:59:59 GMT"), None);
    }

    /// Headers are a stranger's: none of them may do more than be ignored.
    #[test]
    fn no_header_is_too_odd() {
        const PARTS: [&str; 18] = [
            "bytes ",
            "bytes",
            "*",
            "/",
            "-",
            "0",
            "9",
            "18446744073709551615",
            "99999999999999999999",
            ", ",
            " ",
            "=",
            ":",
            "sha-256",
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Feb",
            "\"",
            "é",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..1 + state % 7 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.push_str(PARTS[(state % PARTS.len() as u64) as usize]);
            }
            if let Some(range) = ContentRange::parse(&text) {
                assert!(range.span.is_none_or(|(first, last)| first <= last), "{text}");
            }
            let pairs: Vec<_> = ["etag", "last-modified", "retry-after", "digest", "repr-digest", "x-linked-etag"]
                .into_iter()
                .map(|name| (name, text.as_str()))
                .collect();
            let headers = headers(&pairs);
            let _ = (validator(&headers), announced_sha256(&headers), retry_after(&headers, SystemTime::now()));
        }
    }
}
