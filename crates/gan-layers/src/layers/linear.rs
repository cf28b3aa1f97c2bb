//! Linear layer.

use crate::conv_grads::{ConvGradBuffers, ConvInput};
use crate::kind::{Backward, Forward, Kind, Op, Record};
use crate::plan::Plan;
use crate::summary::Rows;
use crate::{Builder, Ctx, Layer, Param, Role, SequenceBuilder};
use candle_core::{Result, Tensor, bail};
use gan_kernels as k;
use gan_kernels::act::Act;
use gan_kernels::conv::Conv2d;
use gan_kernels::weight::Weight;

/// `y = x Wᵀ + b` on rows, `[R, C_in]` → `[R, C_out]` or `[R, C_in, 1, 1]` → `[R, C_out, 1, 1]`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[C_out, C_in]` in the state dict; held as a view `[C_out, C_in, 1, 1]`.
    pub weight: Param,
    /// `[C_out]`.
    pub bias: Option<Param>,
}

/// One pixel meets one kernel: the rows are the pixels of one image.
pub(super) fn pointwise(ctx: &Ctx) -> Conv2d {
    Conv2d { math: ctx.math, ..Conv2d::default() }
}

impl SequenceBuilder<'_> {
    /// Linear layer from `in_nc` to `out_nc` features.
    ///
    /// # Errors
    /// The source has no such parameters.
    pub fn linear(self, in_nc: usize, out_nc: usize, bias: bool) -> Result<Self> {
        let layer = Linear::build(&self.here(), in_nc, out_nc, bias)?;
        Ok(self.push(Layer::new(layer)))
    }
}

impl Linear {
    fn build(at: &Builder<'_>, in_nc: usize, out_nc: usize, bias: bool) -> Result<Self> {
        let Param { weight, grad } = at.param("weight", &[out_nc, in_nc], Role::ConvWeight)?;
        // Not `reshape`, which would copy the values of a network that has only shapes.
        let kernel = weight.tensor().unsqueeze(2)?.unsqueeze(3)?;
        let weight = Param { weight: Weight::new(kernel, weight.version().clone()), grad };
        let bias = bias.then(|| at.param("bias", &[out_nc], Role::ConvBias { fan_in: in_nc })).transpose()?;
        Ok(Linear { weight, bias })
    }

    /// Rows `[R, C]` or `[R, C, 1, 1]` as one image `[1, C, 1, R]`: the layout that makes the layer one matrix multiplication.
    fn image(x: &Tensor) -> Result<Tensor> {
        match *x.dims() {
            [r, c] | [r, c, 1, 1] => x.reshape((r, c))?.t()?.contiguous()?.reshape((1, c, 1, r)),
            _ => bail!("a linear layer takes rows [R, C] or [R, C, 1, 1], not {:?}", x.dims()),
        }
    }

    /// The inverse, to as many dimensions as `like` has.
    fn rows(y: &Tensor, like: &Tensor) -> Result<Tensor> {
        let (_, c, _, r) = y.dims4()?;
        let rows = y.contiguous()?.reshape((c, r))?.t()?.contiguous()?;
        if like.rank() == 4 { rows.reshape((r, c, 1, 1)) } else { Ok(rows) }
    }
}

/// What it keeps: the input as an image.
struct Kept(ConvInput);

impl Kind for Linear {
    fn plan<'a>(&'a self, path: &'a str, plan: &mut Plan<'a>) {
        plan.step(self, path);
    }

    fn summarize(&self, path: &str, to: &mut Rows<'_>) -> Result<()> {
        let (out, in_nc, ..) = self.weight.tensor().dims4()?;
        if (to.channels, to.height, to.width) != (in_nc, 1, 1) {
            let size = (to.channels, to.height, to.width);
            bail!("{path}: a linear layer of {in_nc} features does not take {size:?}")
        }
        to.channels = out;
        to.row(self, path, "Linear".to_string(), &[out, in_nc]);
        Ok(())
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        f(&self.weight);
        self.bias.iter().for_each(f);
    }
}

impl Op for Linear {
    fn applies(&self, _: Act) -> bool {
        true
    }

    fn forward(&self, x: &Tensor, pass: &Forward<'_>) -> Result<(Tensor, Option<Record>)> {
        let image = Self::image(x)?;
        let bias = pass.fused.used(&self.bias);
        let y = k::conv::conv2d_act(&image, &self.weight.weight, bias, &pointwise(pass.ctx), pass.fused.act)?;
        Ok((Self::rows(&y, x)?, pass.record(|| Kept(ConvInput::kept(&image, pass)))))
    }

    fn backward(&self, record: Record, dy: &Tensor, pass: &Backward<'_>) -> Result<Option<Tensor>> {
        let Kept(x) = record.open()?;
        let x = x.tensor(pass)?;
        let image = Self::image(dy)?;
        let buffers = ConvGradBuffers::new(&self.weight, &self.bias, pass.fused.bias, x.as_ref())?;
        let grads = buffers.grads(pass.input.then_some((1, image.dim(3)?)));
        let dx = k::conv::conv2d_backward(&image, &self.weight.weight, &pointwise(pass.ctx), grads)?;
        dx.map(|dx| Self::rows(&dx, dy)).transpose()
    }
}
