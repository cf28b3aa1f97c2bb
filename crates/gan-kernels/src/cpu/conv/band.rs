//! Bands of padded, phase-split planes: what a task holds of its input.
//!
//! A plane continued by its padding is split into stride phases (phase (r, t) holds the rows ≡ r and columns ≡ t modulo
//! the stride), each with `pitch` columns. Output pixel (y, x) has the flat index q = y · pitch + x, and a kernel tap is
//! found at q + a constant: rows of output run on as one long vector. The last columns of each flat row belong to no
//! output pixel and are dropped when results are stored.
use super::geometry::source;
use crate::PadMode;

/// Elements behind a plane's last that vector loads may touch; zeros.
pub(super) const SLACK: usize = 128;

/// A plane and how it is continued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source {
    pub(super) h: usize,
    pub(super) w: usize,
    /// Padded rows above the first.
    pub(super) top: usize,
    /// Padded columns left of the first.
    pub(super) left: usize,
    pub(super) mode: PadMode,
    pub(super) stride: usize,
    /// Columns of the padded plane that are looked at.
    pub(super) columns: usize,
}

/// Layout of a band.
#[derive(Debug, Clone, Copy)]
pub(super) struct Band {
    /// First row of every phase.
    pub(super) first: usize,
    /// Rows of every phase.
    pub(super) rows: usize,
    pub(super) pitch: usize,
    stride: usize,
}

impl Source {
    pub(super) fn pitch(&self) -> usize {
        self.columns.div_ceil(self.stride)
    }

    pub(super) fn band(&self, first: usize, rows: usize) -> Band {
        Band { first, rows, pitch: self.pitch(), stride: self.stride }
    }

    /// Writes the band of the plane `from` `[h, w]` to `to` `[band.plane()]`, all of it.
    #[inline(always)]
    pub(super) fn fill(&self, band: &Band, from: &[f32], to: &mut [f32]) {
        let s = self.stride;
        let (rows, end) = to.split_at_mut(s * s * band.rows * band.pitch);
        end.fill(0.0);
        for (i, row) in rows.chunks_exact_mut(band.pitch).enumerate() {
            let (phase, j) = (i / band.rows, i % band.rows);
            let padded = (band.first + j) * s + phase / s;
            match source(self.mode, padded as isize - self.top as isize, self.h) {
                Some(y) => self.fill_row(&from[y * self.w..(y + 1) * self.w], phase % s, row),
                None => row.fill(0.0),
            }
        }
    }

    /// One row of column phase `t`.
    #[inline(always)]
    fn fill_row(&self, from: &[f32], t: usize, to: &mut [f32]) {
        let (s, left) = (self.stride, self.left);
        // Columns b with 0 <= b · s + t − left < w.
        let start = left.saturating_sub(t).div_ceil(s).min(to.len());
        let end = (self.w + left).saturating_sub(t).div_ceil(s).clamp(start, to.len());
        let border = |to: &mut [f32], first: usize| {
            for (b, o) in to.iter_mut().enumerate() {
                let x = ((first + b) * s + t) as isize - left as isize;
                // Columns past the padding exist only to fill the last phase up.
                let shown = (first + b) * s + t < self.columns;
                *o = source(self.mode, x, self.w).filter(|_| shown).map_or(0.0, |x| from[x]);
            }
        };
        border(&mut to[..start], 0);
        border(&mut to[end..], end);
        if start == end {
            return;
        }
        let from = &from[start * s + t - left..];
        let to = &mut to[start..end];
        match s {
            1 => to.copy_from_slice(&from[..to.len()]),
            2 => {
                let last = to.len() - 1;
                for (o, pair) in to[..last].iter_mut().zip(from.chunks_exact(2)) {
                    *o = pair[0];
                }
                to[last] = from[2 * last];
            }
            _ => {
                for (o, &v) in to.iter_mut().zip(from.iter().step_by(s)) {
                    *o = v;
                }
            }
        }
    }
}

impl Band {
    /// Distance of two channels' planes: an odd number of cache lines, so that channels do not compete for cache sets.
    pub(super) fn plane(&self) -> usize {
        let lines = (self.stride * self.stride * self.rows * self.pitch + SLACK).div_ceil(16);
        (lines | 1) * 16
    }

    /// Where the element of phase (r, t), row `row` (counted from the band's first) and column `column` is.
    pub(super) fn at(&self, (r, t): (usize, usize), row: usize, column: usize) -> usize {
        ((r * self.stride + t) * self.rows + row) * self.pitch + column
    }
}
