//! Frame rates, as the fractions that they are.

use std::fmt;
use std::str::FromStr;

/// Frames a second: `numerator / denominator`, in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    numerator: u32,
    denominator: u32,
}

impl Rate {
    /// `None` where one of the numbers is 0.
    pub fn new(numerator: u32, denominator: u32) -> Option<Self> {
        if numerator == 0 || denominator == 0 {
            return None;
        }
        let (mut a, mut b) = (numerator, denominator);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        Some(Rate { numerator: numerator / a, denominator: denominator / a })
    }

    /// Numerator and denominator.
    pub fn fraction(self) -> (u32, u32) {
        (self.numerator, self.denominator)
    }

    /// Frames a second.
    pub fn per_second(self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// The rate of every `n`-th frame; `None` if it is below what the numbers hold.
    pub fn every(self, n: u32) -> Option<Self> {
        let denominator = u64::from(self.denominator) * u64::from(n);
        let (mut a, mut b) = (u64::from(self.numerator), denominator);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        let part = |x: u64| u32::try_from(x / a.max(1)).ok();
        Rate::new(part(u64::from(self.numerator))?, part(denominator)?)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

/// `25`, `23.976`, `30000/1001`.
impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "give frames a second, for example 25, 29.97 or 30000/1001";
        if let Some((numerator, denominator)) = text.split_once('/') {
            let (numerator, denominator) = (numerator.parse().ok(), denominator.parse().ok());
            return numerator.zip(denominator).and_then(|(n, d)| Rate::new(n, d)).ok_or(WANTED);
        }
        let value: f64 = text.parse().map_err(|_| WANTED)?;
        if !(0.001..=100_000.0).contains(&value) {
            return Err(WANTED);
        }
        // The rates of television are written with three digits, and are fractions of 1001.
        let television = [24_000, 30_000, 60_000, 120_000].into_iter().filter_map(|n| Rate::new(n, 1001));
        let near = |rate: &Rate| (rate.per_second() - value).abs() < 0.006 && value.fract() != 0.0;
        let rounded = || Rate::new((value * 1000.0).round() as u32, 1000);
        television.into_iter().find(near).or_else(rounded).ok_or(WANTED)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, fraction) in [
            ("25", (25, 1)),
            ("30000/1001", (30_000, 1001)),
            ("29.97", (30_000, 1001)),
            ("23.976", (24_000, 1001)),
            ("12.5", (25, 2)),
            ("50/2", (25, 1)),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().fraction(), fraction, "{text}");
        }
        for text in ["", "0", "-1", "1/0", "0/5", "nan", "inf", "1e9", "a/b"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
        assert_eq!(Rate::new(30_000, 1001).unwrap().every(2).unwrap().fraction(), (15_000, 1001));
        assert_eq!(Rate::new(1, u32::MAX).unwrap().every(2), None);
    }
}
