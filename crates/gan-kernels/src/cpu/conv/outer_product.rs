//! Matrix products as sums of outer products, a block of columns at a time.
#![allow(unsafe_code)]
use crate::cpu::simd::{Simd, prefetch, prefetch_far, simd_entry};
use crate::isa::Isa;
use crate::scratch::Scratch;

/// Rows of a register tile.
pub(super) const ROWS: usize = 6;

/// Columns of a block of [`OuterProduct`].
pub(super) fn block(isa: Isa) -> usize {
    isa.lanes() * if isa == Isa::Avx512 { 4 } else { 2 }
}

/// `to[r][k] (+)= Σ_j s[row r][j] · x[j][k]` for the columns k of a block.
pub(super) struct OuterProduct<'a> {
    /// `[len][block(isa)]`; columns behind the last one hold any numbers.
    pub(super) x: &'a [f32],
    pub(super) len: usize,
    pub(super) s: Factors<'a>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Distance of two rows of `to`.
    pub(super) pitch: usize,
    /// Whether `to` is overwritten, not added to.
    pub(super) first: bool,
    /// Elements behind `x` that are needed next: they are asked for a few at a time meanwhile.
    pub(super) next: usize,
}

/// The factors of rows.
#[derive(Clone, Copy)]
pub(super) enum Factors<'a> {
    /// Row r, column j at `r · pitch + j`.
    Rows(&'a [f32], usize),
    /// `[panel of ROWS rows][column][row of the panel]`.
    Panels(&'a [f32]),
}

impl Factors<'_> {
    /// Elements for so many rows and columns.
    fn len(&self, rows: usize, columns: usize) -> usize {
        match self {
            Factors::Rows(_, pitch) => (rows - 1) * pitch + columns,
            Factors::Panels(_) => rows.next_multiple_of(ROWS) * columns,
        }
    }

    fn values(&self) -> &[f32] {
        match self {
            Factors::Rows(values, _) | Factors::Panels(values) => values,
        }
    }
}

impl OuterProduct<'_> {
    /// Tells whether all results are finite.
    pub(super) fn run(&self, isa: Isa, to: &mut [f32]) -> bool {
        let block = block(isa);
        assert!(self.columns <= block && self.x.len() >= self.len * block);
        assert!(self.s.values().len() >= self.s.len(self.rows, self.len));
        assert!(to.len() >= (self.rows - 1) * self.pitch + self.columns);
        let mut finite = true;
        if self.columns == block {
            product(isa, self, to, &mut finite);
            return finite;
        }
        let mut whole = Scratch::take(self.rows * block);
        // What comes of the columns behind the last one says nothing.
        product(isa, &OuterProduct { columns: block, pitch: block, first: true, ..*self }, &mut whole, &mut true);
        for (to, from) in to.chunks_mut(self.pitch).zip(whole.chunks_exact(block)) {
            for (to, &sum) in to[..self.columns].iter_mut().zip(from) {
                *to = if self.first { sum } else { *to + sum };
                finite &= to.is_finite();
            }
        }
        finite
    }
}

simd_entry! {
    /// Whole blocks.
    fn product[S](p: &OuterProduct<'_>, to: &mut [f32], finite: &mut bool) {
        let mut r = 0;
        while r < p.rows {
            // SAFETY: `OuterProduct::run` has checked all lengths; the entry has the instruction set.
            let zero = unsafe {
                match p.rows - r {
                    ROWS.. => product_rows::<S, ROWS>(p, &mut r, to),
                    4.. => product_rows::<S, 4>(p, &mut r, to),
                    2.. => product_rows::<S, 2>(p, &mut r, to),
                    _ => product_rows::<S, 1>(p, &mut r, to),
                }
            };
            *finite &= zero == 0.0;
        }
    }
}

/// Rows `r .. r + M`, moving `r` on; returns zero times the results.
///
/// # Safety
/// As checked by [`OuterProduct::run`], with `r + M <= rows`; the caller has the instruction set of `S`.
#[inline(always)]
unsafe fn product_rows<S: Simd, const M: usize>(p: &OuterProduct<'_>, r: &mut usize, to: &mut [f32]) -> f32 {
    let first = *r;
    *r += M;
    // SAFETY: by this function's contract.
    unsafe {
        if S::LANES == 16 { product_tile::<S, M, 4>(p, first, to) } else { product_tile::<S, M, 2>(p, first, to) }
    }
}

