//! What the names of layers tell.

/// A path as it sorts with its numbers as numbers.
pub(super) fn natural(path: &str) -> Vec<(usize, &str)> {
    let digit = |c: char| c.is_ascii_digit();
    path.split_inclusive(|c| !digit(c))
        .flat_map(|run| {
            // A run of digits, and the character behind it.
            let (number, rest) = run.split_at(run.find(|c| !digit(c)).unwrap_or(run.len()));
            let number = (!number.is_empty()).then(|| (number.parse().unwrap_or(usize::MAX), ""));
            number.into_iter().chain((!rest.is_empty()).then_some((usize::MAX, rest)))
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Down,
    Up,
}

/// Whether a word of a path begins with one of these.
fn begins(path: &str, starts: &[&str]) -> bool {
    let lower = path.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphabetic()).any(|word| starts.iter().any(|start| word.starts_with(start)))
}

/// The half of a network to which a name says that its layer belongs.
pub(super) fn side(path: &str) -> Option<Side> {
    match (begins(path, &["down", "enc", "contract"]), begins(path, &["up", "dec", "tconv", "transp", "expan"])) {
        (true, false) => Some(Side::Down),
        (false, true) => Some(Side::Up),
        _ => None,
    }
}

/// Whether a name says that its layer is in the middle of a network.
pub(super) fn is_bottleneck(path: &str) -> bool {
    begins(path, &["bottle", "middle", "bridge", "latent"])
}

/// Where in a network a name says that its layer stands, from its beginning to its end.
pub(super) fn role(path: &str) -> usize {
    match side(path) {
        _ if begins(path, &["init", "first", "stem"]) => 0,
        _ if begins(path, &["final", "last", "out", "head"]) => 4,
        _ if is_bottleneck(path) => 2,
        Some(Side::Up) => 3,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_sort_as_numbers() {
        let mut paths = ["up1.conv", "down10.conv", "down2.conv", "down2.conv.1", "a.10", "a.9", "a"];
        paths.sort_by(|a, b| natural(a).cmp(&natural(b)));
        assert_eq!(paths, ["a", "a.9", "a.10", "down2.conv", "down2.conv.1", "down10.conv", "up1.conv"]);
    }

    #[test]
    fn words_tell_places() {
        for (path, place) in [
            ("initial_down.0", 0),
            ("conv3", 1),
            ("enc.2.conv", 1),
            ("bottleneck.0", 2),
            ("deconv1", 3),
            ("final_up.0", 4),
        ] {
            assert_eq!(role(path), place, "{path}");
        }
    }
}
