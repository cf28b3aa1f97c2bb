//! Training steps that are captured as a CUDA graph once and then launched as a whole.
//!
//! A step of small images is some thousand short kernels, which the host cannot ask for as fast as the device does them. A
//! CUDA graph asks for all at once. A method opts in by [`Method::graph_key`]: once batches of one shape have come with
//! one key often enough in a row, one call of `step` is captured instead of being done, and launched then, and for every
//! further batch of that shape with that key. Where an update is made of several micro-batches, the call for one of them is captured,
//! of two passes the second; the updates are not part of it.
//!
//! What differs from step to step is brought to fixed addresses before each launch: the batch, the key of the dropout masks,
//! the numbers of the optimizers, the choices of the pools. What a step changes on the host (counts of updates and batches, the
//! pools' filling) is counted on as often. What the step returns lies at a fixed address as well, and is copied.

use crate::error::not_captured;
use crate::method::{Losses, Method, MethodState, Panels, StepContext};
use crate::{DeviceConfig, Error, Result, TrainConfig};
use candle_core::{DType, Device, Tensor};
use gan_data::Batch;
use gan_kernels::graph::{Capturable, Graph, GraphCache, GraphParams, with_dropout_key};
use gan_layers::{Counter, ParamStore};
use gan_rng::Purpose;
use std::cell::RefCell;

/// The method, with its steps captured if `train` wants it, the method has a key for them and the device is CUDA's. Its
/// results are the same. No other thread may use the device while a step is captured.
pub fn capture_steps(method: Box<dyn Method>, train: &TrainConfig, device_config: &DeviceConfig) -> Box<dyn Method> {
    if !train.cuda_graphs || !device_config.device.is_cuda() {
        return method;
    }
    let device = device_config.device.clone();
    Box::new(CapturingMethod { method, device, cache: RefCell::default(), returned: (0, DType::F32) })
}

struct CapturingMethod {
    method: Box<dyn Method>,
    device: Device,
    cache: RefCell<GraphCache<StepKey, CapturedStep>>,
    /// How many losses the last step returned that was not launched, and their type.
    returned: (usize, DType),
}

/// What steps have in common that issue identical kernels.
#[derive(PartialEq)]
struct StepKey {
    /// The method's own.
    method: u64,
    /// The bits of the weight with which gradients are gathered: the host computes it.
    weight: Option<u64>,
    /// Shape and element type of each tensor of the batch.
    tensors: [Option<(Vec<usize>, DType)>; 3],
}

fn parts(batch: &Batch) -> [Option<&Tensor>; 3] {
    [Some(&batch.a), batch.b.as_ref(), batch.inst.as_ref()]
}

/// A captured step and all that it reads or leaves at fixed addresses. (Networks, optimizers and pools are the method's, which
/// lives as long.)
struct CapturedStep {
    graph: Graph,
    batch: Batch,
    dropout: GraphParams,
    names: Vec<&'static str>,
    /// The losses, in this order.
    losses: Tensor,
    /// Counters that a step advances, and by how much.
    counters: Vec<(Counter, u64)>,
}

/// One step that is to be done.
struct Step<'a> {
    method: &'a mut dyn Method,
    device: &'a Device,
    /// Of a step of several micro-batches.
    pass: Option<usize>,
    batch: &'a Batch,
    cx: &'a StepContext,
    returned: &'a mut (usize, DType),
}

/// A step of one batch, or a pass of one of its micro-batches.
fn issue(method: &mut dyn Method, pass: Option<usize>, batch: &Batch, cx: &StepContext) -> Result<Losses> {
    match pass {
        Some(pass) => method.pass(pass, batch, cx),
        None => method.step(batch, cx),
    }
}

impl Capturable for Step<'_> {
    type Key = StepKey;
    type Captured = CapturedStep;
    type Output = Losses;
    type Error = Error;
    /// Updates and pools are counted before the launch.
    const REPEATABLE: bool = false;

    fn run(&mut self) -> Result<Losses> {
        let losses = issue(&mut *self.method, self.pass, self.batch, self.cx)?;
        *self.returned = (losses.len(), losses.first().map_or(DType::F32, |(_, value)| value.dtype()));
        Ok(losses)
    }

    fn capture(&mut self) -> Result<CapturedStep> {
        let copy = |t: &Tensor| t.force_contiguous();
        let batch = Batch {
            a: copy(&self.batch.a)?,
            b: self.batch.b.as_ref().map(copy).transpose()?,
            inst: self.batch.inst.as_ref().map(copy).transpose()?,
            names: self.batch.names.clone(),
        };
        let dropout = GraphParams::new(self.device, 1)?;
        let counters: Vec<Counter> = self.stores(|store| store.counters().collect::<Vec<_>>()).concat();
        let before: Vec<u64> = counters.iter().map(Counter::get).collect();
        // Copies that layers keep of their weights are to be made by the captured step, even if they exist already.
        self.stores(ParamStore::touch);
        let captured = self.capture_graph(&batch, &dropout);
        // Those that the captured step makes are not there yet.
        self.stores(ParamStore::touch);
        let advanced = counters.into_iter().zip(before).map(|(counter, before)| {
            let by = counter.get() - before;
            counter.set(before);
            (counter, by)
        });
        let counters = advanced.collect();
        let (graph, names, losses) = captured?;
        Ok(CapturedStep { graph, batch, dropout, names, losses, counters })
    }

    fn launch(&mut self, captured: &CapturedStep) -> Result<Losses> {
        for (to, from) in parts(&captured.batch).into_iter().zip(parts(self.batch)) {
            if let (Some(to), Some(from)) = (to, from) {
                to.slice_set(&from.contiguous()?, 0, 0)?;
            }
        }
        let [low, high] = self.cx.key(Purpose::Dropout).words();
        captured.dropout.write(&[u64::from(low) | u64::from(high) << 32])?;
        let parts = self.method.state();
        for (_, optimizer, _) in parts.optimizers {
            optimizer.before_launch(self.cx.lr)?;
        }
        for (_, pool) in parts.pools {
            pool.before_launch(self.cx.key(Purpose::Pool))?;
        }
        captured.graph.launch()?;
        captured.counters.iter().for_each(|(counter, by)| counter.set(counter.get() + by));
        let losses = captured.losses.copy()?;
        captured.names.iter().enumerate().map(|(i, name)| Ok((*name, losses.get(i)?))).collect()
    }
}

