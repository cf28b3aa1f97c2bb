//! Rows of convolutions by the operators of any device: borders are made, and what is between them is convolved without padding above and below. Libraries choose kernels by
//! shape, so results are those of the whole but for rounding.
use crate::ops::conv::{backward_data, forward};
use crate::spec::conv::PadMode;
use crate::spec::epilogue::Epilogue;
use crate::spec::geometry::{Geometry, seen, source};
use crate::spec::rows::Rows;
use crate::weight::Weight;
use candle_core::{Result, Tensor, bail};
use std::ops::Range;

/// The positions of the big end, continued beyond its borders, that rows of the small end look at.
fn positions(g: &Geometry, rows: &Range<usize>) -> Range<isize> {
    let padded = rows.start * g.stride..(rows.end - 1) * g.stride + g.kh;
    padded.start as isize - g.padding[0] as isize..padded.end as isize - g.padding[0] as isize
}

/// The rows of the input that rows of the output are computed from.
pub(super) fn reads(g: &Geometry, to_small: bool, made: &Range<usize>) -> Rows {
    if to_small {
        return seen(g.mode, positions(g, made), g.h);
    }
    // Row `i` of the small end reaches the padded rows `i * stride ..` of the big one, as many as the kernel has.
    let padded = made.start + g.padding[0]..made.end + g.padding[0];
    let first = (padded.start + 1).saturating_sub(g.kh).div_ceil(g.stride).min(g.ho);
    let end = ((padded.end - 1) / g.stride + 1).min(g.ho);
    Rows { first, count: end.saturating_sub(first) }
}

/// Rows of the small end from the rows of the big end that are in `x`, the first of which is row `first`.
pub(super) fn to_small(
    op: &str,
    g: &Geometry,
    (x, first): (&Tensor, usize),
    w: &Weight,
    epilogue: Epilogue,
    made: &Range<usize>,
) -> Result<Tensor> {
    let wanted = positions(g, made);
    let inside = wanted.start.max(0) as usize..(wanted.end.min(g.h as isize)) as usize;
    let border = |at: isize| -> Result<Tensor> {
        match source(g.mode, at, g.h) {
            Some(row) => x.narrow(2, row - first, 1),
            None => zero_row(x),
        }
    };
    let mut parts = Vec::new();
    for at in wanted.start..wanted.start.max(0) {
        parts.push(border(at)?);
    }
    parts.push(x.narrow(2, inside.start - first, inside.len())?);
    for at in g.h as isize..wanted.end {
        parts.push(border(at)?);
    }
    let x = joined(&parts)?;
    let band = Geometry { h: wanted.len(), ho: made.len(), padding: [0, g.padding[1]], ..*g };
    forward(op, &band, &x, w, epilogue)
}

/// Rows of the big end from the rows of the small end that are in `y`, the first of which is row `first`.
pub(super) fn to_big(
    op: &str,
    g: &Geometry,
    (y, first): (&Tensor, usize),
    w: &Weight,
    epilogue: Epilogue,
    made: &Range<usize>,
) -> Result<Tensor> {
    if g.mode != PadMode::Zero {
        bail!("{op}: a transposed convolution is padded with zeros, not {:?}", g.mode)
    }
    let reads = reads(g, false, made);
    // A row of zeros on both sides adds nothing, and gives outputs that no row reaches their place.
    let zeros = zero_row(y)?;
    let y = joined(&[zeros.clone(), y.narrow(2, reads.first - first, reads.count)?, zeros])?;
    let count = reads.count + 2;
    let band = Geometry { h: (count - 1) * g.stride + g.kh, ho: count, padding: [0, g.padding[1]], ..*g };
    let x = backward_data(op, &band, &y, w, epilogue)?;
    x.narrow(2, made.start + g.padding[0] + g.stride - reads.first * g.stride, made.len())?.contiguous()
}

fn zero_row(x: &Tensor) -> Result<Tensor> {
    let (n, c, _, w) = x.dims4()?;
    Tensor::zeros((n, c, 1, w), x.dtype(), x.device())
}

fn joined(parts: &[Tensor]) -> Result<Tensor> {
    if let [one] = parts { one.contiguous() } else { Tensor::cat(parts, 2)?.contiguous() }
}
