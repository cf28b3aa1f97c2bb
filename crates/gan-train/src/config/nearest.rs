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

#[cfg(test)]
mod tests {
    use super::distance;

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
