//! What is known of the keys of a configuration: the ranges of numbers, and what each key is for.
//!
//! Every configuration struct has a table `RANGES` with one [`Range`] for each of its numeric keys. Code that reads a
//! configuration checks it against these tables before anything is built or allocated.
//!
//! ```
//! use gan_range::Range;
//! const NGF: Range = Range::whole("ngf", 1, 4096);
//! assert!(NGF.check_whole(64).is_ok());
//! assert_eq!(
//!     NGF.check_whole(0).unwrap_err().to_string(),
//!     "ngf: 0 is out of range; it has to be a whole number from 1 to 4096"
//! );
//! ```

mod documented;

pub use documented::KeyDoc;
use std::fmt;

/// The numbers that a configuration key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// The key, without its table.
    pub key: &'static str,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Limits {
    /// Whole numbers, both ends included.
    Whole { min: u64, max: u64 },
    /// Finite numbers. The lower end is included unless `open`, the upper one unless `below`.
    Real { min: f64, max: f64, open: bool, below: bool },
}

impl Range {
    /// Whole numbers from `min` to `max`, both included.
    #[must_use]
    pub const fn whole(key: &'static str, min: u64, max: u64) -> Self {
        Range { key, limits: Limits::Whole { min, max } }
    }

    /// Numbers from `min` to `max`, both included.
    #[must_use]
    pub const fn real(key: &'static str, min: f64, max: f64) -> Self {
        Range { key, limits: Limits::Real { min, max, open: false, below: false } }
    }

    /// Numbers from `min`, which is included, to `max`, which is not.
    #[must_use]
    pub const fn below(key: &'static str, min: f64, max: f64) -> Self {
        Range { key, limits: Limits::Real { min, max, open: false, below: true } }
    }

    /// Numbers above 0 up to `max`.
    #[must_use]
    pub const fn positive(key: &'static str, max: f64) -> Self {
        Range { key, limits: Limits::Real { min: 0.0, max, open: true, below: false } }
    }

    /// Checks a whole number.
    ///
    /// # Errors
    /// [`OutOfRange`].
    pub fn check_whole(&self, value: u64) -> Result<(), OutOfRange> {
        let fits = match self.limits {
            Limits::Whole { min, max } => (min..=max).contains(&value),
            Limits::Real { .. } => self.holds(value as f64),
        };
        if fits { Ok(()) } else { Err(self.refuse(&value)) }
    }

    /// Checks any number.
    ///
    /// # Errors
    /// [`OutOfRange`]; also for NaN, infinities, negative zero, and a fraction where whole numbers are wanted.
    pub fn check_real(&self, value: f64) -> Result<(), OutOfRange> {
        if self.holds(value) { Ok(()) } else { Err(self.refuse(&format!("{value:?}"))) }
    }

    fn holds(&self, value: f64) -> bool {
        if !value.is_finite() || (value == 0.0 && value.is_sign_negative()) {
            return false;
        }
        match self.limits {
            Limits::Whole { min, max } => value.fract() == 0.0 && min as f64 <= value && value <= max as f64,
            Limits::Real { min, max, open, below } => {
                (if open { min < value } else { min <= value }) && (if below { value < max } else { value <= max })
            }
        }
    }

    /// The error about a value outside of this range, for callers that found it in another form.
    #[must_use]
    pub fn refuse(&self, value: &dyn fmt::Display) -> OutOfRange {
        OutOfRange { key: self.key, value: value.to_string(), range: *self }
    }
}

/// In words: `a whole number from 1 to 4096`, `a number from 0 to 1, 1 excluded`, `a number above 0`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limits {
            Limits::Whole { min, max } => write!(f, "a whole number from {min} to {max}"),
            Limits::Real { min, max, open, below } => {
                let from = if open { "above" } else { "from" };
                write!(f, "a number {from} {min}")?;
                match (max == f64::MAX, open) {
                    (true, true) => Ok(()),
                    (true, false) => f.write_str(" upwards"),
                    (false, true) => write!(f, ", at most {max}"),
                    (false, false) => write!(f, " to {max}"),
                }?;
                if below { write!(f, ", {max} excluded") } else { Ok(()) }
            }
        }
    }
}

/// A number outside of its range.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfRange {
    /// The key, without its table.
    pub key: &'static str,
    /// The value, as text.
    pub value: String,
    /// What it has to be.
    pub range: Range,
}

impl OutOfRange {
    /// What is wrong, without the key.
    #[must_use]
    pub fn reason(&self) -> String {
        format!("{} is out of range; it has to be {}", self.value, self.range)
    }
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.reason())
    }
}

impl std::error::Error for OutOfRange {}

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_included_unless_said() {
        let whole = Range::whole("n", 1, 3);
        assert_eq!([0, 1, 3, 4].map(|v| whole.check_whole(v).is_ok()), [false, true, true, false]);
        let (real, below, positive) =
            (Range::real("x", 0.0, 1.0), Range::below("x", 0.0, 1.0), Range::positive("x", 1.0));
        let ends = |range: Range| [0.0, 0.5, 1.0, 1.5].map(|v| range.check_real(v).is_ok());
        assert_eq!(ends(real), [true, true, true, false]);
        assert_eq!(ends(below), [true, true, false, false]);
        assert_eq!(ends(positive), [false, true, true, false]);
    }

    #[test]
    fn what_is_no_ordinary_number_is_refused_everywhere() {
        for range in [Range::whole("n", 0, 9), Range::real("x", 0.0, 9.0), Range::positive("x", f64::MAX)] {
            for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, -1.0] {
                assert!(range.check_real(value).is_err(), "{range}: {value}");
            }
        }
        assert!(Range::whole("n", 0, 9).check_real(1.5).is_err());
        assert!(Range::whole("n", 0, u64::MAX).check_whole(u64::MAX).is_ok());
    }

    #[test]
    fn ranges_are_told_in_words() {
        assert_eq!(Range::real("x", 0.0, 10.0).to_string(), "a number from 0 to 10");
        assert_eq!(Range::below("x", 0.0, 1.0).to_string(), "a number from 0 to 1, 1 excluded");
        assert_eq!(Range::positive("x", f64::MAX).to_string(), "a number above 0");
        assert_eq!(Range::positive("x", 5.0).to_string(), "a number above 0, at most 5");
        assert_eq!(Range::real("x", 0.0, f64::MAX).to_string(), "a number from 0 upwards");
    }
}
