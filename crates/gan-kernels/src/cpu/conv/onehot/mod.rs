//! Convolution of one-hot tensors that are not materialized: every tap of an output pixel adds the weights of the one label
//! that it sees, and the gradient of a label's weights is the sum of the output gradients that saw it.
//!
//! The weights lie as `[tap][label][channel]`, so that what is added is one dense row; a last row of zeros stands for what lies
//! beyond the image. Channels are the vector's lanes, so no sum depends on the instruction set.
mod forward;
mod gradient;

pub(crate) use forward::forward;
pub(crate) use gradient::backward_weight;

use crate::isa::Isa;
use crate::spec::geometry::{Geometry, seen};
use crate::spec::rows::Rows;

/// Pixels whose channels are treated at a time; they stay in the first-level cache.
const PIXELS: usize = 64;

/// Some rows of a label map `[n, h, w]`, of ids below `classes`.
#[derive(Clone, Copy)]
pub(crate) struct Labels<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) classes: usize,
    /// The rows that `ids` holds.
    pub(crate) held: Rows,
}

impl Labels<'_> {
    /// The label that a tap sees at a padded place, `classes` for none.
    fn at(&self, g: &Geometry, image: usize, row: Option<usize>, column: Option<usize>) -> usize {
        match (row, column) {
            (Some(y), Some(x)) => {
                let row = image * self.held.count + y - self.held.first;
                (self.ids[row * g.w + x] as usize).min(self.classes)
            }
            _ => self.classes,
        }
    }
}

/// The rows of the label map that the rows `made` of the output see.
pub(crate) fn reads(g: &Geometry, made: Rows) -> Rows {
    let padded = made.first * g.stride..(made.end() - 1) * g.stride + g.kh;
    seen(g.mode, padded.map(|y| y as isize - g.padding[0] as isize), g.h)
}

/// How tables of rows for every tap and label lie in memory.
#[derive(Clone, Copy)]
struct Table {
    taps: usize,
    /// Labels, and none.
    rows: usize,
    /// Elements of a row: the channels, rounded up to whole registers.
    pitch: usize,
}

impl Table {
    fn new(g: &Geometry, classes: usize, isa: Isa) -> Self {
        Table { taps: g.kh * g.kw, rows: classes + 1, pitch: g.co.next_multiple_of(isa.lanes()) }
    }

    fn tap(&self) -> usize {
        self.rows * self.pitch
    }

    fn len(&self) -> usize {
        self.taps * self.tap()
    }

    /// For one row of output: where the row of the label begins that a tap's row sees in each padded column, `[kh][padded_w]`.
    fn offsets(&self, g: &Geometry, labels: Labels, image: usize, oy: usize) -> Vec<u32> {
        let columns: Vec<Option<usize>> = (0..g.padded_w()).map(|x| g.source_column(x)).collect();
        let mut out = Vec::with_capacity(g.kh * columns.len());
        for ky in 0..g.kh {
            let row = g.source_row(oy * g.stride + ky);
            out.extend(columns.iter().map(|&column| (labels.at(g, image, row, column) * self.pitch) as u32));
        }
        out
    }
}

/// A part of a row of output, the rows of all images counted on.
#[derive(Clone, Copy)]
struct Part {
    row: usize,
    x: usize,
    count: usize,
}

/// Runs `$body` with `N` as large as fits, for all registers of a row of `$pitch` elements; `$first` is where each begins.
macro_rules! by_registers {
    ($s:ident, $pitch:expr, $first:ident, $n:ident => $body:expr) => {
        let mut $first = 0;
        while $first < $pitch {
            match ($pitch - $first) / $s::LANES {
                4.. => {
                    const $n: usize = 4;
                    $body;
                    $first += $n * $s::LANES;
                }
                2..=3 => {
                    const $n: usize = 2;
                    $body;
                    $first += $n * $s::LANES;
                }
                _ => {
                    const $n: usize = 1;
                    $body;
                    $first += $n * $s::LANES;
                }
            }
        }
    };
}
use by_registers;
