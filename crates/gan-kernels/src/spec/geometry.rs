//! Index arithmetic of a convolution.
use crate::spec::conv::{Conv2d, ConvTranspose2d, PadMode};
use crate::spec::math_mode::MathMode;
use crate::spec::rows::{Rows, Span};
use candle_core::{Result, bail};

/// A convolution from a big end `[n, ci, h, w]` to a small end `[n, co, ho, wo]` with a weight `[co, ci, kh, kw]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Geometry {
    pub(crate) n: usize,
    pub(crate) ci: usize,
    pub(crate) co: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) ho: usize,
    pub(crate) wo: usize,
    pub(crate) kh: usize,
    pub(crate) kw: usize,
    pub(crate) stride: usize,
    /// Above and below, and left and right.
    pub(crate) padding: [usize; 2],
    pub(crate) mode: PadMode,
    pub(crate) math: MathMode,
}

impl Geometry {
    /// The geometry of `conv2d` for an input `[n, c, h, w]`.
    pub(crate) fn conv2d(op: &str, [n, c, h, w]: [usize; 4], weight: &[usize], spec: &Conv2d) -> Result<Self> {
        let [co, ci, kh, kw] = dims4(op, "weight", weight)?;
        if co == 0 {
            bail!("{op}: a weight {weight:?} has no output channels")
        }
        if ci != c {
            bail!("{op}: a weight {weight:?} takes {ci} channels, the input has {c}")
        }
        let (ho, wo) = spec.output_hw((kh, kw), (h, w))?;
        let Conv2d { stride, padding, pad_mode: mode, math } = *spec;
        Ok(Geometry { n, ci, co, h, w, ho, wo, kh, kw, stride, padding, mode, math })
    }

    /// The geometry of the convolution whose adjoint is `conv_transpose2d` for an input `[n, c, h, w]`.
    pub(crate) fn conv_transpose2d(
        op: &str,
        [n, c, h, w]: [usize; 4],
        weight: &[usize],
        s: &ConvTranspose2d,
    ) -> Result<Self> {
        let [c_in, c_out, kh, kw] = dims4(op, "weight", weight)?;
        if c_in != c {
            bail!("{op}: a weight {weight:?} takes {c_in} channels, the input has {c}")
        }
        let (big_h, big_w) = s.output_hw((kh, kw), (h, w))?;
        Ok(Geometry {
            n,
            ci: c_out,
            co: c_in,
            h: big_h,
            w: big_w,
            ho: h,
            wo: w,
            kh,
            kw,
            stride: s.stride,
            padding: [s.padding; 2],
            mode: PadMode::Zero,
            math: s.math,
        })
    }

    /// All rows of both ends, from the big to the small one.
    pub(crate) fn forward_span(&self) -> Span {
        Span { input: Rows::all(self.h), output: Rows::all(self.ho) }
    }

    /// All rows of both ends, from the small to the big one.
    pub(crate) fn backward_span(&self) -> Span {
        Span { input: Rows::all(self.ho), output: Rows::all(self.h) }
    }

    /// Rows of the padded big end that the small end looks at (the floor of the output size may leave some over).
    pub(crate) fn padded_h(&self) -> usize {
        (self.ho - 1) * self.stride + self.kh
    }

    /// Columns of the padded big end that the small end looks at.
    pub(crate) fn padded_w(&self) -> usize {
        (self.wo - 1) * self.stride + self.kw
    }

    /// Weights of one output channel.
    pub(crate) fn taps(&self) -> usize {
        self.ci * self.kh * self.kw
    }

    /// The row of the big end that a padded row shows, if any.
    pub(crate) fn source_row(&self, padded: usize) -> Option<usize> {
        source(self.mode, padded as isize - self.padding[0] as isize, self.h)
    }

    /// The column of the big end that a padded column shows, if any.
    pub(crate) fn source_column(&self, padded: usize) -> Option<usize> {
        source(self.mode, padded as isize - self.padding[1] as isize, self.w)
    }
}

/// Four dimensions of a tensor that is not empty but for its batch.
pub(crate) fn dims4(op: &str, what: &str, dims: &[usize]) -> Result<[usize; 4]> {
    match dims {
        // An empty batch is served, empty images are not.
        &[_, b, c, d] if b * c * d == 0 => bail!("{op}: the {what} {dims:?} holds no elements"),
        &[a, b, c, d] => Ok([a, b, c, d]),
        other => bail!("{op}: the {what} must have four dimensions, got {other:?}"),
    }
}

/// The pixel that stands at position `i` of an axis of `size` pixels continued by `mode`. Positions that lie further out
/// than a reflection reaches (nothing is computed from them) show some pixel.
pub(crate) fn source(mode: PadMode, i: isize, size: usize) -> Option<usize> {
    let last = size as isize - 1;
    if (0..=last).contains(&i) {
        return Some(i as usize);
    }
    let j = match mode {
        PadMode::Zero => return None,
        PadMode::Replicate => i.clamp(0, last),
        PadMode::Reflect => {
            let mirrored = if i < 0 { -i } else { 2 * last - i };
            mirrored.clamp(0, last)
        }
    };
    Some(j as usize)
}

/// From the first to the last of the pixels that stand at these positions of an axis (see [`source`]).
pub(crate) fn seen(mode: PadMode, positions: impl Iterator<Item = isize>, size: usize) -> Rows {
    let (mut first, mut end) = (size, 0);
    for i in positions.filter_map(|i| source(mode, i, size)) {
        (first, end) = (first.min(i), end.max(i + 1));
    }
    Rows { first: first.min(end), count: end.saturating_sub(first) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders() {
        let at = |mode, i| source(mode, i, 4);
        assert_eq!([-2, -1, 0, 3, 4, 5].map(|i| at(PadMode::Zero, i)), [None, None, Some(0), Some(3), None, None]);
        assert_eq!([-3, -1, 4, 6].map(|i| at(PadMode::Reflect, i)), [Some(3), Some(1), Some(2), Some(0)]);
        assert_eq!([-3, -1, 4, 6].map(|i| at(PadMode::Replicate, i)), [Some(0), Some(0), Some(3), Some(3)]);
    }

    /// What an operator hands to its kernels says how they may compute, whatever other calls were told.
    #[test]
    fn the_math_mode_of_a_call_reaches_the_kernels() -> Result<()> {
        for (tf32, deterministic) in [(true, false), (false, true), (false, false)] {
            let math = MathMode { tf32, deterministic };
            let conv = Geometry::conv2d("", [1, 2, 5, 5], &[3, 2, 3, 3], &Conv2d { math, ..Conv2d::default() })?;
            let spec = ConvTranspose2d { math, ..ConvTranspose2d::default() };
            let transposed = Geometry::conv_transpose2d("", [1, 2, 5, 5], &[2, 3, 3, 3], &spec)?;
            assert_eq!((conv.math, transposed.math), (math, math));
        }
        Ok(())
    }
}
