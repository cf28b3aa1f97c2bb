//! Channel planes laid out so that every kernel tap is a constant offset.
//!
//! A padded plane is split into stride phases (phase (r, t) holds the rows ≡ r and columns ≡ t modulo the stride), each
//! of `rows` × `pitch`. Output pixel (y, x) has the flat index q = y · pitch + x, and tap (ky, kx) of every output pixel
//! is found at q + offset(ky, kx): rows of output run on as one long vector. The last columns of each flat row belong to
//! no output pixel and are dropped when results are stored.
use crate::cpu::real::Real;
use crate::spec::geometry::Geometry;

/// Elements behind a plane's last that vector loads may touch.
pub(crate) const SLACK: usize = 64;

/// Layout of a padded, phase-split plane of the big end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) stride: usize,
    /// Rows of a phase.
    pub(crate) rows: usize,
    /// Columns of a phase.
    pub(crate) pitch: usize,
}

impl Grid {
    pub(crate) fn new(g: &Geometry) -> Self {
        Grid { stride: g.stride, rows: g.padded_h().div_ceil(g.stride), pitch: g.padded_w().div_ceil(g.stride) }
    }

    /// Elements of a plane with its slack.
    pub(crate) fn plane(&self) -> usize {
        self.stride * self.stride * self.rows * self.pitch + SLACK
    }

    /// Where tap (ky, kx) of output pixel 0 is.
    pub(crate) fn tap(&self, ky: usize, kx: usize) -> usize {
        let s = self.stride;
        ((ky % s * s + kx % s) * self.rows + ky / s) * self.pitch + kx / s
    }

    /// Fills a zeroed plane from `source` `[h, w]`.
    pub(crate) fn fill<T: Real>(&self, g: &Geometry, source: &[T], plane: &mut [T]) {
        let s = self.stride;
        let columns: Vec<Option<usize>> = (0..g.padded_w()).map(|px| g.source_column(px)).collect();
        for py in 0..g.padded_h() {
            let Some(y) = g.source_row(py) else { continue };
            let row = &source[y * g.w..(y + 1) * g.w];
            for t in 0..s {
                let at = ((py % s * s + t) * self.rows + py / s) * self.pitch;
                let out = &mut plane[at..at + self.pitch];
                for (o, column) in out.iter_mut().zip(columns.iter().skip(t).step_by(s)) {
                    if let Some(x) = *column {
                        *o = row[x];
                    }
                }
            }
        }
    }
}
