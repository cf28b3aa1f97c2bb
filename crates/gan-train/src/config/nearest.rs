//! How close two key names are.

/// The edit distance (insert, delete, replace, swap neighbours) of two names that only differ as a slip would make
/// them, `None` if they are further apart. Case and the kind of dash do not count.
pub fn distance(wanted: &str, candidate: &str) -> Option<usize> {
    let plain = |name: &str| -> Vec<char> {
        name.chars().take(64).map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
    };
    let (a, b) = (plain(wanted), plain(candidate));
    let width = b.len() + 1;
    let mut table: Vec<usize> = vec![0; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i * width + j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = table[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let edited = table[(i - 1) * width + j].min(table[i * width + j - 1]) + 1;
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                let swap = if swapped { table[(i - 2) * width + j - 2] + 1 } else { usize::MAX };
                replaced.min(edited).min(swap)
            };
        }
    }
    let distance = table[a.len() * width + b.len()];
    (distance <= (a.len().max(b.len()) / 3).max(1)).then_some(distance)
}

/// Names that other programs have for a key or a value, and ours.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("learning_rate", "lr"),
    ("epochs", "n_epochs"),
    ("num_epochs", "n_epochs"),
    ("image_size", "crop_size"),
    ("paired", "aligned"),
    ("pairs", "aligned"),
];

/// Our name for what is called `wanted` elsewhere.
pub(super) fn our_name(wanted: &str) -> Option<&'static str> {
    OTHER_NAMES.iter().find(|(other, _)| wanted.eq_ignore_ascii_case(other)).map(|(_, ours)| *ours)
}

/// The one of `values` that `wanted` seems to mean, if it is none of them: another spelling, as the references have it
/// (`BtoA`, `unet256`), a slip, or a beginning that only one has.
pub(super) fn value<'v>(wanted: &str, values: &[&'v str]) -> Option<&'v str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-'], "").replace('2', "to");
    let ours = our_name(wanted).and_then(|ours| values.iter().find(|value| **value == ours));
    let (wanted, is_known) = (plain(wanted), values.contains(&wanted));
    let near = values.iter().filter_map(|value| Some((distance(&wanted, &plain(value))?, *value))).min();
    let mut begin = values.iter().filter(|value| !wanted.is_empty() && plain(value).starts_with(&wanted));
    let only = begin.next().filter(|_| begin.next().is_none()).copied();
    ours.copied().or(near.map(|(_, value)| value)).or(only).filter(|_| !is_known)
}

#[cfg(test)]
mod tests {
    use super::{distance, value};

    #[test]
    fn values_in_other_spellings_are_found() {
        const ARCHS: [&str; 4] = ["resnet_9blocks", "unet_256", "unet_128", "global"];
        assert_eq!(value("unet256", &ARCHS), Some("unet_256"));
        assert_eq!(value("resnet9", &ARCHS), Some("resnet_9blocks"));
        assert_eq!(value("Global", &ARCHS), Some("global"));
        assert_eq!(value("unet", &ARCHS), None, "two begin so");
        assert_eq!(value("global", &ARCHS), None, "it is one");
        assert_eq!(value("BtoA", &["a2b", "b2a"]), Some("b2a"));
        assert_eq!(value("", &["a2b", "b2a"]), None);
        assert_eq!(value("paired", &["unpaired", "aligned"]), Some("aligned"), "the meaning goes before the spelling");
    }

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        assert_eq!(distance("lambda_L1", "lambda_l1"), Some(0));
        assert_eq!(distance("n-epochs", "n_epochs"), Some(0));
        assert_eq!(distance("n_epohcs", "n_epochs"), Some(1));
        assert_eq!(distance("loadSize", "load_size"), Some(1));
        assert_eq!(distance("lr", "ln"), Some(1));
        assert_eq!(distance("lr", "beta1"), None);
        assert_eq!(distance("", "x"), Some(1));
        assert_eq!(distance("pool_size", "crop_size"), Some(3));
        assert_eq!(distance("momentum", "pool_size"), None);
    }
}
