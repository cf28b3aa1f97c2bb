//! Discriminator networks: stages at one scale or several.

use candle_core::{Result, Tensor};
use gan_layers::{Ctx, OperatorGraph, OperatorValue, Sequence, Summary, avg_pool3s2};

/// A discriminator network: stages at one scale or several, on a pyramid of the input.
#[derive(Debug, Clone)]
pub struct Discriminator {
    /// The stages of each scale, finest first.
    pub(crate) scales: Vec<Vec<Sequence>>,
}

impl Discriminator {
    /// `[N, C, H, W]` → every stage's output: scale (finest first), then stage; a scale's last is its score map.
    ///
    /// # Errors
    /// `x` has another number of channels than the network was built for, or is too small for a layer; those of
    /// [`Sequence::forward`].
    pub fn forward(&self, x: &Tensor, ctx: &Ctx) -> Result<Vec<Vec<Tensor>>> {
        self.on_each_scale(x, |stages, x| run_stages(stages, x, ctx))
    }

    /// As [`forward`](Self::forward), with no stage's output but the score maps: less memory and work where no features are matched.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn scores(&self, x: &Tensor, ctx: &Ctx) -> Result<Vec<Vec<Tensor>>> {
        self.on_each_scale(x, |stages, x| Ok(vec![score(stages, x, ctx)?]))
    }

    /// The derivative of the score maps at `x` along `dx`, both `[N, C, H, W]`; finest scale first. Its backward pass gives second
    /// derivatives ([`Sequence::jvp`]): with `dx` the gradient of a penalty by the gradient of the scores, those of the penalty.
    ///
    /// # Errors
    /// As [`forward`](Self::forward); `dx` has another shape than `x`.
    pub fn scores_jvp(&self, x: &Tensor, dx: &Tensor, ctx: &Ctx) -> Result<Vec<Tensor>> {
        let (mut x, mut dx) = (x.clone(), dx.clone());
        let mut out = Vec::new();
        for (i, stages) in self.scales.iter().enumerate() {
            if i > 0 {
                (x, dx) = (avg_pool3s2(&x)?, avg_pool3s2(&dx)?);
            }
            out.push(Sequence::chain(stages).jvp(&x, &dx, ctx)?.1);
        }
        Ok(out)
    }

    /// The operators of the network for inputs of so many channels, and its score maps among them, finest scale first.
    ///
    /// # Errors
    /// As [`OperatorGraph::new`] and [`OperatorGraph::apply`].
    pub fn operators(&self, channels: usize, ctx: &Ctx) -> Result<(OperatorGraph, Vec<OperatorValue>)> {
        let mut graph = OperatorGraph::new(channels, ctx)?;
        let mut x = graph.input();
        let mut scores = Vec::new();
        for (i, stages) in self.scales.iter().enumerate() {
            if i > 0 {
                x = graph.avg_pool3s2(&format!("pyramid.{}", i - 1), x);
            }
            scores.push(graph.apply(&Sequence::chain(stages), x)?);
        }
        Ok((graph, scores))
    }

    fn on_each_scale(
        &self,
        x: &Tensor,
        run: impl Fn(&[Sequence], &Tensor) -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Vec<Tensor>>> {
        let mut x = x.clone();
        let mut out = Vec::new();
        for (i, stages) in self.scales.iter().enumerate() {
            if i > 0 {
                x = avg_pool3s2(&x)?;
            }
            out.push(run(stages, &x)?);
        }
        Ok(out)
    }

    /// Layers, parameters and multiply-adds for inputs of these channels, height and width.
    ///
    /// # Errors
    /// A layer does not take the size that reaches it.
    pub fn summary(&self, input: (usize, usize, usize)) -> Result<Summary> {
        let mut summary = Summary::default();
        let (c, mut h, mut w) = input;
        for (i, stages) in self.scales.iter().enumerate() {
            if i > 0 {
                (h, w) = (h.div_ceil(2), w.div_ceil(2));
            }
            let mut at = (c, h, w);
            for stage in stages {
                at = summary.add(stage, at)?;
            }
        }
        Ok(summary)
    }
}

/// The score map of the finest scale `[N, 1, H', W']`, with frozen weights and batch statistics ([`Ctx::translate`]).
impl candle_nn::Module for Discriminator {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        score(&self.scales[0], x, &Ctx::translate())
    }
}

/// Runs stages as one sequence: the score map.
fn score(stages: &[Sequence], x: &Tensor, ctx: &Ctx) -> Result<Tensor> {
    Sequence::chain(stages).forward(x, ctx)
}

/// Runs stages one after the other and keeps each one's output.
fn run_stages(stages: &[Sequence], x: &Tensor, ctx: &Ctx) -> Result<Vec<Tensor>> {
    let mut out: Vec<Tensor> = Vec::new();
    for stage in stages {
        out.push(stage.forward(out.last().unwrap_or(x), ctx)?);
    }
    Ok(out)
}
