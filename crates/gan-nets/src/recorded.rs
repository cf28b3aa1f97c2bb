//! Translations that are recorded once and then launched as a whole.
//!
//! A translation of a small picture is some hundred short kernels, which a CUDA device does faster than the host asks for
//! them. A graph asks for all at once: the input is copied to where the graph reads it, the graph is launched, and what it
//! leaves is copied. Weights stay as they are, so the copies that layers keep of them are there before anything is recorded.

use crate::{Generator, GeneratorConfig};
use candle_core::{DType, Result, Shape, Tensor};
use gan_kernels::{Graph, OneHot, deterministic, graphs_leave_room, rehearse, tf32};
use gan_layers::{Ctx, Input, NormMode, Weights};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

/// Inputs of one kind in a row that are translated operator by operator before the next one is recorded: everything that
/// is made when it is first needed is there then.
const REHEARSALS: u32 = 2;
/// The same while inputs of another kind are recorded, which is thrown away then.
const PATIENCE: u32 = 8;

/// A [`Generator`] for translation with its context. On CUDA devices the third input in a row of one shape is recorded as
/// a graph, which then serves all inputs of that shape; others are translated operator by operator. Results are the same
/// bits. No other thread may use the device while an input is recorded.
///
/// A graph's working memory is its own until the generator is dropped, inputs of another shape are recorded instead, or
/// memory is scarce. What cannot be recorded is translated all the same: on the CPU, with weights that are being
/// trained, where gradients are wanted, and after an attempt that failed.
#[derive(Debug)]
pub struct RecordedGenerator {
    generator: Generator,
    ctx: Ctx,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nothing is recorded from now on.
    off: bool,
    recorded: Option<Recorded>,
    /// What came last, unless it is recorded.
    last: Option<Last>,
}

/// Inputs of one kind that came in a row.
#[derive(Debug)]
struct Last {
    kind: Kind,
    count: u32,
    /// The last one was done in a way that the next one can be recorded.
    rehearsed: bool,
    /// What became of them.
    result: (Shape, DType),
}

/// What inputs have in common that ask the device for the same operations.
#[derive(Debug, PartialEq)]
struct Kind {
    /// Shape and element type of the tensors.
    tensors: [Option<(Vec<usize>, DType)>; 2],
    /// Number of classes and type of their planes, of labels.
    labels: Option<(usize, DType)>,
    /// The program's settings for products.
    products: (bool, bool),
    /// Small uploads of candle's operators are kept by the thread that made them.
    thread: ThreadId,
}

/// A recorded translation and what it reads and leaves at fixed addresses.
#[derive(Debug)]
struct Recorded {
    graph: Graph,
    kind: Kind,
    input: Fixed,
    output: Tensor,
}

#[derive(Debug)]
enum Fixed {
    Planes(Tensor),
    Labels(OneHot),
}

impl RecordedGenerator {
    /// Of a generator whose weights do not change any more.
    pub fn new(generator: Generator, ctx: Ctx) -> Self {
        let updates = matches!(ctx.norm, NormMode::Batch { update: true });
        let off = updates || ctx.weights == Weights::Train || generator.is_trainable();
        RecordedGenerator { generator, ctx, state: Mutex::new(State { off, ..State::default() }) }
    }

    /// The same without ever recording anything.
    pub fn never(generator: Generator, ctx: Ctx) -> Self {
        let state = State { off: true, ..State::default() };
        RecordedGenerator { generator, ctx, state: Mutex::new(state) }
    }

    /// What the generator was built from.
    pub fn config(&self) -> &GeneratorConfig {
        self.generator.config()
    }

    /// Whether inputs of some shape are recorded now.
    pub fn is_recorded(&self) -> bool {
        self.state().recorded.is_some()
    }

