//! Translations that are captured as a CUDA graph once and then launched as a whole.
//!
//! A translation of a small image is some hundred short kernels, which a CUDA device does faster than the host asks for
//! them. A graph asks for all at once: the input is copied to where the graph reads it, the graph is launched, and what it
//! leaves is copied. Weights stay as they are, so the copies that layers keep of them are there before anything is captured.

use crate::{Generator, GeneratorConfig};
use candle_core::{DType, Error, Result, Shape, Tensor, bail};
use gan_kernels::dispatch::on_pool;
use gan_kernels::graph::{Capturable, Graph, GraphCache};
use gan_kernels::onehot::OneHot;
use gan_layers::bands::{Dataflow, Engine, RowSource, Value};
use gan_layers::{Ctx, Input, NormMode, Weights};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// A [`Generator`] for translation with its context. On CUDA devices the third input in a row of one shape is captured as
/// a graph, which then serves all inputs of that shape; others are translated operator by operator. Results are the same
/// bits. No other thread may use the device while an input is captured.
///
/// A graph's working memory is its own until the generator is dropped, inputs of another shape are captured instead, or
/// memory is scarce. What cannot be captured is translated all the same: on the CPU, with weights that are being
/// trained, where gradients are wanted, and after an attempt that failed.
#[derive(Debug)]
pub struct CapturedGenerator {
    generator: Generator,
    ctx: Ctx,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    cache: GraphCache<InputKey, CapturedForward>,
    /// What became of the last input that was not launched.
    returned: Option<(Shape, DType)>,
}

/// What inputs have in common that issue identical kernels.
#[derive(Debug, PartialEq)]
struct InputKey {
    /// Shape and element type of the tensors.
    tensors: [Option<(Vec<usize>, DType)>; 2],
    /// Number of classes and type of their planes, of labels.
    labels: Option<(usize, DType)>,
    /// Small uploads of candle's operators are kept by the thread that made them.
    thread: ThreadId,
}

/// A captured translation and what it reads and leaves at fixed addresses.
#[derive(Debug)]
struct CapturedForward {
    graph: Graph,
    input: Fixed,
    output: Tensor,
}

#[derive(Debug)]
enum Fixed {
    Planes(Tensor),
    Labels(OneHot),
}

impl CapturedGenerator {
    /// Of a generator whose weights do not change any more.
    pub fn new(generator: Generator, ctx: Ctx) -> Self {
        let updates = matches!(ctx.norm, NormMode::Batch { update: true });
        if updates || ctx.weights == Weights::Train || generator.is_trainable() {
            return CapturedGenerator::never(generator, ctx);
        }
        CapturedGenerator { generator, ctx, state: Mutex::default() }
    }

    /// The same without ever capturing anything.
    pub fn never(generator: Generator, ctx: Ctx) -> Self {
        let state = State { cache: GraphCache::off(), returned: None };
        CapturedGenerator { generator, ctx, state: Mutex::new(state) }
    }

    /// Translates with another context from now on.
    pub fn set_ctx(&mut self, ctx: Ctx) {
        if self.ctx == ctx {
            return;
        }
        self.ctx = ctx;
        // Masks and statistics of the old context are part of what was captured.
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !state.cache.is_off() {
            *state = State::default();
        }
    }

    /// What the generator was built from.
    pub fn config(&self) -> &GeneratorConfig {
        self.generator.config()
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// Whether there is a graph of some shape now.
    pub fn is_captured(&self) -> bool {
        self.state().cache.is_captured()
    }

    /// `[N, input_nc, H, W]`, a tensor or the planes of labels → `[N, output_nc, H, W]` in [-1, 1].
    ///
    /// # Errors
    /// Those of [`Generator::forward`].
    pub fn forward<'a>(&self, x: impl Into<Input<'a>>) -> Result<Tensor> {
        let x = x.into();
        if !x.device().is_cuda() {
            return on_pool(|| self.generator.forward(x, &self.ctx));
        }
        if parts(x).into_iter().flatten().any(Tensor::track_op) {
            return self.generator.forward(x, &self.ctx);
        }
        let mut state = self.state();
        if state.cache.is_off() {
            drop(state);
            return self.generator.forward(x, &self.ctx);
        }
        let State { cache, returned } = &mut *state;
        cache.call(x.device(), InputKey::of(x), &mut Forward { generator: self, x, returned })
    }

