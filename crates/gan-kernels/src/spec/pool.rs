//! Parameters of pooling.
use candle_core::{Result, bail};
use std::ops::Range;

/// Parameters of a pooling by square windows. Padding is no part of a window: it is never the maximum, and an average does not count
/// it (PyTorch's `count_include_pad=False`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pool2d {
    /// Side of the window.
    pub kernel: usize,
    /// Step in both directions.
    pub stride: usize,
    /// Padding on all four sides, at most half of the kernel.
    pub padding: usize,
    /// Whether a last window that reaches over the border counts (PyTorch's `ceil_mode`).
    pub ceil_mode: bool,
}

impl Pool2d {
    /// Windows of this side and stride, without padding; what no whole window covers is left out.
    pub const fn new(kernel: usize, stride: usize) -> Self {
        Pool2d { kernel, stride, padding: 0, ceil_mode: false }
    }

    /// Height and width of the output for those of an input.
    ///
    /// # Errors
    /// The kernel or the stride is 0, the padding is more than half of the kernel, or no window fits.
    pub fn output_hw(&self, (h, w): (usize, usize)) -> Result<(usize, usize)> {
        let Pool2d { kernel, stride, padding, ceil_mode } = *self;
        if kernel == 0 || stride == 0 || padding > kernel / 2 {
            bail!("pooling: windows of {kernel} with stride {stride} cannot have padding {padding}")
        }
        let side = |n: usize| -> Result<usize> {
            let Some(room) = (n + 2 * padding).checked_sub(kernel).filter(|_| n > 0) else {
                bail!("pooling: {h}x{w} is smaller than the window of {kernel} with padding {padding}")
            };
            let all = room.div_ceil(stride) + 1;
            // The last window must begin on the image, or in the padding in front of it.
            Ok(if ceil_mode && (all - 1) * stride < n + padding { all } else { room / stride + 1 })
        };
        Ok((side(h)?, side(w)?))
    }

    /// The pixels of the window of output position `o` along an axis of `size` pixels.
    #[inline(always)]
    pub(crate) fn window(&self, o: usize, size: usize) -> Range<usize> {
        let from = o * self.stride;
        from.saturating_sub(self.padding)..(from + self.kernel - self.padding).min(size)
    }

    /// The output positions along an axis of `size` pixels, `outputs` of them, whose windows no border cuts.
    pub(crate) fn whole_windows(&self, outputs: usize, size: usize) -> Range<usize> {
        let end = (size + self.padding + self.stride).saturating_sub(self.kernel) / self.stride;
        let end = end.min(outputs);
        self.padding.div_ceil(self.stride).min(end)..end
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// PyTorch's sizes.
    #[test]
    fn sizes() {
        let side = |kernel, stride, padding, ceil_mode, n| {
            Pool2d { kernel, stride, padding, ceil_mode }.output_hw((n, n + 1)).ok().map(|hw| hw.0)
        };
        assert_eq!([3, 4, 5, 6].map(|n| side(3, 2, 0, false, n)), [Some(1), Some(1), Some(2), Some(2)]);
        assert_eq!([3, 4, 5, 6].map(|n| side(3, 2, 0, true, n)), [Some(1), Some(2), Some(2), Some(3)]);
        assert_eq!([1, 2, 8].map(|n| side(3, 1, 1, false, n)), [Some(1), Some(2), Some(8)]);
        // The window that would begin behind the image is none.
        assert_eq!(side(2, 2, 1, true, 2), Some(2));
        assert_eq!(side(2, 3, 1, true, 2), Some(1));
        assert_eq!((side(3, 2, 0, true, 2), side(3, 1, 2, false, 9), side(0, 1, 0, false, 9)), (None, None, None));
    }
}
