//! Index arithmetic of a convolution.
use crate::{MathMode, PadMode};

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
    pub(crate) padding: usize,
    pub(crate) mode: PadMode,
    pub(crate) math: MathMode,
}

impl Geometry {
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
        source(self.mode, padded as isize - self.padding as isize, self.h)
    }

    /// The column of the big end that a padded column shows, if any.
    pub(crate) fn source_column(&self, padded: usize) -> Option<usize> {
        source(self.mode, padded as isize - self.padding as isize, self.w)
    }
}

/// The pixel that stands at position `i` of an axis of `size` pixels continued by `mode`. Positions that lie further out
/// than a reflection reaches (nothing is computed from them) show some pixel.
pub(super) fn source(mode: PadMode, i: isize, size: usize) -> Option<usize> {
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
}
