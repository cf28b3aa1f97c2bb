//! Learning rate over the epochs, as a factor of the base rate.
//!
//! Every policy but `plateau` is a pure function of the epoch, so that resuming needs no state. Epochs count from 1;
//! `s` below is the number of scheduler steps taken, one after each epoch: `epoch - epoch_count`.

use serde::{Deserialize, Serialize};

/// How the learning rate changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LrPolicy {
    /// Full rate for `n_epochs`, then linearly towards 0 over `n_epochs_decay`:
    /// `1 - max(0, s + epoch_count - n_epochs) / (n_epochs_decay + 1)`.
    #[default]
    Linear,
    /// The rule of pix2pixHD: full rate up to and including epoch `n_epochs + 1`, then less by `1 / n_epochs_decay` each
    /// epoch. Unlike the original, which starts from the full rate again after each launch, it follows the epoch.
    LinearHd,
    /// `0.1^floor(s / lr_decay_iters)`.
    Step,
    /// Half a cosine over all `n_epochs + n_epochs_decay` epochs: `(1 + cos(π (s + epoch_count - 1) / total)) / 2`.
    Cosine,
    /// The cosine of the reference, whose half period is `n_epochs`: the rate **rises again** during the decay epochs.
    /// For comparisons.
    CosineReference,
    /// Times 0.2 whenever the validation metric has not improved for 5 epochs ([`Plateau`]).
    Plateau,
    /// Always the base rate.
    Constant,
}

/// The schedule of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// How the rate changes.
    pub lr_policy: LrPolicy,
    /// Epochs at the full rate.
    pub n_epochs: u32,
    /// Further epochs in which the rate goes down.
    pub n_epochs_decay: u32,
    /// For `step`: epochs between two reductions.
    pub lr_decay_iters: u32,
    /// The first epoch. Resuming does not need it; it starts a new run in the middle of a schedule.
    pub epoch_count: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule { lr_policy: LrPolicy::Linear, n_epochs: 100, n_epochs_decay: 100, lr_decay_iters: 50, epoch_count: 1 }
    }
}

impl Schedule {
    /// Number of the last epoch.
    pub fn last_epoch(&self) -> u32 {
        self.n_epochs.saturating_add(self.n_epochs_decay)
    }

    /// The factor of the base rate during `epoch` (counted from 1), in `0..=1`.
    ///
    /// For `plateau` it is 1: multiply by [`Plateau::factor`].
    pub fn factor(&self, epoch: u32) -> f64 {
        let steps = f64::from(epoch.saturating_sub(self.epoch_count));
        let (n, decay) = (f64::from(self.n_epochs), f64::from(self.n_epochs_decay));
        let factor = match self.lr_policy {
            LrPolicy::Linear => 1.0 - (steps + f64::from(self.epoch_count) - n).max(0.0) / (decay + 1.0),
            LrPolicy::LinearHd => {
                // Steps happen at the end of epochs after n_epochs, so that epoch n + 1 still has the full rate.
                let taken = (f64::from(epoch) - n - 1.0).max(0.0);
                if taken == 0.0 { 1.0 } else { 1.0 - taken / decay.max(1.0) }
            }
            LrPolicy::Step => 0.1f64.powf((steps / f64::from(self.lr_decay_iters.max(1))).floor()),
            LrPolicy::Cosine => half_cosine(steps + f64::from(self.epoch_count) - 1.0, (n + decay).max(1.0)),
            LrPolicy::CosineReference => half_cosine(steps, n.max(1.0)),
            LrPolicy::Plateau | LrPolicy::Constant => 1.0,
        };
        factor.max(0.0)
    }
}

/// From 1 down to 0 in `period` steps (and up again in as many).
fn half_cosine(steps: f64, period: f64) -> f64 {
    (1.0 + (std::f64::consts::PI * steps / period).cos()) / 2.0
}

/// Lowers the rate when a metric (smaller is better) stops to improve: times 0.2 after more than 5 epochs without an
/// improvement by at least 1 %.
///
/// The reference feeds it the constant 0, which lowers the rate blindly: from epoch 8, then every 6 epochs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    factor: f64,
    best: Option<f64>,
    bad_epochs: u32,
}

impl Default for Plateau {
    fn default() -> Self {
        Plateau { factor: 1.0, best: None, bad_epochs: 0 }
    }
}

impl Plateau {
    const REDUCTION: f64 = 0.2;
    const THRESHOLD: f64 = 0.01;
    const PATIENCE: u32 = 5;

    /// Takes the metric at the end of an epoch. NaN counts as no improvement.
    pub fn observe(&mut self, metric: f64) {
        // The threshold is relative, so a negative metric has to fall below 0.99 of itself, as in PyTorch.
        if self.best.map_or(!metric.is_nan(), |best| metric < best * (1.0 - Self::THRESHOLD)) {
            self.best = Some(metric);
            self.bad_epochs = 0;
        } else {
            self.bad_epochs += 1;
        }
        if self.bad_epochs > Self::PATIENCE {
            self.factor *= Self::REDUCTION;
            self.bad_epochs = 0;
        }
    }

