//! The time of day, for lines of a log.

/// The time of day as `14:03:27`, where the system tells the local one; otherwise in UTC, as `14:03:27Z`.
pub(crate) fn time_of_day() -> String {
    #[cfg(unix)]
    if let Some([hours, minutes, seconds]) = local() {
        return format!("{hours:02}:{minutes:02}:{seconds:02}");
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    format!("{:02}:{:02}:{:02}Z", now / 3600 % 24, now / 60 % 60, now % 60)
}

/// Hours, minutes and seconds where the machine stands.
#[cfg(unix)]
#[allow(unsafe_code)] // the local time is the system's
fn local() -> Option<[libc::c_int; 3]> {
    let mut broken = std::mem::MaybeUninit::<libc::tm>::uninit();
    // SAFETY: `time` with a null pointer only returns the time. `localtime_r` reads it, writes `broken` and returns null if it
    // could not; the environment is not changed while threads run.
    let broken = unsafe {
        let now = libc::time(std::ptr::null_mut());
        if libc::localtime_r(&raw const now, broken.as_mut_ptr()).is_null() {
            return None;
        }
        broken.assume_init()
    };
    Some([broken.tm_hour, broken.tm_min, broken.tm_sec])
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_time_of_day_has_three_numbers() {
        let text = super::time_of_day();
        let numbers = text.trim_end_matches('Z').split(':').map(|n| n.parse::<u32>().unwrap_or(99));
        let numbers: Vec<u32> = numbers.collect();
        assert!(numbers.len() == 3 && numbers[0] < 24 && numbers[1] < 60 && numbers[2] <= 60, "{text}");
    }
}