/// # Safety
/// As [`product_rows`], with `V` vectors in a block.
#[inline(always)]
unsafe fn product_tile<S: Simd, const M: usize, const V: usize>(p: &OuterProduct<'_>, r: usize, to: &mut [f32]) -> f32 {
    // SAFETY: by this function's contract.
    unsafe {
        let to = to.as_mut_ptr().add(r * p.pitch);
        let mut acc = [[S::zero(); V]; M];
        let mut x = p.x.as_ptr();
        let (s, row, step) = match p.s {
            Factors::Rows(s, pitch) => (s.as_ptr().add(r * pitch), pitch, 1),
            Factors::Panels(s) => (s.as_ptr().add(r / ROWS * ROWS * p.len + r % ROWS), 1, ROWS),
        };
        let mut s = s;
        // This tile's share of what comes next, spread over its columns.
        let share = (p.next / 16).div_ceil(p.rows.div_ceil(ROWS));
        let every = (p.len / share.max(1)).max(1).next_power_of_two() / if p.len / share.max(1) > 1 { 2 } else { 1 };
        let mut next = p.x.as_ptr().wrapping_add(p.len * V * S::LANES + r / ROWS * share * 16);
        let end = next.wrapping_add(share * 16);
        // What is added to or overwritten at the end comes from memory in the meantime.
        for m in 0..M {
            for v in 0..V {
                prefetch(to.add(m * p.pitch + v * S::LANES));
            }
        }
        for j in 0..p.len {
            if step == 1 && j % 16 == 0 {
                // The next rows' factors.
                for m in M..2 * M {
                    prefetch(s.wrapping_add(m * row));
                }
            }
            if next < end && j & (every - 1) == 0 {
                prefetch_far(next);
                next = next.wrapping_add(16);
            }
            let mut xs = [S::zero(); V];
            for (v, xs) in xs.iter_mut().enumerate() {
                *xs = S::load(x.add(v * S::LANES));
            }
            for (m, acc) in acc.iter_mut().enumerate() {
                let d = S::splat(*s.add(m * row));
                for (acc, &x) in acc.iter_mut().zip(&xs) {
                    *acc = S::fma(d, x, *acc);
                }
            }
            x = x.add(V * S::LANES);
            s = s.wrapping_add(step);
        }
        let mut zeros = S::zero();
        for (m, acc) in acc.iter().enumerate() {
            for (v, &acc) in acc.iter().enumerate() {
                let to = to.add(m * p.pitch + v * S::LANES);
                let sum = if p.first { acc } else { S::add(S::load(to), acc) };
                S::store(to, sum);
                zeros = S::fma(sum, S::zero(), zeros);
            }
        }
        S::sum(zeros)
    }
}

simd_entry! {
    /// Transposes `rows` rows of `w`, `pitch` apart and of `columns` elements, to `to` `[column][block]`.
    pub(super) fn turn[S](w: &[f32], pitch: usize, rows: usize, columns: usize, block: usize, to: &mut [f32]) {
        assert!(rows <= block && w.len() >= (rows - 1) * pitch + columns && to.len() >= columns * block);
        let (whole_rows, whole_columns) = (rows / S::LANES * S::LANES, columns / S::LANES * S::LANES);
        for r in (0..whole_rows).step_by(S::LANES) {
            for k in (0..whole_columns).step_by(S::LANES) {
                // SAFETY: the square lies inside both by the lengths checked above; the entry has the instruction set. Rows
                // are too short for the processor to foresee the next ones.
                unsafe {
                    for i in S::LANES..2 * S::LANES {
                        prefetch(w.as_ptr().wrapping_add((r + i) * pitch + k));
                    }
                    S::transpose(w.as_ptr().add(r * pitch + k), pitch, to.as_mut_ptr().add(k * block + r), block)
                }
            }
        }
        for r in 0..rows {
            for k in if r < whole_rows { whole_columns } else { 0 }..columns {
                to[k * block + r] = w[r * pitch + k];
            }
        }
    }
}
