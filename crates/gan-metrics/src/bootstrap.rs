//! Confidence intervals from bootstrap samples (Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 1979).

use gan_rng::{Key, Purpose};

/// Bootstrap samples of [`mean_interval`].
const REPLICATES: u64 = 1000;

/// Bounds between which a quantity lies with a probability of 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The 2.5th percentile.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// The interval of the mean of per-image values: the percentiles of the means of 1000 samples with replacement. Depends on
/// the seed and the values alone. `None` for fewer than two values.
pub fn mean_interval(values: &[f64], seed: u64) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let key = Key::new(seed, Purpose::Evaluation).at_name("bootstrap");
    let n = values.len() as u64;
    let mean = |replicate: u64| {
        let mut stream = key.at(replicate).stream();
        (0..n).map(|_| values[stream.below(n) as usize]).sum::<f64>() / n as f64
    };
    Some(percentile_interval((0..REPLICATES).map(mean).collect()))
}

/// The central 95 % of the values, which are not empty.
pub(crate) fn percentile_interval(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    let last = (values.len() - 1) as f64;
    let at = |share: f64| {
        let place = share * last;
        let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
        // Equal neighbours may be infinite.
        if low == high { low } else { low + (high - low) * place.fract() }
    };
    Interval { low: at(0.025), high: at(0.975) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn intervals_have_the_width_of_the_standard_error() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let interval = mean_interval(&values, 1).unwrap();
        // The standard deviation of 0..20 is 5.77, and 400 images leave a twentieth of it.
        let expected = 1.96 * 5.77 / 20.0;
        assert!((interval.low - (9.5 - expected)).abs() < 0.08, "{interval:?}");
        assert!((interval.high - (9.5 + expected)).abs() < 0.08, "{interval:?}");
        assert_eq!(mean_interval(&values, 1), Some(interval));
        assert_ne!(mean_interval(&values, 2), Some(interval));
    }

    #[test]
    fn few_values_and_infinite_ones() {
        assert_eq!(mean_interval(&[1.0], 1), None);
        let all = mean_interval(&[f64::INFINITY; 3], 1).unwrap();
        assert_eq!((all.low, all.high), (f64::INFINITY, f64::INFINITY));
    }
}
