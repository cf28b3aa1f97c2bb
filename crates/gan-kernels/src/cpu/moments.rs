//! Mean and variance in one pass, in blocks that are merged (Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for
//! Computing Sample Variances", 1979).
//!
//! A plane is cut every [`BLOCK`] elements, wherever its rows end. A block's statistics are taken while it lies in the first-level
//! cache, relative to its own mean, and blocks are merged in order. So rows that come one after the other give the bits of the whole.
use super::elementwise::sum_by;
use crate::cpu::real::Real;
use crate::isa::{Isa, vectorised};

/// Elements of a block (16 KiB of F32).
const BLOCK: usize = 4096;

/// Number, mean and sum of squared deviations of some values.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    count: f64,
    mean: f64,
    deviations: f64,
}

impl Moments {
    /// Those of a plane.
    pub(crate) fn of<T: Real>(isa: Isa, plane: &[T]) -> Self {
        let mut moments = Moments::default();
        blocks(isa, plane, &mut moments);
        moments
    }

    /// Those of so many values with this mean and biased variance.
    pub(crate) fn of_values(count: usize, mean: f32, variance: f32) -> Self {
        let count = count as f64;
        Moments { count, mean: mean.into(), deviations: f64::from(variance) * count }
    }

    /// Those of both together.
    #[inline(always)]
    pub(crate) fn merge(self, other: Moments) -> Moments {
        let count = self.count + other.count;
        if self.count == 0.0 || other.count == 0.0 {
            return if self.count == 0.0 { other } else { self };
        }
        let (step, share) = (other.mean - self.mean, other.count / count);
        Moments {
            count,
            mean: self.mean + step * share,
            deviations: self.deviations + other.deviations + step * step * share * self.count,
        }
    }

    /// Mean and biased variance.
    pub(crate) fn mean_and_variance<T: Real>(self) -> (T, T) {
        (T::of(self.mean), T::of(self.deviations / self.count))
    }
}

vectorised! {
    /// Merges the blocks of `x` into `into`, whose values fill whole blocks.
    fn blocks<T: Real>(x: &[T], into: &mut Moments) {
        for block in x.chunks(BLOCK) {
            let count = block.len() as f64;
            let mean = sum_by([block], |[x]| x) / count;
            let near = T::of(mean);
            let around = sum_by([block], |[x]| (x - near) * (x - near));
            // `near` is the mean rounded. Rounding must not make a sum of squares negative, and NaN stays.
            let deviations = around - count * (mean - near.f64()) * (mean - near.f64());
            let deviations = if deviations < 0.0 { 0.0 } else { deviations };
            *into = into.merge(Moments { count, mean, deviations });
        }
    }
}

/// The moments of a plane whose elements come in pieces.
#[derive(Debug, Clone)]
pub(crate) struct Pieces<T> {
    moments: Moments,
    /// The elements of a block that is not yet whole.
    begun: Vec<T>,
}

impl<T: Real> Pieces<T> {
    pub(crate) fn new() -> Self {
        Pieces { moments: Moments::default(), begun: Vec::new() }
    }

    /// Adds the next elements.
    pub(crate) fn add(&mut self, isa: Isa, mut next: &[T]) {
        if !self.begun.is_empty() {
            let (head, tail) = next.split_at(next.len().min(BLOCK - self.begun.len()));
            self.begun.extend_from_slice(head);
            next = tail;
            if self.begun.len() == BLOCK {
                blocks(isa, &self.begun, &mut self.moments);
                self.begun.clear();
            }
        }
        let whole = next.len() / BLOCK * BLOCK;
        blocks(isa, &next[..whole], &mut self.moments);
        self.begun.extend_from_slice(&next[whole..]);
    }

    /// The moments of all elements.
    pub(crate) fn moments(&self, isa: Isa) -> Moments {
        let mut moments = self.moments;
        blocks(isa, &self.begun, &mut moments);
        moments
    }
}
