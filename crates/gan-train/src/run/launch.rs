//! What `run.json` keeps of each launch.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{MAX_BYTES, RunInfo};

/// Launches that are kept, beside the first one's command line.
const MOST: usize = 100;

/// One time that training began or went on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// When, in UTC: `2026-11-29T09:00:00Z`.
    pub time: String,
    /// The machine, where it tells its name.
    pub host: Option<String>,
    /// CPUs that the process could use.
    pub cpus: usize,
    /// The device, in words.
    pub device: String,
    /// Version of the program.
    pub version: String,
    /// The command line.
    pub argv: Vec<String>,
}

/// `earlier` with a launch that begins now, described by `info`.
pub(super) fn recorded(earlier: Option<RunInfo>, info: &RunInfo) -> RunInfo {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let host = gan_fs::read_regular("/proc/sys/kernel/hostname".as_ref(), 1 << 10).ok();
    let launch = Launch {
        time: utc(now),
        host: host.and_then(|name| String::from_utf8(name).ok()).map(|name| name.trim().to_owned()),
        cpus: std::thread::available_parallelism().map_or(1, usize::from),
        device: info.device.clone(),
        version: info.version.clone(),
        argv: info.argv.clone(),
    };
    let mut all = earlier.unwrap_or_else(|| RunInfo { launches: Vec::new(), ..info.clone() });
    all.launches.push(launch);
    // The file has to stay small enough to be read again, however long the command lines are.
    let size = |launch: &Launch| launch.argv.iter().map(|arg| 16 + arg.len()).sum::<usize>() + 512;
    while all.launches.len() > MOST
        || all.launches.len() > 1 && all.launches.iter().map(size).sum::<usize>() as u64 > MAX_BYTES / 4
    {
        all.launches.remove(0);
    }
    all
}

/// A time in seconds since 1970 as a date (the days of the Gregorian calendar counted from 1 March of year 0).
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153; // 0 is March
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let known = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (seconds, text) in known {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn launches_are_bounded() {
        let mut info = RunInfo {
            method: "pix2pix".into(),
            version: "1".into(),
            revision: None,
            device: "cpu".into(),
            instruction_set: "x".into(),
            seed: 0,
            argv: vec!["first".into()],
            launches: Vec::new(),
        };
        let mut all = None;
        for i in 0..2 * MOST {
            all = Some(recorded(all, &info));
            info.argv = vec![format!("{i}")];
        }
        let all = all.unwrap_or_else(|| info.clone());
        assert_eq!((all.launches.len(), all.argv[0].as_str()), (MOST, "first"));
        assert_eq!(all.launches[MOST - 1].argv, [format!("{}", 2 * MOST - 2)]);
        info.argv = vec!["x".repeat(MAX_BYTES as usize / 8)];
        let mut long = all;
        for _ in 0..5 {
            long = recorded(Some(long), &info);
        }
        assert!(long.launches.len() < 4);
    }
}
