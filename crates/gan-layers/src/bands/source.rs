//! Where the rows of an input come from.

use crate::Input;
use candle_core::{DType, Device, Result, Tensor, bail};
use gan_kernels::labels::instance_edges;
use gan_kernels::onehot::OneHot;
use std::ops::Range;

/// An image whose rows are read when they are wanted: each sweep reads them in order, from the first one on.
pub trait RowSource {
    /// What the rows hold.
    fn content(&self) -> Content;

    /// Height and width in pixels.
    fn size(&self) -> (usize, usize);

    /// These rows, `[1, C, rows, W]` of F32 on the CPU.
    ///
    /// # Errors
    /// They cannot be read.
    fn rows(&self, rows: &Range<usize>) -> Result<Tensor>;
}

/// What the rows of a [`RowSource`] hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// So many channels of an image in [-1, 1].
    Planes {
        /// Channels.
        channels: usize,
    },
    /// The numbers of labels, as floats.
    Labels {
        /// Labels are below this.
        classes: usize,
        /// Whether two channels of instance ids are behind that of the labels, whose edges the network sees: the upper and the lower 16 bits, as
        /// floats, which hold them exactly.
        instances: bool,
    },
}

/// Where the input of a dataflow is.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    Given(Input<'a>),
    Read(&'a dyn RowSource),
}

impl Origin<'_> {
    /// Channels that the network sees, height and width.
    pub(super) fn dims(&self) -> [usize; 3] {
        match self {
            Origin::Given(Input::Planes(x)) => [x.dims()[1], x.dims()[2], x.dims()[3]],
            Origin::Given(Input::Labels(x)) => [x.dims()[1], x.dims()[2], x.dims()[3]],
            Origin::Read(source) => {
                let (height, width) = source.size();
                let channels = match source.content() {
                    Content::Planes { channels } => channels,
                    Content::Labels { classes, instances } => classes + usize::from(instances),
                };
                [channels, height, width]
            }
        }
    }

    /// Number of classes, of labels.
    pub(super) fn classes(&self) -> Option<usize> {
        match self {
            Origin::Given(Input::Planes(_)) => None,
            Origin::Given(Input::Labels(x)) => Some(x.classes()),
            Origin::Read(source) => match source.content() {
                Content::Planes { .. } => None,
                Content::Labels { classes, .. } => Some(classes),
            },
        }
    }

    /// Whether two channels of instance ids are to become one of edges.
    pub(super) fn has_ids(&self) -> bool {
        matches!(self, Origin::Read(source) if matches!(source.content(), Content::Labels { instances: true, .. }))
    }

    /// Channels of [`Origin::rows`].
    pub(super) fn channels(&self) -> usize {
        match self.classes() {
            None => self.dims()[0],
            Some(_) if self.has_ids() => 3,
            Some(classes) => 1 + self.dims()[0] - classes,
        }
    }

    /// Rows as they are stored: planes, or the numbers of labels and what is behind them.
    pub(super) fn rows(&self, rows: &Range<usize>) -> Result<Tensor> {
        let found = match self {
            Origin::Given(Input::Planes(x)) => x.narrow(2, rows.start, rows.len())?.contiguous()?,
            Origin::Given(Input::Labels(x)) => {
                let x = x.rows(rows)?;
                let labels = x.labels().to_dtype(DType::F32)?;
                match x.rest() {
                    Some(rest) => Tensor::cat(&[&labels, rest], 1)?,
                    None => labels.contiguous()?,
                }
            }
            Origin::Read(source) => source.rows(rows)?,
        };
        let expected = [1, self.channels(), rows.len(), self.dims()[2]];
        if found.dims() != expected || found.dtype() != DType::F32 {
            bail!("rows {rows:?} of an input are {:?} of {:?}, not {expected:?}", found.dims(), found.dtype())
        }
        Ok(found)
    }
}

/// Rows of labels and what is behind them as a one-hot tensor.
pub(super) fn one_hot(rows: &Tensor, classes: usize) -> Result<OneHot> {
    let labels = rows.narrow(1, 0, 1)?.contiguous()?.to_dtype(DType::U32)?;
    let more = rows.dim(1)? - 1;
    let rest = if more > 0 { Some(rows.narrow(1, 1, more)?.contiguous()?) } else { None };
    OneHot::new(&labels, classes, rest.as_ref(), DType::F32)
}

/// Rows of labels and of the halves of instance ids as labels and edges. What lies beyond them counts as the end of the image.
pub(super) fn with_edges(rows: &Tensor) -> Result<Tensor> {
    let device = rows.device();
    let rows = rows.to_device(&Device::Cpu)?;
    let half = |channel: usize| rows.narrow(1, channel, 1)?.flatten_all()?.to_vec1::<f32>();
    let ids: Vec<u32> = half(1)?.iter().zip(half(2)?).map(|(&high, low)| (high as u32) << 16 | low as u32).collect();
    let labels = rows.narrow(1, 0, 1)?.contiguous()?;
    let ids = Tensor::from_vec(ids, labels.shape(), &Device::Cpu)?;
    Tensor::cat(&[&labels, &instance_edges(&ids, DType::F32)?], 1)?.to_device(device)
}

/// A pixel of such labels: enough to ask a layer what it does with them.
pub(super) fn pixel(classes: usize, rest: usize) -> Result<OneHot> {
    let labels = Tensor::zeros((1, 1, 1, 1), DType::U8, &Device::Cpu)?;
    let rest = if rest > 0 { Some(Tensor::zeros((1, rest, 1, 1), DType::F32, &Device::Cpu)?) } else { None };
    OneHot::new(&labels, classes, rest.as_ref(), DType::F32)
}
