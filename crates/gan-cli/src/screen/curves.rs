//! Curves of bounded length.

/// Points that a curve keeps; when they are full, neighbours are averaged.
const POINTS: usize = 1024;

/// Values by name over steps, in the order in which they came up.
#[derive(Default)]
pub(super) struct Curves(Vec<Curve>);

pub(super) struct Curve {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) last: f64,
    /// How many values a point is the mean of, and those that wait for their point.
    stride: u32,
    waiting: (f64, u32),
}

impl Curves {
    /// Adds a value; those that are not finite cannot be drawn.
    pub(super) fn push(&mut self, name: &str, step: u64, value: f64) {
        if !value.is_finite() {
            return;
        }
        let at = self.0.iter().position(|curve| curve.name == name).unwrap_or_else(|| {
            let name = name.to_owned();
            self.0.push(Curve { name, points: Vec::new(), last: value, stride: 1, waiting: (0.0, 0) });
            self.0.len() - 1
        });
        self.0[at].push(step, value);
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|curve| curve.name.as_str())
    }

    pub(super) fn get(&self, at: usize) -> Option<&Curve> {
        self.0.get(at)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Curve> {
        self.0.iter()
    }

    /// Drops the points of steps after `step`.
    pub(super) fn cut(&mut self, step: u64) {
        for curve in &mut self.0 {
            curve.points.retain(|(at, _)| *at <= step as f64);
            curve.waiting = (0.0, 0);
        }
    }
}

impl Curve {
    fn push(&mut self, step: u64, value: f64) {
        self.last = value;
        self.waiting = (self.waiting.0 + value, self.waiting.1 + 1);
        if self.waiting.1 < self.stride {
            return;
        }
        self.points.push((step as f64, self.waiting.0 / f64::from(self.waiting.1)));
        self.waiting = (0.0, 0);
        if self.points.len() > POINTS {
            let mean = |pair: &[(f64, f64)]| pair.iter().map(|(_, value)| value).sum::<f64>() / pair.len() as f64;
            self.points = self.points.chunks(2).map(|pair| (pair[pair.len() - 1].0, mean(pair))).collect();
            self.stride *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn curves_are_bounded_and_can_be_cut() {
        let mut curves = Curves::default();
        for step in 0..100_000 {
            curves.push("g", step, step as f64);
        }
        curves.push("g", 100_000, f64::NAN);
        let curve = curves.get(0).unwrap();
        assert!((POINTS / 2..=POINTS).contains(&curve.points.len()) && curve.last == 99_999.0);
        assert!(curve.points.iter().all(|(step, value)| (step - value).abs() <= f64::from(curve.stride)));
        curves.cut(500);
        assert!(curves.get(0).unwrap().points.iter().all(|(step, _)| *step <= 500.0));
    }
}
