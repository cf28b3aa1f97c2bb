//! Sizes and durations as people read them.

use std::time::Duration;

/// `116867962` becomes `117 MB` (decimal units, three digits at most).
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    // 999.5 would print as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// Reads what [`bytes`] writes: `117 MB` becomes 117,000,000. `None` for anything else.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (value, unit) = text.split_once(' ')?;
    let unit = match unit {
        "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        _ => return None,
    };
    let value: f64 = value.parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some((value * unit) as u64)
}

/// `75 s` becomes `1 min 15 s`.
#[must_use]
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_940, "9.9 kB"),
            (9_960, "10 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (116_867_962, "117 MB"),
            (1_476_754_427, "1.5 GB"),
        ] {
            assert_eq!(bytes(n), text, "{n}");
        }
    }

    #[test]
    fn sizes_are_read_again() {
        for (text, n) in [("999 B", 999), ("1.5 kB", 1500), ("117 MB", 117_000_000), ("8.0 GB", 8_000_000_000)] {
            assert_eq!(parse_bytes(text), Some(n), "{text}");
        }
        for text in ["", "MB", "117", "117 mb", "-1 MB", "NaN MB", "inf MB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (s, text) in [(0, "0 s"), (59, "59 s"), (75, "1 min 15 s"), (3600, "1 h 00 min"), (7380, "2 h 03 min")] {
            assert_eq!(duration(Duration::from_secs(s)), text);
        }
    }
}
