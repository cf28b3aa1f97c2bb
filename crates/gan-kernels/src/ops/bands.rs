//! Convolutions of one image in bands of rows, in F32. What they compute on the CPU has the bits of the whole.
//!
//! Sums are rounded as the kernel cuts them, and kernels and their cuts are chosen for the whole image. So a convolution is
//! described as a whole ([`BandedConv`]), says where its output may be cut, and computes bands between such cuts. On other devices it
//! is [composed](BandedConv::composed) of their operators.
mod composed;

use crate::cpu::conv as kernel;
use crate::ops::conv::{Joined, backward_data_rows, forward_rows};
use crate::spec::act::Act;
use crate::spec::conv::{Conv2d, ConvTranspose2d};
use crate::spec::epilogue::Epilogue;
use crate::spec::geometry::{Geometry, dims4};
pub use crate::spec::rows::Bands;
use crate::spec::rows::{Rows, Span};
use crate::weight::Weight;
use candle_core::{DType, Result, Tensor, bail};
use std::ops::Range;

/// Some rows of an image `[1, C, H, W]`.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    /// The rows `[1, C, rows, W]`.
    pub rows: &'a Tensor,
    /// Which of the image the first one is.
    pub first: usize,
}

impl Window<'_> {
    /// The rows that it has.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.rows.dims().get(2).copied().unwrap_or(0)
    }
}

impl From<Rows> for Range<usize> {
    fn from(rows: Rows) -> Self {
        rows.first..rows.end()
    }
}

impl From<&Range<usize>> for Rows {
    fn from(range: &Range<usize>) -> Self {
        Rows { first: range.start, count: range.len() }
    }
}

/// A convolution, or a transposed one, of one image in bands of rows.
#[derive(Debug, Clone, Copy)]
pub struct BandedConv {
    op: &'static str,
    pub(super) g: Geometry,
    /// From the big end to the small one.
    forward: bool,
    /// How the kernels of the CPU do it; `None` if it is composed.
    banding: Option<kernel::Banding>,
}

impl BandedConv {
    /// [`conv2d`](crate::conv::conv2d) of an image of `[C, H, W]`. The calling thread's [overrules](crate::dispatch) count, here and at every band.
    ///
    /// # Errors
    /// As [`conv2d`](crate::conv::conv2d); the weight is not F32.
    pub fn conv2d([c, h, w]: [usize; 3], weight: &Tensor, spec: &Conv2d) -> Result<Self> {
        const OP: &str = "conv2d in bands";
        Self::new(OP, Geometry::conv2d(OP, [1, c, h, w], weight.dims(), spec)?, true, weight)
    }

    /// [`conv_transpose2d`](crate::conv::conv_transpose2d) of an image of `[C, H, W]`.
    ///
    /// # Errors
    /// As [`conv_transpose2d`](crate::conv::conv_transpose2d); the weight is not F32.
    pub fn conv_transpose2d([c, h, w]: [usize; 3], weight: &Tensor, spec: &ConvTranspose2d) -> Result<Self> {
        const OP: &str = "conv_transpose2d in bands";
        Self::new(OP, Geometry::conv_transpose2d(OP, [1, c, h, w], weight.dims(), spec)?, false, weight)
    }

    fn new(op: &'static str, g: Geometry, forward: bool, weight: &Tensor) -> Result<Self> {
        dims4(op, "input", &if forward { [1, g.ci, g.h, g.w] } else { [1, g.co, g.ho, g.wo] })?;
        if weight.dtype() != DType::F32 {
            bail!("{op}: it is for F32, the weight is {:?}", weight.dtype())
        }
        Ok(BandedConv { op, g, forward, banding: Some(kernel::banding(&g, forward)) })
    }

    /// The same by the operators of the device that the rows are on, within rounding of the whole.
    #[must_use]
    pub fn composed(self) -> Self {
        BandedConv { banding: None, ..self }
    }

    /// Channels, height and width of the output.
    pub fn output(&self) -> [usize; 3] {
        let g = &self.g;
        if self.forward { [g.co, g.ho, g.wo] } else { [g.ci, g.h, g.w] }
    }

    /// Where the output may be cut.
    pub fn bands(&self) -> Bands {
        self.banding.map_or(Bands::every(1, self.output()[1]), |banding| banding.bands)
    }

    /// Multiply-adds for all rows.
    pub fn macs(&self) -> u64 {
        (self.g.co * self.g.taps()) as u64 * (self.g.ho * self.g.wo) as u64
    }

    /// Bytes of the packed weights.
    pub fn packed_bytes(&self) -> usize {
        size_of::<f32>() * self.banding.map_or(0, |banding| banding.packed)
    }

    /// Bytes of the working memory of a call, beside the packed weights and what a library takes on a device.
    pub fn working_bytes(&self) -> usize {
        size_of::<f32>() * self.banding.map_or(0, |banding| banding.working)
    }

    /// The rows of the input that these rows of the output, which are whole bands, are computed from.
    pub fn reads(&self, rows: &Range<usize>) -> Range<usize> {
        match self.banding {
            Some(_) => kernel::reads(&self.g, self.forward, rows.into()).into(),
            None => composed::reads(&self.g, self.forward, rows).into(),
        }
    }

    /// The rows `rows` of the output, which are whole bands: `[1, C_out, rows, W']`.
    ///
    /// # Errors
    /// `rows` are no whole bands, or `x` lacks rows that they are computed from; as [`conv2d_act`](crate::conv::conv2d_act).
    pub fn forward(
        &self,
        x: &Window<'_>,
        w: &Weight,
        bias: Option<&Tensor>,
        act: Act,
        rows: &Range<usize>,
    ) -> Result<Tensor> {
        let (op, g, bands) = (self.op, &self.g, self.bands());
        if rows.is_empty() || bands.floor(rows.start) != rows.start || bands.ceil(rows.end) != rows.end {
            bail!("{op}: rows {rows:?} are no whole bands of {bands:?}")
        }
        let (c, width) = if self.forward { (g.ci, g.w) } else { (g.co, g.wo) };
        let (held, reads) = (x.range(), self.reads(rows));
        if x.rows.dims() != [1, c, held.len(), width] || held.start > reads.start || held.end < reads.end {
            bail!("{op}: rows {held:?}, {:?}, are not those of {c} channels by {width} from {reads:?}", x.rows.dims())
        }
        let span = Span { input: (&held).into(), output: rows.into() };
        let epilogue = Epilogue { bias, act };
        match (self.banding, self.forward) {
            (Some(_), true) => forward_rows(op, g, &span, &Joined::one(&x.rows), w, epilogue),
            (Some(_), false) => backward_data_rows(op, g, &span, &Joined::one(&x.rows), w, epilogue),
            (None, true) => composed::to_small(op, g, (x.rows, x.first), w, epilogue, rows),
            (None, false) => composed::to_big(op, g, (x.rows, x.first), w, epilogue, rows),
        }
    }
}
