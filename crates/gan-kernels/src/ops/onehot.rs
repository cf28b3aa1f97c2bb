//! One-hot tensors that are not materialized, and their convolution.
use crate::cpu::conv::onehot as kernel;
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::real::by_dtype;
use crate::dispatch::{gathers, on_cuda};
use crate::ops::bands::{BandedConv, Bands, Window};
use crate::ops::concat::narrow_channels;
use crate::ops::conv::{ConvGrads, WeightGrad, add_bias_gradient, bias_of, conv2d, conv2d_backward};
use crate::ops::elementwise::convert;
use crate::ops::labels::{check_below, ids, one_hot, sizes};
use crate::ops::storage::{apart, plain, slices, tensor, update};
use crate::spec::act::Act;
use crate::spec::conv::Conv2d;
use crate::spec::geometry::{Geometry, dims4};
pub use crate::spec::onehot::OneHot;
use crate::spec::rows::{Rows, Span};
use crate::weight::Weight;
use candle_core::{DType, Result, Tensor, bail};
use std::ops::Range;

/// What errors are about.
const PLANES: &str = "one-hot planes";

impl OneHot {
    /// Labels `[N, 1, H, W]` (U8 or U32) below `classes`, and other planes `[N, rest, H, W]` to lie behind those of the
    /// classes; the planes are of type `dtype` (F32 or F64). A label `>= classes` is an error that names its position; on CUDA it has no plane, as in [`one_hot`].
    ///
    /// # Errors
    /// Shapes and labels that do not fit.
    pub fn new(labels: &Tensor, classes: usize, rest: Option<&Tensor>, dtype: DType) -> Result<Self> {
        let (_, h, w) = sizes(PLANES, labels)?;
        if labels.device().is_cpu() {
            check_below(PLANES, &ids(PLANES, labels)?.0, (h, w), classes)?;
        }
        let x = OneHot { labels: labels.detach(), classes, dtype, rest: None };
        rest.map_or_else(|| Ok(x.clone()), |rest| x.with(rest))
    }

    /// Other planes behind those that are there.
    ///
    /// # Errors
    /// As [`OneHot::new`].
    pub fn with(&self, more: &Tensor) -> Result<Self> {
        let rest = match &self.rest {
            Some(rest) => Tensor::cat(&[rest, more], 1)?,
            None => more.clone(),
        };
        let [n, _, h, w] = dims4(PLANES, "other planes", rest.dims())?;
        if self.labels.dims() != [n, 1, h, w] || rest.dtype() != self.dtype {
            let (labels, dtype) = (self.labels.dims(), self.dtype);
            bail!("{PLANES}: {:?} {:?} beside {dtype:?} planes of labels {labels:?}", rest.dims(), rest.dtype())
        }
        Ok(OneHot { rest: Some(rest), ..self.clone() })
    }

    /// The materialized one-hot tensor; differentiable in the other planes.
    ///
    /// # Errors
    /// CUDA's.
    pub fn planes(&self) -> Result<Tensor> {
        let labels = one_hot(&self.labels, self.classes, self.dtype)?;
        match &self.rest {
            Some(rest) => Tensor::cat(&[&labels, rest], 1),
            None => Ok(labels),
        }
    }

    /// Some rows of it.
    ///
    /// # Errors
    /// It has fewer rows.
    pub fn rows(&self, rows: &Range<usize>) -> Result<Self> {
        let some = |t: &Tensor| t.narrow(2, rows.start, rows.len());
        Ok(OneHot { labels: some(&self.labels)?, rest: self.rest.as_ref().map(some).transpose()?, ..self.clone() })
    }

