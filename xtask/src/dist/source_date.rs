//! The one date that everything in a release carries.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Seconds since 1970: of `SOURCE_DATE_EPOCH` where it is set, else of the commit that is checked out.
///
/// # Errors
/// When the variable is no number, or when it is not set and `root` is no checkout.
pub(super) fn read(root: &Path) -> Result<u64> {
    if let Ok(given) = std::env::var("SOURCE_DATE_EPOCH") {
        return given.parse().with_context(|| format!("SOURCE_DATE_EPOCH is `{given}`, and no number of seconds"));
    }
    let git = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(root).output();
    let Some(output) = git.ok().filter(|output| output.status.success()) else {
        bail!("{} is no checkout of git, so there is no date; set SOURCE_DATE_EPOCH", root.display());
    };
    String::from_utf8_lossy(&output.stdout).trim().parse().context("git tells no date of the commit")
}

/// Year, month, day, hour, minute and second (UTC) of `seconds` since 1970.
///
/// Source: the proleptic Gregorian calendar counted in eras of 400 years that begin in March.
pub(super) fn civil(seconds: u64) -> [u64; 6] {
    let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    [year, month, of_year - (153 * march_month + 2) / 5 + 1, rest / 3600, rest / 60 % 60, rest % 60]
}

/// The date as ISO 8601 writes it.
pub(super) fn iso(seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The date as RFC 5322 writes it, for Debian's changelogs.
pub(super) fn rfc_5322(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let [year, month, day, hour, minute, second] = civil(seconds);
    let name = DAYS[(seconds / 86_400 % 7) as usize];
    let month = MONTHS[(month - 1) as usize];
    format!("{name}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dates that GNU `date -u -d @N` prints.
    #[test]
    fn dates_are_written_as_date_writes_them() {
        for (seconds, iso_date, rfc) in [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_399, "2000-02-28T23:59:59Z", "Mon, 28 Feb 2000 23:59:59 +0000"),
            (951_782_400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_795_000_000, "2026-11-18T11:06:40Z", "Wed, 18 Nov 2026 11:06:40 +0000"),
            (4_107_542_400, "2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 +0000"),
        ] {
            assert_eq!(iso(seconds), iso_date);
            assert_eq!(rfc_5322(seconds), rfc);
        }
    }
}
