//! A network as a flow of values whose rows are computed from rows of other values.

use super::engine::Engine;
use super::source::{Origin, RowSource, one_hot, pixel, with_edges};
use crate::autograd::PYRAMID;
use crate::kind::Forward;
use crate::plan::Step;
use crate::summary::output_size;
use crate::{Ctx, Input, Pool2d, Precision, Sequence};
use candle_core::{DType, Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::bands::{BandedConv, Bands, Window};
use gan_kernels::norm::Moments;
use gan_kernels::onehot::BandedOneHotConv;
use gan_kernels::weight::Weight;
use std::ops::Range;

/// Channels, height and width of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Size {
    fn of([channels, height, width]: [usize; 3]) -> Self {
        Size { channels, height, width }
    }

    fn dims(self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// Bytes of a row of all channels, in F32.
    pub fn row_bytes(self) -> u64 {
        (size_of::<f32>() * self.channels * self.width) as u64
    }

    /// Bytes of all rows.
    pub fn bytes(self) -> u64 {
        self.row_bytes() * self.height as u64
    }
}

/// A value of a [`Dataflow`]. Values are numbered in an order in which they can be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub(super) usize);

/// The rows of each input that these rows of the output are computed from.
type Reads<'a> = Box<dyn Fn(&Range<usize>) -> Range<usize> + 'a>;
/// Rows of the output, from windows of the inputs that hold at least the rows read, and statistics of the first input if they are wanted.
type Compute<'a> = Box<dyn Fn(&[Window<'_>], &Range<usize>, Option<&Moments>) -> Result<Tensor> + 'a>;

/// How a value is computed.
pub(super) struct Node<'a> {
    pub(super) inputs: Vec<Value>,
    pub(super) size: Size,
    /// Where its rows may be cut.
    pub(super) bands: Bands,
    pub(super) reads: Reads<'a>,
    pub(super) compute: Compute<'a>,
    /// Whether it needs the statistics of its first input.
    pub(super) normalizes: bool,
    /// Whether it costs no more than to read its inputs.
    pub(super) cheap: bool,
    /// Multiply-adds for all rows.
    pub(super) macs: u64,
    /// Bytes of packed weights.
    pub(super) packed: u64,
    /// Bytes of working memory, beside packed weights and copies of the rows read.
    pub(super) working: u64,
    /// Whether the rows read are copied.
    pub(super) copies: bool,
    /// The weight whose packed form is to be forgotten after a sweep.
    pub(super) weight: Option<&'a Weight>,
}

/// A step of a sequence that is written down, and what is added to its result.
pub(crate) struct Traced<'a> {
    pub(crate) step: Step<'a>,
    /// Only for an operator that [adds](crate::kind::Op::adds_residual) it.
    pub(crate) residual: Option<Value>,
}

/// A network for one image, value by value.
pub struct Dataflow<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    origin: Origin<'a>,
    /// The input as planes, and the numbers of its labels.
    planes: Option<Value>,
    labels: Option<Value>,
    ctx: Ctx,
    /// Whether a forward pass has activations of half the bytes.
    pub(super) halved: bool,
    engine: Engine,
}

impl<'a> Dataflow<'a> {
    /// The flow of nothing yet, for this input `[1, C, H, W]` of F32, by the engine of its device.
    ///
    /// # Errors
    /// Another input, or a context that moves running statistics.
    pub fn new(input: Input<'a>, ctx: &Ctx) -> Result<Self> {
        let (dims, dtype) = match input {
            Input::Planes(x) => (x.dims().to_vec(), x.dtype()),
            Input::Labels(x) => (x.dims().to_vec(), x.dtype()),
        };
        if dims.len() != 4 || dims[0] != 1 || dtype != DType::F32 {
            bail!("in bands, one image [1, C, H, W] of F32 is evaluated, not {dims:?} of {dtype:?}")
        }
        Self::of(Origin::Given(input), ctx, Engine::of(input.device()))
    }

    /// The flow of nothing yet, for an input that is read row by row.
    ///
    /// # Errors
    /// A context that moves running statistics.
    pub fn over(source: &'a dyn RowSource, ctx: &Ctx, engine: Engine) -> Result<Self> {
        Self::of(Origin::Read(source), ctx, engine)
    }