    /// Whether [`onehot_conv2d`] is the faster way through a convolution with this weight than the planes are: from 8 classes
    /// on. On CUDA it has to be one that it can serve: stride 1, kernels up to 7x7, the same padding on all sides.
    pub fn pays(&self, weight: &Tensor, spec: &Conv2d) -> bool {
        let side = weight.dims().iter().skip(2).copied().max().unwrap_or(0);
        let [up, left] = spec.padding;
        gathers(self.classes) && (self.labels.device().is_cpu() || spec.stride == 1 && side <= 7 && up == left)
    }
}

/// Which gradients the backward pass of [`onehot_conv2d`] is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct OneHotGrads<'a> {
    /// The gradient of the planes behind those of the classes.
    pub rest: bool,
    /// Accumulator of the weight's gradient, of its shape.
    pub weight: Option<&'a Tensor>,
    /// Accumulator `[C_out]` of the bias gradient.
    pub bias: Option<&'a Tensor>,
}

/// The part of a weight `[C_out, C_in, kh, kw]` for the planes from number `from` on.
fn part(weight: &Tensor, from: usize) -> Result<Tensor> {
    narrow_channels(weight, from, weight.dim(1)? - from)
}

/// [`conv2d`](crate::conv::conv2d) of the planes that `x` stands for: every tap adds the weights of the label that it sees. Weight
/// `[C_out, classes + rest, kh, kw]`, bias `[C_out]`; the result `[N, C_out, H', W']` is of type `dtype`: the weight's, or on
/// CUDA BF16.
///
/// # Errors
/// As [`conv2d`](crate::conv::conv2d); the labels have no pixels, or the result cannot be of type `dtype`. On CUDA also a
/// stride other than 1, a kernel larger than 7x7, or unequal padding.
pub fn onehot_conv2d(x: &OneHot, w: &Weight, bias: Option<&Tensor>, spec: &Conv2d, dtype: DType) -> Result<Tensor> {
    const OP: &str = "onehot_conv2d";
    let weight = w.tensor();
    let g = Geometry::conv2d(OP, x.dims(), weight.dims(), spec)?;
    if g.n * g.h * g.w == 0 {
        bail!("{OP}: labels {:?} hold no elements", x.labels.dims())
    }
    on_cuda!(x.labels, onehot::forward(OP, &g, x, w, bias, dtype));
    if weight.dtype() != dtype {
        bail!("{OP}: the result cannot be {dtype:?}, the weight is {:?}", weight.dtype())
    }
    let rest = match &x.rest {
        Some(rest) => Some(conv2d(rest, &Weight::constant(part(weight, x.classes)?), bias, spec)?),
        None => None,
    };
    add_labels(OP, &g, &g.forward_span(), x, w, bias, rest)
}

/// The rows of `span` of a convolution, from the labels in `x` and what the planes behind them make, which has the bias.
fn add_labels(
    op: &str,
    g: &Geometry,
    span: &Span,
    x: &OneHot,
    w: &Weight,
    bias: Option<&Tensor>,
    rest: Option<Tensor>,
) -> Result<Tensor> {
    let (ids, ..) = ids(op, &x.labels)?;
    let labels = kernel::Labels { ids: &ids, classes: x.classes, held: span.input };
    let (weight, made) = (plain(w.tensor())?, span.output);
    by_dtype!(weight, T => {
        slices!(T; ws = weight);
        if let Some(sum) = rest {
            update(&sum, |out: &mut [T]| {
                kernel::forward(g, made, labels, ws, w, None, out, true);
                Ok(())
            })?;
            return Ok(sum);
        }
        let bias = bias_of::<T>(op, bias, g.co)?;
        let mut out = for_overwrite(g.n * g.co * made.count * g.wo);
        kernel::forward(g, made, labels, ws, w, bias.as_deref(), &mut out, false);
        tensor(out, (g.n, g.co, made.count, g.wo))
    })
}

/// [`onehot_conv2d`] of one label map in bands of rows, in F32 on the CPU.
#[derive(Debug, Clone)]
pub struct BandedOneHotConv {
    g: Geometry,
    classes: usize,
    /// The convolution of the planes behind those of the classes, and its weight.
    rest: Option<(BandedConv, Weight)>,
}

