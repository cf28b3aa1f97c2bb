//! Convolution.

use crate::bands::{Dataflow, Traced, Value};
use crate::conv_grads::{ConvGradBuffers, ConvInput};
use crate::kind::{Backward, Forward, Jvp, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue, bias, constant};
use crate::plan::{Fused, Plan, Step};
use crate::summary::Rows;
use crate::{Builder, Layer, Param, Precision, Role, SequenceBuilder};
use candle_core::{DType, Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::bands::BandedConv;
use gan_kernels::conv::{Conv2d, Joined, PadMode};
use gan_kernels::math_mode::MathMode;
use gan_kernels::onehot::{BandedOneHotConv, OneHot, OneHotGrads};

/// A convolution with zero padding (a [`Pad`](super::pad::Pad) in front of it brings other kinds),
/// `[N, C_in, H, W]` → `[N, C_out, H', W']`.
#[derive(Debug, Clone)]
pub struct Conv {
    /// `[C_out, C_in, kh, kw]`.
    pub weight: Param,
    /// `[C_out]`.
    pub bias: Option<Param>,
    /// Step.
    pub stride: usize,
    /// Zero padding above and below, and left and right.
    pub padding: [usize; 2],
}

/// Shape of a convolution or transposed convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvSpec {
    /// Input channels.
    pub in_nc: usize,
    /// Output channels.
    pub out_nc: usize,
    /// Side of the square kernel.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Zero padding (of a transposed convolution: what is cut).
    pub padding: usize,
    /// Whether it has a bias.
    pub bias: bool,
}

/// Shape of a convolution whose kernel need not be square.
#[derive(Debug, Clone, Copy)]
pub struct RectConvSpec {
    /// Input channels.
    pub in_nc: usize,
    /// Output channels.
    pub out_nc: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: usize,
    /// Zero padding above and below, and left and right.
    pub padding: [usize; 2],
    /// Whether it has a bias.
    pub bias: bool,
}

impl From<ConvSpec> for RectConvSpec {
    fn from(s: ConvSpec) -> Self {
        let ConvSpec { in_nc, out_nc, kernel, stride, padding, bias } = s;
        RectConvSpec { in_nc, out_nc, kernel: [kernel; 2], stride, padding: [padding; 2], bias }
    }
}

impl SequenceBuilder<'_> {
    /// Convolution, of a [`ConvSpec`] or a [`RectConvSpec`].
    ///
    /// # Errors
    /// The source has no such parameters.
    pub fn conv(self, s: impl Into<RectConvSpec>) -> Result<Self> {
        let layer = Conv::build(&self.here(), s.into())?;
        Ok(self.push(Layer::new(layer)))
    }
}

impl Conv {
    fn build(at: &Builder<'_>, s: RectConvSpec) -> Result<Self> {
        let [kh, kw] = s.kernel;
        let weight = at.param("weight", &[s.out_nc, s.in_nc, kh, kw], Role::ConvWeight)?;
        let fan_in = s.in_nc * kh * kw;
        let bias = s.bias.then(|| at.param("bias", &[s.out_nc], Role::ConvBias { fan_in })).transpose()?;
        Ok(Conv { weight, bias, stride: s.stride, padding: s.padding })
    }

    /// The geometry, with the padding layer that may lie in front.
    pub(super) fn spec(&self, fused: &Fused, math: MathMode) -> Conv2d {
        let (pad_mode, padding) = match fused.pad {
            Some(pad) => (pad.mode, [pad.size; 2]),
            None => (PadMode::Zero, self.padding),
        };
        Conv2d { stride: self.stride, padding, pad_mode, math }
    }
}

/// What it keeps.
enum Kept {
    /// Of images: the input, and its height and width.
    Planes { x: ConvInput, hw: (usize, usize) },
    /// Labels, whether the weights are trained or not.
    Labels(OneHot),
}

impl Kind for Conv {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        let (out, in_nc, kh, kw) = self.weight.tensor().dims4()?;
        let spec = Conv2d { stride: self.stride, padding: self.padding, ..Conv2d::default() };
        (to.height, to.width) = spec.output_hw((kh, kw), (to.height, to.width))?;
        to.channels = out;
        let macs = [out, in_nc, kh, kw, to.height, to.width];
        to.row(self, path, format!("Conv {kh}x{kw} s{}", self.stride), &macs);
        Ok(())
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        f(&self.weight);
        self.bias.iter().for_each(f);
    }
}

impl Op for Conv {
    fn takes_padding(&self) -> bool {
        self.padding == [0; 2]
    }

    fn applies(&self, _: Act) -> bool {
        true
    }

