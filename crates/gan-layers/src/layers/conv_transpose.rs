//! Transposed convolution.

use super::conv::ConvSpec;
use crate::bands::{Dataflow, Traced, Value};
use crate::conv_grads::{ConvGradBuffers, ConvInput};
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::operators::{Operator, OperatorGraph, OperatorValue, bias, constant};
use crate::plan::{Plan, Step};
use crate::summary::Rows;
use crate::{Builder, Layer, Param, Role, SequenceBuilder};
use candle_core::{Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::bands::BandedConv;
use gan_kernels::conv::{ConvTranspose2d, Joined};
use gan_kernels::math_mode::MathMode;

/// A transposed convolution, `[N, C_in, H, W]` → `[N, C_out, H', W']`.
#[derive(Debug, Clone)]
pub struct ConvTranspose {
    /// `[C_in, C_out, k, k]`.
    pub weight: Param,
    /// `[C_out]`.
    pub bias: Option<Param>,
    /// Step.
    pub stride: usize,
    /// Rows and columns cut from each side.
    pub padding: usize,
    /// Rows and columns added at the bottom and right.
    pub output_padding: usize,
}

impl SequenceBuilder<'_> {
    /// Transposed convolution.
    ///
    /// # Errors
    /// The source has no such parameters.
    pub fn conv_transpose(self, s: ConvSpec, output_padding: usize) -> Result<Self> {
        let layer = ConvTranspose::build(&self.here(), s, output_padding)?;
        Ok(self.push(Layer::new(layer)))
    }
}

impl ConvTranspose {
    fn build(at: &Builder<'_>, s: ConvSpec, output_padding: usize) -> Result<Self> {
        let weight = at.param("weight", &[s.in_nc, s.out_nc, s.kernel, s.kernel], Role::ConvWeight)?;
        // PyTorch takes dimension 1 as "in" for transposed weights as well.
        let fan_in = s.out_nc * s.kernel * s.kernel;
        let bias = s.bias.then(|| at.param("bias", &[s.out_nc], Role::ConvBias { fan_in })).transpose()?;
        Ok(ConvTranspose { weight, bias, stride: s.stride, padding: s.padding, output_padding })
    }

    pub(super) fn spec(&self, math: MathMode) -> ConvTranspose2d {
        ConvTranspose2d { stride: self.stride, padding: self.padding, output_padding: self.output_padding, math }
    }
}

/// What it keeps: the input, and its height and width.
struct Kept {
    x: ConvInput,
    hw: (usize, usize),
}

impl Kind for ConvTranspose {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        let (in_nc, out, kh, kw) = self.weight.tensor().dims4()?;
        let macs = [out, in_nc, kh, kw, to.height, to.width]; // every input pixel meets the whole kernel once
        (to.height, to.width) = self.spec(MathMode::default()).output_hw((kh, kw), (to.height, to.width))?;
        to.channels = out;
        to.row(self, path, format!("ConvT {kh}x{kw} s{}", self.stride), &macs);
        Ok(())
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        f(&self.weight);
        self.bias.iter().for_each(f);
    }
}

impl Op for ConvTranspose {
    fn applies(&self, _: Act) -> bool {
        true
    }

    fn drops_bias(&self) -> bool {
        true
    }

    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let bias = pass.fused.used(&self.bias);
        let y = k::conv::conv_transpose2d_act(x, &self.weight.weight, bias, &self.spec(pass.ctx.math), pass.fused.act)?;
        let (_, _, h, w) = x.dims4()?;
        Ok((y, pass.record(|| Kept { x: ConvInput::of(x, pass), hw: (h, w) })))
    }

    fn reads_joined(&self) -> bool {
        true
    }

    fn forward_joined(&self, x: &Joined<'_>, pass: &Forward<'_>) -> Result<Tensor> {
        let (bias, spec) = (pass.fused.used(&self.bias), self.spec(pass.ctx.math));
        k::conv::conv_transpose2d_joined(x, &self.weight.weight, bias, &spec, pass.fused.act)
    }

    fn trace<'a>(&'a self, x: Value, at: &Traced<'a>, flow: &mut Dataflow<'a>) -> Result<Option<Value>> {
        let fused = at.step.fused;
        let spec = self.spec(flow.ctx().math);
        let conv = BandedConv::conv_transpose2d(flow.dims(x), self.weight.tensor(), &spec)?;
        Ok(Some(flow.convolve(x, conv, &self.weight.weight, fused.used(&self.bias), fused.act)))
    }

    fn operators(&self, x: OperatorValue, step: &Step<'_>, graph: &mut OperatorGraph) -> Result<OperatorValue> {
        let weight = constant(step.path, "weight", self.weight.tensor());
        let (in_nc, out_nc, ..) = self.weight.tensor().dims4()?;
        if graph.channels(x) != in_nc {
            bail!("{}: a transposed convolution of {in_nc} channels does not take {}", step.path, graph.channels(x))
        }
        let conv = Operator::ConvTranspose {
            weight,
            bias: bias(step.path, &step.fused, &self.bias),
            stride: self.stride,
            padding: self.padding,
            output_padding: self.output_padding,
            groups: 1,
        };
        let y = graph.push(step.path, conv, &[x], out_nc);
        Ok(graph.activated(step, y))
    }

    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept { x, hw } = record.open()?;
        let x = x.tensor(pass)?;
        let buffers = ConvGradBuffers::new(&self.weight, &self.bias, pass.fused.bias, x.as_ref())?;
        let grads = buffers.grads(pass.input.then_some(hw));
        k::conv::conv_transpose2d_backward(dy, &self.weight.weight, &self.spec(pass.ctx.math), grads)
    }
}