    /// `[N, input_nc, H, W]`, a tensor or the planes of labels → `[N, output_nc, H, W]` in [-1, 1].
    ///
    /// # Errors
    /// Those of [`Generator::forward`].
    pub fn forward<'a>(&self, x: impl Into<Input<'a>>) -> Result<Tensor> {
        let x = x.into();
        if !x.device().is_cuda() || parts(x).into_iter().flatten().any(Tensor::track_op) {
            return self.generator.forward(x, &self.ctx);
        }
        let mut state = self.state();
        if state.off {
            drop(state);
            return self.generator.forward(x, &self.ctx);
        }
        let kind = Kind::of(x);
        match &state.recorded {
            Some(recorded) if recorded.kind == kind => {
                if let Ok(y) = recorded.launch(x) {
                    state.last = None;
                    return Ok(y);
                }
                *state = State { off: true, ..State::default() };
                return self.generator.forward(x, &self.ctx);
            }
            // Other work finds its memory beside the graph's, or instead of it.
            Some(_) if !graphs_leave_room(x.device()).unwrap_or(true) => state.recorded = None,
            _ => {}
        }
        let last = state.last.take().filter(|last| last.kind == kind);
        let count = 1 + last.as_ref().map_or(0, |last| last.count);
        if let Some(last) = last.filter(|last| last.rehearsed) {
            // Two graphs would take twice the memory.
            state.recorded = None;
            let recorded = self.record(x, last);
            if let Ok((recorded, y)) = recorded.and_then(|recorded| recorded.launch(x).map(|y| (recorded, y))) {
                state.recorded = Some(recorded);
                return Ok(y);
            }
            state.off = true;
            return self.generator.forward(x, &self.ctx);
        }
        let rehearsed = count >= if state.recorded.is_some() { PATIENCE } else { REHEARSALS };
        let y = if rehearsed {
            rehearse(x.device(), || self.generator.forward(x, &self.ctx))
        } else {
            self.generator.forward(x, &self.ctx)
        }?;
        state.last = Some(Last { kind, count, rehearsed, result: (y.shape().clone(), y.dtype()) });
        Ok(y)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whatever panicked left a graph that is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the translation of such an input; nothing is translated yet.
    fn record(&self, x: Input<'_>, Last { kind, result: (shape, dtype), .. }: Last) -> Result<Recorded> {
        let device = x.device();
        let input = Fixed::copy(x)?;
        let output = Tensor::zeros(shape, dtype, device)?;
        let translate = || output.slice_set(&self.generator.forward(&input, &self.ctx)?.contiguous()?, 0, 0);
        let (graph, ()) = Graph::capture(device, translate)?;
        Ok(Recorded { graph, kind, input, output })
    }
}

impl Recorded {
    fn launch(&self, x: Input<'_>) -> Result<Tensor> {
        for (to, from) in parts((&self.input).into()).into_iter().zip(parts(x)) {
            if let (Some(to), Some(from)) = (to, from) {
                to.slice_set(&from.contiguous()?, 0, 0)?;
            }
        }
        self.graph.launch()?;
        self.output.copy()
    }
}

/// The tensors of an input.
fn parts(x: Input<'_>) -> [Option<&Tensor>; 2] {
    match x {
        Input::Planes(x) => [Some(x), None],
        Input::Labels(x) => [Some(x.labels()), x.rest()],
    }
}

impl Kind {
    fn of(x: Input<'_>) -> Self {
        let labels = match x {
            Input::Planes(_) => None,
            Input::Labels(x) => Some((x.classes(), x.dtype())),
        };
        Kind {
            tensors: parts(x).map(|t| t.map(|t| (t.dims().to_vec(), t.dtype()))),
            labels,
            products: (tf32(), deterministic()),
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
        let recorded = RecordedGenerator::new(generator, Ctx::translate());
        assert_eq!(recorded.config(), &config);
        for _ in 0..4 {
            assert_eq!(values(recorded.forward(&x).unwrap()), expected);
        }
        assert!(!recorded.is_recorded());
    }
}
