//! Curves of bounded length.

use serde::Serialize;

/// Points that a curve keeps; when they are full, neighbours are averaged.
pub(super) const POINTS: usize = 512;

/// What a curve is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Loss,
    Validation,
    /// The learning rate.
    Rate,
}

/// One loss or metric over the steps.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Curve {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Step and mean of `stride` values.
    pub(super) points: Vec<(u64, f64)>,
    pub(super) last: f64,
    #[serde(skip)]
    stride: u32,
    #[serde(skip)]
    pending: (f64, u32),
}

/// All losses and metrics, in the order in which they first appeared.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Curves(Vec<Curve>);

impl Curves {
    /// Adds a value; those that are not finite cannot be drawn and are left out.
    pub(super) fn push(&mut self, kind: Kind, name: &str, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        let at = match self.0.iter().position(|curve| curve.kind == kind && curve.name == name) {
            Some(at) => at,
            None => {
                let name = name.to_owned();
                self.0.push(Curve { name, kind, points: Vec::new(), last: value, stride: 1, pending: (0.0, 0) });
                self.0.len() - 1
            }
        };
        self.0[at].push(step, value);
    }

    /// The last step of any of them.
    pub(super) fn last_step(&self) -> u64 {
        self.0.iter().filter_map(|curve| curve.points.last()).map(|&(step, _)| step).max().unwrap_or(0)
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Curve> {
        self.0.iter()
    }
}

impl Curve {
    fn push(&mut self, step: u64, value: f64) {
        self.last = value;
        self.pending.0 += value;
        self.pending.1 += 1;
        if self.pending.1 < self.stride {
            return;
        }
        self.points.push((step, self.pending.0 / f64::from(self.pending.1)));
        self.pending = (0.0, 0);
        if self.points.len() > POINTS {
            self.points = self.points.chunks(2).map(|pair| (pair[pair.len() - 1].0, mean(pair))).collect();
            self.stride *= 2;
        }
    }
}

fn mean(points: &[(u64, f64)]) -> f64 {
    points.iter().map(|(_, value)| value).sum::<f64>() / points.len() as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn length_is_bounded_and_shape_kept() {
        let mut curves = Curves::default();
        for step in 0..100_000u64 {
            curves.push(Kind::Loss, "g", step, step as f64);
        }
        curves.push(Kind::Loss, "g", 100_000, f64::NAN);
        let curve = curves.iter().next().unwrap();
        assert!((POINTS / 2..=POINTS).contains(&curve.points.len()));
        assert_eq!(curve.last, 99_999.0);
        for &(step, value) in &curve.points {
            assert!((step as f64 - value).abs() <= f64::from(curve.stride), "{step} {value}");
        }
        assert!(curve.points.is_sorted_by(|a, b| a.0 < b.0));
    }
}