    /// The same flow by another engine, before there are layers. Activations are F32 whatever the context says.
    ///
    /// # Errors
    /// There are layers.
    pub fn with_engine(self, engine: Engine) -> Result<Self> {
        if !self.nodes.is_empty() {
            bail!("the engine of a flow is chosen before its layers")
        }
        Ok(Dataflow { engine, ..self })
    }

    fn of(origin: Origin<'a>, ctx: &Ctx, engine: Engine) -> Result<Self> {
        if matches!(ctx.norm, crate::NormMode::Batch { update: true }) {
            bail!("in bands, running statistics do not move")
        }
        let halved = ctx.precision == Precision::Bf16;
        let ctx = Ctx { precision: Precision::F32, ..*ctx };
        Ok(Dataflow { nodes: Vec::new(), origin, planes: None, labels: None, ctx, halved, engine })
    }

    /// The size of a value.
    pub fn size(&self, value: Value) -> Size {
        self.nodes[value.0].size
    }

    pub(crate) fn dims(&self, value: Value) -> [usize; 3] {
        self.size(value).dims()
    }

    /// What computes it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn ctx(&self) -> &Ctx {
        &self.ctx
    }

    /// The input, labels as their planes.
    ///
    /// # Errors
    /// None, but for what candle says.
    pub fn input(&mut self) -> Result<Value> {
        if let Some(value) = self.planes {
            return Ok(value);
        }
        let [channels, height, width] = self.origin.dims();
        let size = Size { channels, height, width };
        let value = match self.origin.classes() {
            None => self.stored_rows(),
            Some(classes) => {
                let labels = self.labels()?;
                let planes = self.by_pixel(&[labels], size, false, move |rows, _| one_hot(&rows[0], classes)?.planes());
                self.nodes[planes.0].cheap = true;
                planes
            }
        };
        self.planes = Some(value);
        Ok(value)
    }

    /// The input as it is stored.
    fn stored_rows(&mut self) -> Value {
        let (origin, [_, height, width]) = (self.origin, self.origin.dims());
        let size = Size { channels: origin.channels(), height, width };
        let device = self.engine.device().clone();
        let node =
            Node::new(&[], size, Bands::every(1, height), move |_, rows, _| origin.rows(rows)?.to_device(&device));
        self.push(Node { cheap: true, ..node })
    }

    /// The numbers of the labels, and the planes behind those of the classes.
    fn labels(&mut self) -> Result<Value> {
        if let Some(value) = self.labels {
            return Ok(value);
        }
        let stored = self.stored_rows();
        let value = if self.origin.has_ids() {
            let [_, height, width] = self.dims(stored);
            // An edge depends on the rows above and below.
            let reads = move |rows: &Range<usize>| {
                let start = rows.start.saturating_sub(1);
                (start..(rows.end + 1).min(height), start)
            };
            let edges = self.stencil(stored, [2, height, width], reads, with_edges);
            self.nodes[edges.0].cheap = true;
            edges
        } else {
            stored
        };
        self.labels = Some(value);
        Ok(value)
    }

    /// The layers of a sequence, applied to the input.
    ///
    /// # Errors
    /// As [`Sequence::forward`].
    pub fn apply_to_input(&mut self, seq: &'a Sequence) -> Result<Value> {
        let mut steps = seq.steps();
        // The kernels of a device take labels with fewer kinds of borders: there, the one-hot tensor of each band is materialised.
        if let Some(classes) = self.origin.classes()
            && self.engine.is_exact()
            && let pixel = pixel(classes, self.origin.dims()[0] - classes)?
            && steps.first().is_some_and(|first| first.op.takes_labels(&pixel, &first.fused))
        {
            let step = steps.remove(0);
            let (op, labels) = (step.op, self.labels()?);
            let value = op.trace_labels((classes, labels), &Traced { step, residual: None }, self)?;
            return self.steps(steps, value, None);
        }
        let input = self.input()?;
        self.steps(steps, input, None)
    }

    /// The layers of a sequence, applied to `x`.
    ///
    /// # Errors
    /// As [`Sequence::forward`].
    pub fn apply(&mut self, seq: &'a Sequence, x: Value) -> Result<Value> {
        self.steps(seq.steps(), x, None)
    }

    /// The same, with a value that is added to the result.
    pub(crate) fn apply_and_add(&mut self, seq: &'a Sequence, x: Value, residual: Value) -> Result<Value> {
        self.steps(seq.steps(), x, Some(residual))
    }

    fn steps(&mut self, steps: Vec<Step<'a>>, mut x: Value, residual: Option<Value>) -> Result<Value> {
        let (mut pending, count) = (residual, steps.len());
        for (i, step) in steps.into_iter().enumerate() {
            let last = i + 1 == count;
            let residual = if last && step.op.adds_residual() { pending.take() } else { None };
            let traced = Traced { step, residual };
            x = match traced.step.op.trace(x, &traced, self)? {
                Some(value) => value,
                None => self.whole(x, traced)?,
            };
        }
        pending.map_or(Ok(x), |residual| self.add(x, residual))
    }

    /// A step that is computed as a whole.
    fn whole(&mut self, x: Value, Traced { step, residual }: Traced<'a>) -> Result<Value> {
        let size = Size::of(output_size(step.op, step.path, self.dims(x))?);
        let (ctx, height) = (self.ctx, self.size(x).height);
        let inputs: Vec<Value> = std::iter::once(x).chain(residual).collect();
        let compute = move |inputs: &[Window<'_>], _: &Range<usize>, _: Option<&Moments>| {
            let residual = inputs.get(1).map(|window| window.rows);
            let (path, fused) = (step.path, &step.fused);
            let pass = Forward { ctx: &ctx, path, fused, residual, input_again: false, taped: false };
            Ok(step.op.forward(inputs[0].rows, &pass)?.0)
        };
        let node = Node::new(&inputs, size, Bands::whole(size.height), compute);
        Ok(self.push(Node { reads: Box::new(move |_| 0..height), ..node }))
    }

    /// `x + y`, values of one size.
    ///
    /// # Errors
    /// They differ in size.
    pub fn add(&mut self, x: Value, y: Value) -> Result<Value> {
        if self.size(x) != self.size(y) {
            bail!("add: sizes differ, {:?} and {:?}", self.size(x), self.size(y))
        }
        let size = self.size(x);
        Ok(self.by_pixel(&[x, y], size, false, |rows, _| k::elementwise::add(&rows[0], &rows[1])))
    }

    /// The channels of all values, which have one height and width.
    pub(crate) fn concat(&mut self, parts: &[Value]) -> Result<Value> {
        let first = self.size(parts[0]);
        if let Some(other) =
            parts.iter().map(|&part| self.size(part)).find(|size| size.dims()[1..] != first.dims()[1..])
        {
            bail!("concatenation: sizes differ, {first:?} and {other:?}")
        }
        let channels = parts.iter().map(|&part| self.size(part).channels).sum();
        let cat = |rows: &[Tensor], _: Option<&Moments>| k::concat::cat_channels(&rows.iter().collect::<Vec<_>>());
        let value = self.by_pixel(parts, Size { channels, ..first }, false, cat);
        self.nodes[value.0].cheap = true;
        Ok(value)
    }

    /// A value each pixel of which is computed from the same pixel of its inputs, with the statistics of the first one if it `normalizes`.
    pub(crate) fn by_pixel(
        &mut self,
        inputs: &[Value],
        size: Size,
        normalizes: bool,
        f: impl Fn(&[Tensor], Option<&Moments>) -> Result<Tensor> + 'a,
    ) -> Value {
        let compute = move |inputs: &[Window<'_>], rows: &Range<usize>, moments: Option<&Moments>| {
            let rows: Vec<Tensor> = inputs.iter().map(|window| exactly(window, rows)).collect::<Result<_>>()?;
            f(&rows, moments)
        };
        let node = Node::new(inputs, size, Bands::every(1, size.height), compute);
        self.push(Node { normalizes, cheap: inputs.len() == 1, ..node })
    }

    /// A convolution of `x`.
    pub(crate) fn convolve(
        &mut self,
        x: Value,
        conv: BandedConv,
        weight: &'a Weight,
        bias: Option<&'a Tensor>,
        act: Act,
    ) -> Value {
        let conv = if self.engine.is_exact() { conv } else { conv.composed() };
        let size = Size::of(conv.output());
        let node = Node::new(&[x], size, conv.bands(), move |inputs, rows, _| {
            conv.forward(&inputs[0], weight, bias, act, rows)
        });
        self.push(Node {
            reads: Box::new(move |rows| conv.reads(rows)),
            macs: conv.macs(),
            packed: conv.packed_bytes() as u64,
            working: conv.working_bytes() as u64,
            copies: !self.engine.is_exact(),
            weight: Some(weight),
            ..node
        })
    }

    /// The first convolution of labels of so many classes.
    pub(crate) fn convolve_labels(
        &mut self,
        (classes, labels): (usize, Value),
        conv: BandedOneHotConv,
        weight: &'a Weight,
        bias: Option<&'a Tensor>,
        act: Act,
    ) -> Value {
        let (size, bands, macs) = (Size::of(conv.output()), conv.bands(), conv.macs());
        let (packed, working) = (conv.packed_bytes() as u64, conv.working_bytes() as u64);
        let seen = conv.clone();
        let node = Node::new(&[labels], size, bands, move |inputs, rows, _| {
            let Window { rows: held, first } = inputs[0];
            let y = conv.forward(&one_hot(held, classes)?, first, weight, bias, rows)?;
            if act == Act::Identity { Ok(y) } else { k::act::act(&y, act) }
        });
        let reads = Box::new(move |rows: &Range<usize>| seen.reads(rows));
        self.push(Node { reads, macs, packed, working, weight: Some(weight), ..node })
    }

    /// An operator without weights that sees neighboring rows: `f` of the rows that `reads` names is the output from row `start` on, which `reads` returns as well. It
    /// treats the border of what it is given as that of the image; rows for which that matters must not be asked for.
    pub(crate) fn stencil(
        &mut self,
        x: Value,
        size: [usize; 3],
        reads: impl Fn(&Range<usize>) -> (Range<usize>, usize) + Copy + 'a,
        f: impl Fn(&Tensor) -> Result<Tensor> + 'a,
    ) -> Value {
        let size = Size::of(size);
        let node = Node::new(&[x], size, Bands::every(1, size.height), move |inputs, rows, _| {
            let (seen, start) = reads(rows);
            f(&exactly(&inputs[0], &seen)?)?.narrow(2, rows.start - start, rows.len())?.contiguous()
        });
        self.push(Node { reads: Box::new(move |rows| reads(rows).0), ..node })
    }

    /// [`avg_pool3s2`](crate::avg_pool3s2) of `x`.
    ///
    /// # Errors
    /// No window fits.
    pub fn avg_pool3s2(&mut self, x: Value) -> Result<Value> {
        self.avg_pool(x, PYRAMID)
    }

    /// Average pooling of `x` that does not count padding.
    ///
    /// # Errors
    /// No window fits.
    pub(crate) fn avg_pool(&mut self, x: Value, windows: Pool2d) -> Result<Value> {
        let Size { channels, height, width } = self.size(x);
        let (ho, wo) = windows.output_hw((height, width))?;
        let Pool2d { kernel, stride, padding, .. } = windows;
        // Outputs whose windows the upper border would cut, if it were that of the image.
        let cut = padding.div_ceil(stride);
        let reads = move |rows: &Range<usize>| {
            let start = rows.start - rows.start.min(cut);
            (start * stride..((rows.end - 1) * stride + kernel - padding).min(height), start)
        };
        Ok(self.stencil(x, [channels, ho, wo], reads, move |x| k::pool::avg_pool(x, &windows)))
    }

    /// Whether a value is the input as it was given.
    pub(super) fn is_given(&self, value: usize) -> bool {
        self.planes == Some(Value(value)) && matches!(self.origin, Origin::Given(Input::Planes(_)))
    }

    fn push(&mut self, node: Node<'a>) -> Value {
        self.nodes.push(node);
        Value(self.nodes.len() - 1)
    }
}

impl<'a> Node<'a> {
    fn new(
        inputs: &[Value],
        size: Size,
        bands: Bands,
        compute: impl Fn(&[Window<'_>], &Range<usize>, Option<&Moments>) -> Result<Tensor> + 'a,
    ) -> Self {
        Node {
            inputs: inputs.to_vec(),
            size,
            bands,
            reads: Box::new(Range::clone),
            compute: Box::new(compute),
            normalizes: false,
            cheap: false,
            macs: 0,
            packed: 0,
            working: 0,
            copies: true,
            weight: None,
        }
    }
}

/// These rows of a window, and no others.
fn exactly(window: &Window<'_>, rows: &Range<usize>) -> Result<Tensor> {
    window.rows.narrow(2, rows.start - window.first, rows.len())?.contiguous()
}