    /// The factor of the base rate for the next epoch.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Whether observing metrics can lead here; what was read from a file may be anything.
    pub(crate) fn is_possible(&self) -> bool {
        (0.0..=1.0).contains(&self.factor) && self.bad_epochs <= Self::PATIENCE && self.best.is_none_or(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn schedule(lr_policy: LrPolicy) -> Schedule {
        Schedule { lr_policy, ..Schedule::default() }
    }

    #[track_caller]
    fn assert_factors(schedule: Schedule, expected: &[(u32, f64)]) {
        for &(epoch, factor) in expected {
            let got = schedule.factor(epoch);
            assert!((got - factor).abs() < 1e-12, "epoch {epoch}: {got} instead of {factor}");
        }
    }

    use LrPolicy::{Constant, Cosine, CosineReference, Linear, LinearHd, Step};

    #[test]
    fn linear_has_the_published_values() {
        let table = [(1, 1.), (99, 1.), (100, 1.), (101, 100.), (102, 99.), (150, 51.), (199, 2.), (200, 1.)];
        let table = table.map(|(epoch, x)| (epoch, if epoch <= 100 { x } else { x / 101.0 }));
        assert_factors(schedule(Linear), &table);
        // Starting in the middle gives the same rates.
        let middle = Schedule { epoch_count: 150, ..Schedule::default() };
        for epoch in 150..=200 {
            assert!((middle.factor(epoch) - Schedule::default().factor(epoch)).abs() < 1e-12);
        }
        // One epoch and no decay.
        let one = Schedule { n_epochs: 1, n_epochs_decay: 0, ..Schedule::default() };
        assert_factors(one, &[(1, 1.0)]);
    }

    #[test]
    fn linear_hd() {
        let hd = schedule(LinearHd);
        assert_factors(hd, &[(1, 1.), (100, 1.), (101, 1.), (102, 0.99), (103, 0.98), (199, 0.02), (200, 0.01)]);
        assert_factors(Schedule { n_epochs_decay: 0, ..hd }, &[(100, 1.0)]);
        // The same numbers as subtracting at the end of each epoch after the first hundred.
        let mut lr = 1.0;
        for epoch in 1..=200 {
            assert!((hd.factor(epoch) - lr).abs() < 1e-9);
            if epoch > 100 {
                lr -= 1.0 / 100.0;
            }
        }
    }

    #[test]
    fn step() {
        assert_factors(schedule(Step), &[(1, 1.), (50, 1.), (51, 0.1), (100, 0.1), (101, 0.01), (151, 0.001)]);
        assert_factors(Schedule { lr_decay_iters: 0, ..schedule(Step) }, &[(1, 1.0), (2, 0.1)]);
    }

    #[test]
    fn cosines() {
        let all = schedule(Cosine);
        assert_factors(all, &[(1, 1.), (101, 0.5), (51, 0.5 + 0.5 * 0.5f64.sqrt())]);
        assert!(all.factor(200) > 0.0 && all.factor(200) < 1e-4);
        assert!((1..200).all(|epoch| all.factor(epoch + 1) < all.factor(epoch)), "it only falls");
        assert_factors(schedule(CosineReference), &[(1, 1.), (51, 0.5), (101, 0.), (151, 0.5), (201, 1.)]);
        // Started in the middle, it has the same rates.
        let late = Schedule { epoch_count: 101, ..all };
        assert!((101..=200).all(|epoch| (late.factor(epoch) - all.factor(epoch)).abs() < 1e-12));
    }

    #[test]
    fn constant_and_bounds() {
        assert_factors(schedule(Constant), &[(0, 1.), (1, 1.), (u32::MAX, 1.)]);
        for policy in [Linear, LinearHd, Step, Cosine, CosineReference, LrPolicy::Plateau] {
            for epoch in (0..1000).chain([u32::MAX]) {
                let factor = schedule(policy).factor(epoch);
                assert!((0.0..=1.0).contains(&factor), "{policy:?} {epoch}: {factor}");
            }
        }
    }

    #[test]
    fn plateau_with_a_constant_metric_is_the_reference() {
        let mut plateau = Plateau::default();
        let mut reductions = Vec::new();
        for epoch in 1..=30 {
            let before = plateau.factor();
            plateau.observe(0.0);
            if plateau.factor() < before {
                reductions.push(epoch + 1);
            }
        }
        assert_eq!(reductions, [8, 14, 20, 26]);
    }

    #[test]
    fn plateau_waits_while_the_metric_improves() {
        let mut plateau = Plateau::default();
        for epoch in 0..50 {
            plateau.observe(0.9f64.powi(epoch));
        }
        assert_eq!(plateau.factor(), 1.0);
        // Less than one per cent is no improvement, nor is NaN.
        let best = 0.9f64.powi(49);
        for metric in [0.995 * best, f64::NAN, 2.0 * best, best, 0.991 * best] {
            plateau.observe(metric);
        }
        assert_eq!(plateau.factor(), 1.0);
        let saved: Plateau = serde_json::from_str(&serde_json::to_string(&plateau).unwrap()).unwrap();
        assert_eq!(saved, plateau);
        let mut resumed = saved;
        resumed.observe(best);
        assert!((resumed.factor() - 0.2).abs() < 1e-15);
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        let schedule: Schedule = toml::from_str("lr_policy = \"linear_hd\"").unwrap();
        assert_eq!((schedule.lr_policy, schedule.n_epochs), (LinearHd, 100));
        for name in ["linear", "step", "plateau", "cosine", "cosine_reference", "constant"] {
            assert!(toml::from_str::<Schedule>(&format!("lr_policy = \"{name}\"")).is_ok(), "{name}");
        }
        assert!(toml::from_str::<Schedule>("niter = 3").is_err());
    }
}
