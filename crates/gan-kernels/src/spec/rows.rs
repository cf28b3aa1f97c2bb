//! Rows of images: bands of an output that are computed one by one.

/// Rows `first ..` of an image, `count` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl Rows {
    /// All rows of an image.
    pub(crate) fn all(count: usize) -> Self {
        Rows { first: 0, count }
    }

    pub(crate) fn end(self) -> usize {
        self.first + self.count
    }
}

/// The rows of its input that a convolution has in memory, and those of its output that it computes. Both tensors hold these rows alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) input: Rows,
    pub(crate) output: Rows,
}

/// Where the rows of an operator's output may be cut, so that bands that are computed one by one have the bits of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bands {
    height: usize,
    step: usize,
    /// Rows that the first band lacks.
    offset: usize,
}

impl Bands {
    /// An output of `height` rows that is cut every `step` rows.
    pub fn every(step: usize, height: usize) -> Self {
        Bands { height, step: step.max(1), offset: 0 }
    }

    /// An output of `height` rows that is not cut at all.
    pub fn whole(height: usize) -> Self {
        Bands::every(height, height)
    }

    /// As [`Bands::every`], the first band being `offset` rows shorter than the others.
    pub(crate) fn with_offset(self, offset: usize) -> Self {
        Bands { offset, ..self }
    }

    /// The rows of the output.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The last cut at or in front of a row.
    pub fn floor(&self, row: usize) -> usize {
        if row >= self.height {
            return self.height;
        }
        ((row + self.offset) / self.step * self.step).saturating_sub(self.offset)
    }

    /// The first cut at or behind a row.
    pub fn ceil(&self, row: usize) -> usize {
        if row == 0 { 0 } else { ((row + self.offset).div_ceil(self.step) * self.step - self.offset).min(self.height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts() {
        let bands = Bands::every(6, 20).with_offset(1);
        assert_eq!([0, 1, 4, 5, 10, 11, 17, 19, 20].map(|row| bands.floor(row)), [0, 0, 0, 5, 5, 11, 17, 17, 20]);
        assert_eq!([0, 1, 4, 5, 10, 11, 17, 19, 20].map(|row| bands.ceil(row)), [0, 5, 5, 5, 11, 11, 17, 20, 20]);
        assert_eq!(
            [0, 1, 9].map(|row| (Bands::whole(9).floor(row), Bands::whole(9).ceil(row))),
            [(0, 0), (0, 9), (9, 9)]
        );
    }
}
