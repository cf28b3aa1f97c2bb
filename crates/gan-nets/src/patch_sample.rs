//! CUT's feature head: what becomes of features at single positions before they are compared.

use candle_core::{Result, Tensor};
use gan_layers::{Act, Builder, Ctx, Precision, Sequence, SequenceBuilder, custom_grad};
use gan_range::Range;
use serde::{Deserialize, Serialize};

use crate::bounds::{self, within};

/// The kind of a feature head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetF {
    /// A two-layer perceptron for each layer of features.
    #[default]
    MlpSample,
    /// The features as they are.
    Sample,
}

/// `PatchSampleF` of contrastive-unpaired-translation (Park et al., 2020), whose keys it has: `mlp_I.0`, `mlp_I.2`.
///
/// * input: rows `[R, widths[I]]` of each layer of features
/// * output: rows of length 1, `[R, nc]`, or `[R, widths[I]]` without perceptrons
#[derive(Debug, Clone, PartialEq)]
pub struct PatchSampleConfig {
    /// Kind.
    pub kind: NetF,
    /// Channels of each layer of features.
    pub widths: Vec<usize>,
    /// Width of the perceptrons.
    pub nc: usize,
}

/// The head.
#[derive(Debug, Clone)]
pub struct PatchSample {
    /// One for each layer; none without perceptrons.
    mlps: Vec<Sequence>,
}

/// What a row's length is divided by is larger by this.
const EPS: f64 = 1e-7;

impl PatchSampleConfig {
    /// The range of its width.
    pub const NC: Range = bounds::NETF_NC;

    /// Writes the network down.
    ///
    /// # Errors
    /// For a number out of its range, and those of the builder's source.
    pub fn build<'a>(&self, at: impl Into<Builder<'a>>) -> Result<PatchSample> {
        within(&[(bounds::NETF_NC, self.nc)])?;
        let at = at.into();
        let mlp = |(i, &width): (usize, &usize)| {
            let s = SequenceBuilder::new(at.pp(format!("mlp_{i}"))).linear(width, self.nc, true)?;
            Ok(s.act(Act::Relu).linear(self.nc, self.nc, true)?.finish())
        };
        let mlps = match self.kind {
            NetF::MlpSample => self.widths.iter().enumerate().map(mlp).collect::<Result<_>>()?,
            NetF::Sample => Vec::new(),
        };
        Ok(PatchSample { mlps })
    }
}

impl PatchSample {
    /// The rows of each layer, in the order of the layers. Always computed in the element type of the rows.
    ///
    /// # Errors
    /// Rows of another width than the layer's; those of [`Sequence::forward`].
    pub fn forward(&self, rows: &[Tensor], ctx: &Ctx) -> Result<Vec<Tensor>> {
        let ctx = Ctx { precision: Precision::F32, ..*ctx };
        let head = |(i, rows): (usize, &Tensor)| match self.mlps.get(i) {
            Some(mlp) => unit_rows(&mlp.forward(rows, &ctx)?),
            None => unit_rows(rows),
        };
        rows.iter().enumerate().map(head).collect()
    }
}

/// Divides each row of `[R, C]` by its length.
fn unit_rows(x: &Tensor) -> Result<Tensor> {
    let plain = x.detach();
    let length = plain.sqr()?.sum_keepdim(1)?.sqrt()?;
    let inverse = (&length + EPS)?.recip()?;
    let y = plain.broadcast_mul(&inverse)?;
    // A row of zeros has no direction, and no gradient along it.
    let along = (&length + 1e-30)?.recip()?;
    let unit = y.clone();
    custom_grad(x, y, move |dy| {
        let radial = (&unit * dy)?.sum_keepdim(1)?.mul(&along)?;
        dy.broadcast_mul(&inverse)? - unit.broadcast_mul(&radial)?
    })
}