    /// As [`Generator::dataflow`], with the context of the translations.
    ///
    /// # Errors
    /// As [`Generator::dataflow`].
    pub fn dataflow<'a>(&'a self, x: impl Into<Input<'a>>) -> Result<(Dataflow<'a>, Value)> {
        self.generator.dataflow(x, &self.ctx)
    }

    /// As [`Generator::dataflow_by`], with the context of the translations.
    ///
    /// # Errors
    /// As [`Generator::dataflow_by`].
    pub fn dataflow_by<'a>(&'a self, x: impl Into<Input<'a>>, engine: Engine) -> Result<(Dataflow<'a>, Value)> {
        self.generator.dataflow_by(x, &self.ctx, engine)
    }

    /// As [`Generator::dataflow_over`], with the context of the translations.
    ///
    /// # Errors
    /// As [`Generator::dataflow_over`].
    pub fn dataflow_over<'a>(&'a self, source: &'a dyn RowSource, engine: Engine) -> Result<(Dataflow<'a>, Value)> {
        self.generator.dataflow_over(source, &self.ctx, engine)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panicked left a graph that is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One input that is to be translated.
struct Forward<'a> {
    generator: &'a CapturedGenerator,
    x: Input<'a>,
    returned: &'a mut Option<(Shape, DType)>,
}

impl Forward<'_> {
    fn forward(&self, x: Input<'_>) -> Result<Tensor> {
        self.generator.generator.forward(x, &self.generator.ctx)
    }
}

impl Capturable for Forward<'_> {
    type Key = InputKey;
    type Captured = CapturedForward;
    type Output = Tensor;
    type Error = Error;
    const REPEATABLE: bool = true;

    fn run(&mut self) -> Result<Tensor> {
        let y = self.forward(self.x)?;
        *self.returned = Some((y.shape().clone(), y.dtype()));
        Ok(y)
    }

    fn capture(&mut self) -> Result<CapturedForward> {
        let Some((shape, dtype)) = self.returned.take() else { bail!("no input of this kind was translated before") };
        let device = self.x.device();
        let input = Fixed::copy(self.x)?;
        let output = Tensor::zeros(shape, dtype, device)?;
        let translate = || output.slice_set(&self.forward((&input).into())?.contiguous()?, 0, 0);
        let (graph, ()) = Graph::capture(device, translate)?;
        Ok(CapturedForward { graph, input, output })
    }

    fn launch(&mut self, captured: &CapturedForward) -> Result<Tensor> {
        for (to, from) in parts((&captured.input).into()).into_iter().zip(parts(self.x)) {
            if let (Some(to), Some(from)) = (to, from) {
                to.slice_set(&from.contiguous()?, 0, 0)?;
            }
        }
        captured.graph.launch()?;
        captured.output.copy()
    }
}

/// The tensors of an input.
fn parts(x: Input<'_>) -> [Option<&Tensor>; 2] {
    match x {
        Input::Planes(x) => [Some(x), None],
        Input::Labels(x) => [Some(x.labels()), x.rest()],
    }
}

impl InputKey {
    fn of(x: Input<'_>) -> Self {
        let labels = match x {
            Input::Planes(_) => None,
            Input::Labels(x) => Some((x.classes(), x.dtype())),
        };
        InputKey {
            tensors: parts(x).map(|t| t.map(|t| (t.dims().to_vec(), t.dtype()))),
            labels,
            thread: std::thread::current().id(),
        }
    }
}

impl Fixed {
    fn copy(x: Input<'_>) -> Result<Self> {
        Ok(match x {
            Input::Planes(x) => Fixed::Planes(x.force_contiguous()?),
            Input::Labels(x) => {
                let rest = x.rest().map(Tensor::force_contiguous).transpose()?;
                Fixed::Labels(OneHot::new(&x.labels().force_contiguous()?, x.classes(), rest.as_ref(), x.dtype())?)
            }
        })
    }
}

impl<'a> From<&'a Fixed> for Input<'a> {
    fn from(x: &'a Fixed) -> Self {
        match x {
            Fixed::Planes(x) => x.into(),
            Fixed::Labels(x) => x.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Arch;
    use candle_nn::{VarBuilder, VarMap};

    #[test]
    fn on_the_cpu_it_is_the_generator() {
        let config = GeneratorConfig { arch: Arch::Resnet, ngf: 2, n_blocks: 1, ..GeneratorConfig::default() };
        let vb = VarBuilder::from_varmap(&VarMap::new(), DType::F32, &candle_core::Device::Cpu);
        let generator = config.build(vb).unwrap();
        let x = Tensor::zeros((1, 3, 8, 8), DType::F32, &candle_core::Device::Cpu).unwrap();
        let values = |y: Tensor| y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = values(generator.forward(&x, &Ctx::translate()).unwrap());
        let captured = CapturedGenerator::new(generator, Ctx::translate());
        assert_eq!(captured.config(), &config);
        for _ in 0..4 {
            assert_eq!(values(captured.forward(&x).unwrap()), expected);
        }
        assert!(!captured.is_captured());
    }
}
