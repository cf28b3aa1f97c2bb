//! How close is close.

use candle_core::{DType, Tensor};

/// What a tensor is, which decides how it is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// A network's output, a buffer.
    Output,
    /// A gradient.
    Gradient,
    /// What a metric's network puts out.
    Feature,
    /// A number that a metric makes of a pair of images, in F64 in every run.
    PixelMetric,
    /// A number that a metric makes of two sets, in F64 in every run.
    SetMetric,
    /// A loss value.
    Loss,
    /// Change of a weight over a trajectory.
    Update,
}

/// The errors of a case.
pub(crate) struct Report {
    dtype: DType,
    winograd: bool,
    /// Limit of a feature's error in F32.
    feature: f64,
    /// Limit of the error of all BF16 gradients together.
    whole: f64,
    errors: Vec<(What, String, f64)>,
    /// Squares of the differences of all BF16 gradients, and of the gradients.
    squares: (f64, f64),
    hard: Vec<String>,
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).and_then(|t| t.flatten_all()?.to_vec1()).expect("values")
}

fn max_abs(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

impl Report {
    pub(crate) fn new(dtype: DType) -> Self {
        Report {
            dtype,
            winograd: false,
            feature: 2e-6,
            whole: 6e-2,
            errors: Vec::new(),
            squares: (0.0, 0.0),
            hard: Vec::new(),
        }
    }

    /// Something that must hold exactly.
    pub(crate) fn require(&mut self, what: &str, holds: bool) {
        if !holds {
            self.hard.push(what.to_string());
        }
    }

    /// Compares a tensor with the expected one.
    pub(crate) fn tensor(&mut self, what: What, name: &str, have: &Tensor, want: &Tensor) {
        if have.dims() != want.dims() {
            self.hard.push(format!("{name}: shape {:?} instead of {:?}", have.dims(), want.dims()));
            return;
        }
        let (have, want) = (values(have), values(want));
        if have.iter().any(|x| !x.is_finite()) {
            self.hard.push(format!("{name}: not finite"));
            return;
        }
        let diff: Vec<f64> = have.iter().zip(&want).map(|(a, b)| a - b).collect();
        let l2 = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        if what == What::Gradient && self.dtype == DType::BF16 {
            // A norm behind a layer all but cancels the gradients of some parameters: rounding drowns these, and they
            // do not matter among the others.
            self.squares.0 += l2(&diff).powi(2);
            self.squares.1 += l2(&want).powi(2);
            return;
        }
        if what == What::Gradient && max_abs(&want) < 1e-10 {
            // A bias in front of a norm: its true gradient is zero.
            let limit = match self.dtype {
                DType::F64 => 1e-9,
                DType::BF16 => f64::INFINITY, // part of the whole
                _ => 1e-3,
            };
            if max_abs(&have) > limit {
                self.hard.push(format!("{name}: gradient {:.1e} where none is", max_abs(&have)));
            }
            return;
        }
        let error = match (what, self.dtype) {
            (What::Output | What::Gradient, DType::F64)
            | (What::Output | What::Feature | What::PixelMetric | What::SetMetric, _) => {
                max_abs(&diff) / max_abs(&want).max(1e-30)
            }
            (What::Loss, _) => diff.iter().zip(&want).map(|(d, w)| d.abs() / w.abs().max(1e-3)).fold(0.0, f64::max),
            _ => l2(&diff) / l2(&want).max(1e-30),
        };
        self.errors.push((what, name.to_string(), error));
    }

    fn limit(&self, what: What) -> f64 {
        match (self.dtype, what) {
            (_, What::PixelMetric) => 1e-10,
            (DType::F64, _) | (_, What::SetMetric) => 1e-9,
            // Two to three digits an operation, through some thirty of them.
            (DType::BF16, _) => 6e-2,
            (_, What::Output) if !crate::case::device().is_cpu() => 1e-4,
            (_, What::Output) if self.winograd => 3e-4,
            (_, What::Output) => 5e-5,
            (_, What::Feature) => self.feature,
            (_, What::Gradient) => 1e-1,
            (_, What::Loss) => 1e-3,
            (_, What::Update) => 5e-2,
        }
    }

    /// Whether the case was computed in F64.
    pub(crate) fn is_wide(&self) -> bool {
        self.dtype == DType::F64
    }

    /// Allows the errors of Winograd kernels.
    pub(crate) fn allow_winograd(&mut self) {
        self.winograd = true;
    }

    /// Allows the errors of long sums in F32, which kernels that nobody would choose make, and devices.
    pub(crate) fn allow_long_sums(&mut self) {
        self.feature = 1e-5;
    }

    /// Allows what deep batch norms over two small images make of BF16: where rounding moves a value across the edge of a
    /// ReLU, the statistics of the whole batch move with it, and every norm behind magnifies that. Errors of 0.2 come of it,
    /// where instance norms and eval mode have 0.03 at most.
    pub(crate) fn allow_small_batches(&mut self) {
        self.whole = 3e-1;
    }

    /// Error of all BF16 gradients together.
    fn whole_gradient(&self) -> f64 {
        (self.squares.0 / self.squares.1.max(1e-30)).sqrt()
    }

    /// The largest error as a part of its limit; infinite where something that must hold does not.
    pub(crate) fn worst(&self) -> f64 {
        if !self.hard.is_empty() {
            return f64::INFINITY;
        }
        let parts = self.errors.iter().map(|(what, _, error)| error / self.limit(*what));
        parts.fold(0.0, |worst, part| if part.is_nan() { f64::INFINITY } else { worst.max(part) })
    }

    /// One line: the largest error of each sort.
    pub(crate) fn summary(&self) -> String {
        [What::Output, What::Gradient, What::Feature, What::PixelMetric, What::SetMetric, What::Loss, What::Update]
            .iter()
            .filter_map(|&what| {
                let worst = self.errors.iter().filter(|e| e.0 == what).map(|e| e.2).fold(f64::NAN, f64::max);
                (!worst.is_nan()).then(|| format!("{what:?} {worst:.1e}"))
            })
            .chain((self.squares.1 > 0.0).then(|| format!("Whole gradient {:.1e}", self.whole_gradient())))
            .collect::<Vec<_>>()
            .join("  ")
    }

    /// A line for everything that is out of tolerance.
    pub(crate) fn failures(&self, case: &str) -> Vec<String> {
        let mut out: Vec<String> = self.hard.iter().map(|h| format!("{case}: {h}")).collect();
        for (what, name, error) in &self.errors {
            if error.is_nan() || *error > self.limit(*what) {
                out.push(format!("{case}: {name}: error {error:.2e} above {:.0e}", self.limit(*what)));
            }
        }
        let whole = self.whole_gradient();
        if whole > self.whole {
            out.push(format!("{case}: error of the whole gradient {whole:.2e} above {:.0e}", self.whole));
        }
        let mut gradients: Vec<f64> = self.errors.iter().filter(|e| e.0 == What::Gradient).map(|e| e.2).collect();
        gradients.sort_by(f64::total_cmp);
        if let Some(median) = gradients.get(gradients.len() / 2)
            && self.dtype == DType::F32
            && *median > 2e-4
        {
            out.push(format!("{case}: median error of the gradients {median:.2e} above 2e-4"));
        }
        out
    }
}