impl BandedOneHotConv {
    /// For label maps of this height and width, of `classes` classes with `rest` other planes behind them.
    ///
    /// # Errors
    /// As [`onehot_conv2d`]; the weight is not F32.
    pub fn new(
        (classes, rest): (usize, usize),
        (height, width): (usize, usize),
        w: &Weight,
        spec: &Conv2d,
    ) -> Result<Self> {
        const OP: &str = "onehot_conv2d in bands";
        let g = Geometry::conv2d(OP, [1, classes + rest, height, width], w.tensor().dims(), spec)?;
        if w.tensor().dtype() != DType::F32 {
            bail!("{OP}: it is for F32, not {:?}", w.tensor().dtype())
        }
        let rest = if rest > 0 {
            let weight = part(w.tensor(), classes)?;
            let conv = BandedConv::conv2d([rest, g.h, g.w], &weight, spec)?;
            Some((conv, Weight::constant(weight)))
        } else {
            None
        };
        Ok(BandedOneHotConv { g, classes, rest })
    }

    /// Channels, height and width of the output.
    pub fn output(&self) -> [usize; 3] {
        [self.g.co, self.g.ho, self.g.wo]
    }

    /// Where the output may be cut.
    pub fn bands(&self) -> Bands {
        self.rest.as_ref().map_or(Bands::every(1, self.g.ho), |(conv, _)| conv.bands())
    }

    /// Multiply-adds for all rows; a tap's sum for a label counts as one.
    pub fn macs(&self) -> u64 {
        let taps = (self.g.co * self.g.kh * self.g.kw) as u64 * (self.g.ho * self.g.wo) as u64;
        taps + self.rest.as_ref().map_or(0, |(conv, _)| conv.macs())
    }

    /// Bytes of the packed weights.
    pub fn packed_bytes(&self) -> usize {
        let labels = size_of::<f32>() * self.g.co * self.classes * self.g.kh * self.g.kw;
        labels + self.rest.as_ref().map_or(0, |(conv, _)| conv.packed_bytes())
    }

    /// Bytes of the working memory of a call, beside the packed weights.
    pub fn working_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, |(conv, _)| conv.working_bytes())
    }

    /// The rows of the labels that these rows of the output, which are whole bands, are computed from.
    pub fn reads(&self, rows: &Range<usize>) -> Range<usize> {
        let own: Range<usize> = kernel::reads(&self.g, rows.into()).into();
        match self.rest.as_ref().map(|(conv, _)| conv.reads(rows)) {
            Some(rest) => own.start.min(rest.start)..own.end.max(rest.end),
            None => own,
        }
    }

    /// The rows `rows` of the output, which are whole bands: `[1, C_out, rows, W']`, from labels of which the first row is row `first` of the map.
    ///
    /// # Errors
    /// `x` lacks rows; as [`onehot_conv2d`] and [`BandedConv::forward`].
    pub fn forward(
        &self,
        x: &OneHot,
        first: usize,
        w: &Weight,
        bias: Option<&Tensor>,
        rows: &Range<usize>,
    ) -> Result<Tensor> {
        const OP: &str = "onehot_conv2d in bands";
        let [n, channels, held, width] = x.dims();
        let reads = self.reads(rows);
        let fits = n == 1 && channels == self.g.ci && width == self.g.w && x.classes == self.classes;
        if !fits || reads.start < first || reads.end > first + held {
            bail!("{OP}: {:?} from row {first} is not what rows {rows:?} are made of", x.dims())
        }
        let rest = match (&self.rest, &x.rest) {
            (Some((conv, weight)), Some(rest)) => {
                Some(conv.forward(&Window { rows: rest, first }, weight, bias, Act::Identity, rows)?)
            }
            _ => None,
        };
        let input = kernel::reads(&self.g, rows.into());
        let seen = x.rows(&(input.first - first..input.end() - first))?;
        add_labels(OP, &self.g, &Span { input, output: rows.into() }, &seen, w, bias, rest)
    }
}