impl Step<'_> {
    /// The graph of a step with this batch, the names of its losses, and where it leaves them.
    fn capture_graph(&mut self, batch: &Batch, dropout: &GraphParams) -> Result<(Graph, Vec<&'static str>, Tensor)> {
        let Step { method, device, pass, cx, returned, .. } = self;
        let (count, dtype) = **returned;
        let losses = Tensor::zeros(count, dtype, device)?;
        let parts = method.state();
        for (_, optimizer, _) in parts.optimizers {
            optimizer.begin_capture()?;
        }
        for (_, pool) in parts.pools {
            pool.begin_capture(device, cx.key(Purpose::Pool))?;
        }
        let step = || -> Result<Vec<&'static str>> {
            let step = issue(&mut **method, *pass, batch, cx)?;
            if step.len() != count {
                return Err(not_captured("the step returns another number of losses than before"));
            }
            for (i, (_, value)) in step.iter().enumerate() {
                losses.slice_set(&value.reshape(1)?, 0, i)?;
            }
            Ok(step.iter().map(|(name, _)| *name).collect())
        };
        let captured = with_dropout_key(cx.key(Purpose::Dropout), dropout, || Graph::capture(device, step));
        let parts = method.state();
        parts.optimizers.into_iter().for_each(|(_, optimizer, _)| optimizer.end_capture());
        parts.pools.into_iter().for_each(|(_, pool)| pool.end_capture());
        let (graph, names) = captured?;
        Ok((graph, names, losses))
    }

    /// What `of` says of each store of parameters.
    fn stores<T>(&mut self, of: impl Fn(&ParamStore) -> T) -> Vec<T> {
        self.method.state().optimizers.into_iter().map(|(_, optimizer, _)| of(optimizer.store())).collect()
    }
}

impl CapturingMethod {
    fn call(&mut self, pass: Option<usize>, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let CapturingMethod { method, device, cache, returned } = self;
        let cache = cache.get_mut();
        // There is one graph: that of the pass in which the generators are trained.
        let last = pass.is_none_or(|pass| Some(pass + 1) == method.passes());
        let Some(key) = method.graph_key(cx).filter(|_| last) else {
            return cache.call_uncaptured(device, || issue(&mut **method, pass, batch, cx));
        };
        if !method.state().pools.iter().all(|(_, pool)| pool.can_launch()) {
            cache.invalidate();
        }
        let tensors = parts(batch).map(|t| t.map(|t| (t.dims().to_vec(), t.dtype())));
        let weight = method.state().optimizers.iter().find_map(|(_, optimizer, _)| optimizer.gathering());
        let key = StepKey { method: key, weight: weight.map(f64::to_bits), tensors };
        cache.call(device, key, &mut Step { method: &mut **method, device, pass, batch, cx, returned })
    }
}

impl Method for CapturingMethod {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.call(None, batch, cx)
    }

    fn passes(&self) -> Option<usize> {
        self.method.passes()
    }

    fn pass(&mut self, pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.call(Some(pass), batch, cx)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        self.make_room();
        self.method.preview(batch)
    }

    fn make_room(&self) {
        self.cache.borrow_mut().make_room(&self.device);
    }

    fn state(&mut self) -> MethodState<'_> {
        self.method.state()
    }

    fn graph_key(&self, cx: &StepContext) -> Option<u64> {
        self.method.graph_key(cx)
    }

    fn take_warning(&mut self) -> Option<String> {
        let failure = self.cache.get_mut().take_failure();
        let note = failure.map(|why| format!("training steps are done without CUDA graphs: {why}"));
        note.or_else(|| self.method.take_warning())
    }

    fn startup_notes(&self) -> &[String] {
        self.method.startup_notes()
    }
}
