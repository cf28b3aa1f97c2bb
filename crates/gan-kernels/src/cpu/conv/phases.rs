//! Bands of padded, phase-split planes: what a task holds of its input.
//!
//! A plane continued by its padding is split into stride phases (phase (r, t) holds the rows ≡ r and columns ≡ t modulo
//! the stride), each with `pitch` columns. Output pixel (y, x) has the flat index q = y · pitch + x, and a kernel tap is
//! found at q + a constant: rows of output run on as one long vector. The last columns of each flat row belong to no
//! output pixel and are dropped when results are stored.
use crate::spec::conv::PadMode;
use crate::spec::geometry::{seen, source};
use crate::spec::rows::Rows;

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
    /// Rows of the plane that are in memory.
    pub(super) held: Rows,
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

    /// Elements of the rows of a plane that are in memory.
    pub(super) fn area(&self) -> usize {
        self.held.count * self.w
    }

    /// Row `y` of the plane, of which `from` holds [`Source::held`].
    #[inline(always)]
    fn row<'a>(&self, from: &'a [f32], y: usize) -> &'a [f32] {
        &from[(y - self.held.first) * self.w..][..self.w]
    }

    /// The rows that [`Source::fill`] reads for a band.
    pub(super) fn reads(&self, first: usize, rows: usize) -> Rows {
        let padded = (first * self.stride) as isize..((first + rows) * self.stride) as isize;
        seen(self.mode, padded.map(|y| y - self.top as isize), self.h)
    }

    /// Writes the band of the plane `from` `[held, w]` to `to` `[band.plane()]`, all of it.
    #[inline(always)]
    pub(super) fn fill(&self, band: &Band, from: &[f32], to: &mut [f32]) {
        let s = self.stride;
        let (rows, end) = to.split_at_mut(s * s * band.rows * band.pitch);
        end.fill(0.0);
        if s == 2 {
            return self.fill_halves(band, from, rows);
        }
        for (i, row) in rows.chunks_exact_mut(band.pitch).enumerate() {
            let (phase, j) = (i / band.rows, i % band.rows);
            let padded = (band.first + j) * s + phase / s;
            match source(self.mode, padded as isize - self.top as isize, self.h) {
                Some(y) => self.fill_row(self.row(from, y), phase % s, row),
                None => row.fill(0.0),
            }
        }
    }

    /// [`Source::fill`] for stride 2: both column phases of a row are taken apart at once.
    #[inline(always)]
    fn fill_halves(&self, band: &Band, from: &[f32], rows: &mut [f32]) {
        let pitch = band.pitch;
        // Column phase of the even pixels, and where pixels 0 and 1 go.
        let (even, at_even) = (self.left % 2, self.left / 2);
        let at_odd = self.left.div_ceil(2);
        let pairs = (self.w / 2).min(pitch.saturating_sub(at_odd));
        for (r, rows) in rows.chunks_exact_mut(2 * band.rows * pitch).enumerate() {
            let (left, right) = rows.split_at_mut(band.rows * pitch);
            for (j, (left, right)) in left.chunks_exact_mut(pitch).zip(right.chunks_exact_mut(pitch)).enumerate() {
                let padded = (band.first + j) * 2 + r;
                let Some(y) = source(self.mode, padded as isize - self.top as isize, self.h) else {
                    left.fill(0.0);
                    right.fill(0.0);
                    continue;
                };
                let from = self.row(from, y);
                prefetch(from, self.area());
                let (to_even, to_odd) = if even == 0 { (left, right) } else { (right, left) };
                let inner = to_even[at_even..at_even + pairs].iter_mut().zip(&mut to_odd[at_odd..at_odd + pairs]);
                for (pair, (a, b)) in from.chunks_exact(2).zip(inner) {
                    *a = pair[0];
                    *b = pair[1];
                }
                for (t, to, at) in [(even, to_even, at_even), (1 - even, to_odd, at_odd)] {
                    self.border(from, t, &mut to[..at], 0);
                    self.border(from, t, &mut to[at + pairs..], at + pairs);
                }
            }
        }
    }

    /// Columns from `first` on of column phase `t`, one by one.
    #[inline(always)]
    fn border(&self, from: &[f32], t: usize, to: &mut [f32], first: usize) {
        for (b, o) in to.iter_mut().enumerate() {
            let padded = (first + b) * self.stride + t;
            let x = source(self.mode, padded as isize - self.left as isize, self.w);
            // Columns past the padding exist only to fill the last phase up.
            *o = x.filter(|_| padded < self.columns).map_or(0.0, |x| from[x]);
        }
    }

    /// One row of column phase `t`.
    #[inline(always)]
    fn fill_row(&self, from: &[f32], t: usize, to: &mut [f32]) {
        prefetch(from, self.area());
        let (s, left) = (self.stride, self.left);
        // Columns b with 0 <= b · s + t − left < w.
        let start = left.saturating_sub(t).div_ceil(s).min(to.len());
        let end = (self.w + left).saturating_sub(t).div_ceil(s).clamp(start, to.len());
        self.border(from, t, &mut to[..start], 0);
        self.border(from, t, &mut to[end..], end);
        if start == end {
            return;
        }
        let from = &from[start * s + t - left..];
        let to = &mut to[start..end];
        match s {
            1 => to.copy_from_slice(&from[..to.len()]),
            _ => {
                for (o, &v) in to.iter_mut().zip(from.iter().step_by(s)) {
                    *o = v;
                }
            }
        }
    }
}

/// Asks for the row `ahead` elements on, the same row of the next channel: rows of a band are too short and too far apart
/// for the processor to foresee.
#[inline(always)]
fn prefetch(row: &[f32], ahead: usize) {
    #[cfg(target_arch = "x86_64")]
    for i in (0..row.len()).step_by(16) {
        let next = row.as_ptr().wrapping_add(ahead + i);
        // SAFETY: a hint; it may name any address.
        #[allow(unsafe_code)]
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(next.cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, ahead);
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