/// Backward of [`onehot_conv2d`] from the output's gradient `dy`; returns the gradient of the planes behind those of the
/// classes if asked for. Labels have none.
///
/// # Errors
/// `dy` is no output of this convolution for `x` and the weight. An accumulator has another shape or element type than
/// what is added to it.
pub fn onehot_conv2d_backward(
    dy: &Tensor,
    x: &OneHot,
    w: &Weight,
    spec: &Conv2d,
    grads: OneHotGrads,
) -> Result<Option<Tensor>> {
    const OP: &str = "onehot_conv2d_backward";
    let weight = w.tensor();
    let g = Geometry::conv2d(OP, x.dims(), weight.dims(), spec)?;
    if dy.dims() != [g.n, g.co, g.ho, g.wo] {
        bail!("{OP}: a gradient {:?} does not belong to {:?} and a weight {:?}", dy.dims(), x.dims(), weight.dims())
    }
    if let Some(into) = grads.bias {
        add_bias_gradient(OP, dy, g.co, into)?;
    }
    if let Some(into) = grads.weight {
        if into.dims() != weight.dims() {
            bail!("{OP}: the weight {:?} and its gradient {:?} differ in shape", weight.dims(), into.dims())
        }
        add_weight_gradient(OP, &g, x, w, dy, into)?;
    }
    match &x.rest {
        Some(_) if grads.rest => {
            let rest = Weight::constant(part(weight, x.classes)?);
            conv2d_backward(dy, &rest, spec, ConvGrads { input: Some((g.h, g.w)), ..ConvGrads::default() })
        }
        _ => Ok(None),
    }
}

fn add_weight_gradient(op: &str, g: &Geometry, x: &OneHot, w: &Weight, dy: &Tensor, into: &Tensor) -> Result<()> {
    let spec = Conv2d { stride: g.stride, padding: g.padding, pad_mode: g.mode, math: g.math };
    if dy.device().is_cuda() {
        // From the planes after all: sums by labels took 3.4 ms of a pix2pixHD step (35 labels of 1024x512 on an H200), which is
        // 2.2 ms shorter with the planes' products.
        let planes = convert(&x.planes()?.detach(), dy.dtype())?;
        let weight = Some(WeightGrad { x: &planes, into, state: None });
        conv2d_backward(dy, w, &spec, ConvGrads { weight, ..ConvGrads::default() })?;
        return Ok(());
    }
    let dy = plain(&apart(dy, into)?)?;
    let rest = match &x.rest {
        Some(rest) => {
            let g_rest = Tensor::zeros((g.co, g.ci - x.classes, g.kh, g.kw), into.dtype(), into.device())?;
            let weight = Some(WeightGrad { x: rest, into: &g_rest, state: None });
            conv2d_backward(
                &dy,
                &Weight::constant(g_rest.clone()),
                &spec,
                ConvGrads { weight, ..ConvGrads::default() },
            )?;
            Some(g_rest)
        }
        None => None,
    };
    let (ids, ..) = ids(op, &x.labels)?;
    let labels = kernel::Labels { ids: &ids, classes: x.classes, held: Rows::all(g.h) };
    by_dtype!(dy, T => {
        slices!(T; ds = dy);
        update(into, |into: &mut [T]| {
            kernel::backward_weight(g, labels, ds, into);
            if let Some(rest) = rest {
                slices!(T; rest = rest);
                let (own, all) = (rest.len() / g.co, g.taps());
                for (into, rest) in into.chunks_mut(all).zip(rest.chunks(own)) {
                    into[all - own..].iter_mut().zip(rest).for_each(|(into, &v)| *into += v);
                }
            }
            Ok(())
        })
    })
}