    fn takes_labels(&self, labels: &OneHot, fused: &Fused) -> bool {
        labels.pays(self.weight.tensor(), &self.spec(fused, MathMode::default()))
    }

    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let bias = pass.fused.used(&self.bias);
        let y =
            k::conv::conv2d_act(x, &self.weight.weight, bias, &self.spec(pass.fused, pass.ctx.math), pass.fused.act)?;
        let (_, _, h, w) = x.dims4()?;
        Ok((y, pass.record(|| Kept::Planes { x: ConvInput::of(x, pass), hw: (h, w) })))
    }

    fn forward_labels(&self, labels: OneHot, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let dtype = match pass.ctx.precision {
            Precision::F32 => labels.dtype(),
            Precision::Bf16 => DType::BF16,
        };
        let bias = pass.fused.used(&self.bias);
        let y =
            k::onehot::onehot_conv2d(&labels, &self.weight.weight, bias, &self.spec(pass.fused, pass.ctx.math), dtype)?;
        let y = if pass.fused.act == Act::Identity { y } else { k::act::act(&y, pass.fused.act)? };
        Ok((y, pass.record(|| Kept::Labels(labels))))
    }

    fn reads_joined(&self) -> bool {
        true
    }

    fn forward_joined(&self, x: &Joined<'_>, pass: &Forward<'_>) -> Result<Tensor> {
        let (bias, spec) = (pass.fused.used(&self.bias), self.spec(pass.fused, pass.ctx.math));
        k::conv::conv2d_joined(x, &self.weight.weight, bias, &spec, pass.fused.act)
    }

    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let fused = at.step.fused;
        let spec = self.spec(&fused, flow.ctx().math);
        let conv = BandedConv::conv2d(flow.dims(x), self.weight.tensor(), &spec)?;
        Ok(Some(flow.convolve(x, conv, &self.weight.weight, fused.used(&self.bias), fused.act)))
    }

    fn trace_labels<'a>(
        &'a self,
        (classes, x): (usize, Value),
        at: &Traced<'a>,
        flow: &mut Dataflow<'a>,
    ) -> Result<Value> {
        let fused = at.step.fused;
        let (weight, [channels, height, width]) = (&self.weight.weight, flow.dims(x));
        let spec = self.spec(&fused, flow.ctx().math);
        let conv = BandedOneHotConv::new((classes, channels - 1), (height, width), weight, &spec)?;
        Ok(flow.convolve_labels((classes, x), conv, weight, fused.used(&self.bias), fused.act))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let fused = &step.fused;
        let spec = self.spec(fused, MathMode::default());
        let (x, padding) = match spec.pad_mode {
            PadMode::Zero => (x, spec.padding),
            mode => (graph.by_channel(step.path, Operator::Pad { mode, size: spec.padding[0] }, x), [0; 2]),
        };
        let weight = constant(step.path, "weight", self.weight.tensor());
        let (out_nc, in_nc, ..) = self.weight.tensor().dims4()?;
        if graph.channels(x) != in_nc {
            bail!("{}: a convolution of {in_nc} channels does not take {}", step.path, graph.channels(x))
        }
        let bias = bias(step.path, fused, &self.bias);
        let conv = Operator::Conv { weight, bias, stride: spec.stride, padding, groups: 1 };
        let y = graph.push(step.path, conv, &[x], out_nc);
        Ok(graph.activated(step, y))
    }

    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        let spec = self.spec(pass.fused, pass.ctx.math);
        match record.open()? {
            Kept::Planes { x, hw } => {
                let x = x.tensor(pass)?;
                let buffers = ConvGradBuffers::new(&self.weight, &self.bias, pass.fused.bias, x.as_ref())?;
                k::conv::conv2d_backward(dy, &self.weight.weight, &spec, buffers.grads(pass.input.then_some(hw)))
            }
            Kept::Labels(labels) => {
                let train = pass.trains();
                let weight = train.then(|| self.weight.accumulator()).transpose()?;
                let bias = self.bias.as_ref().filter(|_| pass.fused.bias && train);
                let bias = bias.map(Param::accumulator).transpose()?;
                let grads = OneHotGrads { rest: pass.input, weight: weight.as_ref(), bias: bias.as_ref() };
                k::onehot::onehot_conv2d_backward(dy, &labels, &self.weight.weight, &spec, grads)
            }
        }
    }

    fn drops_bias(&self) -> bool {
        true
    }

    fn jvp(&self, (x, dx): (Tensor, Tensor), pass: &Jvp<'_>) -> Result<(Tensor, Tensor)> {
        if let Some(pad) = pass.fused.pad {
            bail!("{}: second derivatives are there for zero padding, not for {pad:?}", pass.path)
        }
        let bias = self.bias.clone().filter(|_| pass.fused.bias);
        let linear = Conv { bias: None, ..self.clone() };
        Ok((pass.run(Conv { bias, ..self.clone() }, &x)?, pass.run(linear, &dx)?))
    }
}
