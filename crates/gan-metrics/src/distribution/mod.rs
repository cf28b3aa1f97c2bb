//! Metrics of two sets of images, each image a point in the space of a network's features.

mod features;
mod fid;
mod kid;
mod linear_algebra;
mod mersenne_twister;
mod precision_recall;
mod subsets;

pub use features::Features;
pub use fid::{Fid, fid};
pub use kid::{Kid, kid, kid_interval, kid_of};
pub use precision_recall::{PrecisionRecall, precision_recall};
pub use subsets::Subsets;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Error;
    use gan_rng::{Key, Purpose};

    /// Normal features around `mean`.
    fn normal(seed: u64, n: usize, d: usize, mean: f32) -> Features {
        let mut values = vec![0.0; n * d];
        Key::new(seed, Purpose::Test).fill_normal(0, &mut values);
        Features::new(d, values.iter().map(|v| v + mean).collect()).unwrap()
    }

    #[test]
    fn a_set_has_no_distance_from_itself() {
        for (n, d) in [(50, 8), (20, 40)] {
            let x = normal(1, n, d, 0.5);
            let distance = fid(&x, &x).unwrap();
            assert!(distance.value < 1e-12 * distance.traces[0], "{distance:?}");
            assert_eq!(precision_recall(&x, &x, 3).unwrap().f_score(), 1.0);
        }
    }

    #[test]
    fn distances_are_those_of_the_distributions() {
        // Σ = 1 on both sides and means a distance of 2 apart in each of 4 dimensions: FID 16.
        let (x, y) = (normal(1, 4000, 4, 0.0), normal(2, 4000, 4, 2.0));
        let distance = fid(&x, &y).unwrap();
        assert!((distance.value - 16.0).abs() < 0.5, "{distance:?}");
        let apart = precision_recall(&normal(1, 300, 4, 0.0), &normal(2, 300, 4, 9.0), 3).unwrap();
        assert_eq!((apart.precision(), apart.recall(), apart.f_score()), (0.0, 0.0, 0.0));
    }

    #[test]
    fn kid_is_unbiased_and_its_interval_holds_the_truth() {
        let subsets = |seed| Subsets::Keyed { count: 20, size: 60, seed };
        let (x, y) = (normal(1, 120, 6, 0.0), normal(2, 100, 6, 0.0));
        let same = kid(&x, &y, subsets(0)).unwrap();
        assert_eq!(same, kid(&x, &y, subsets(0)).unwrap());
        let interval = kid_interval(&x, &y, same.mean(), 0).unwrap();
        assert!(interval.low < 0.0 && 0.0 < interval.high, "{interval:?}");
        let other = normal(3, 100, 6, 0.6);
        let apart = kid(&x, &other, subsets(0)).unwrap();
        let interval = kid_interval(&x, &other, apart.mean(), 0).unwrap();
        assert!(interval.low > 0.0 && interval.low < apart.mean() && apart.mean() < interval.high, "{interval:?}");
    }

    #[test]
    fn sets_that_do_not_fit_are_refused() {
        let (x, y) = (normal(1, 5, 4, 0.0), normal(2, 5, 3, 0.0));
        assert!(matches!(fid(&x, &y), Err(Error::Features(_))));
        let one = normal(1, 1, 4, 0.0);
        assert!(matches!(fid(&x, &one), Err(Error::TooFew { smallest: 2, count: 1, .. })));
        assert!(matches!(kid(&x, &x, Subsets::TORCH_FIDELITY), Err(Error::TooFew { smallest: 1000, .. })));
        assert!(matches!(precision_recall(&x, &normal(1, 3, 4, 0.0), 3), Err(Error::TooFew { smallest: 4, .. })));
        assert!(matches!(kid_of(&x, &x, &[[vec![0, 1], vec![4, 5]]]), Err(Error::Features(_))));
        assert!(Features::new(2, vec![1.0; 3]).is_err() && Features::new(1, vec![f32::NAN]).is_err());
    }
}
