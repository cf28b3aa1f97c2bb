//! The order of frames by their names.

use std::cmp::Ordering;

/// Compares names as people number files: `frame-2` comes before `frame-10`.
pub(super) fn by_number(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) else { return a.len().cmp(&b.len()) };
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (digits(&mut a), digits(&mut b));
            let (short, long) = (m.trim_start_matches('0'), n.trim_start_matches('0'));
            short.len().cmp(&long.len()).then_with(|| short.cmp(long)).then_with(|| m.len().cmp(&n.len()))
        } else {
            (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]);
            x.cmp(&y)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Takes the digits at the start of a text.
fn digits<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    digits
}

#[cfg(test)]
mod tests {
    use super::by_number;

    #[test]
    fn numbers_count_as_numbers() {
        let mut names = ["b1", "a10", "a2", "a02", "a", "a2b", "ä3", "a99999999999999999999999"];
        names.sort_by(|a, b| by_number(a, b));
        assert_eq!(names, ["a", "a2", "a2b", "a02", "a10", "a99999999999999999999999", "b1", "ä3"]);
    }
}
