//! Training steps that are recorded once and then launched as a whole.
//!
//! A step of small pictures is some thousand short kernels, which the host cannot ask for as fast as the device does them. A
//! CUDA graph asks for all at once. Nothing in a method knows of it: once batches of one shape have come by often enough,
//! one call of `step` is recorded instead of being done, and launched then, and for every further batch of that shape.
//!
//! What differs from step to step is brought to fixed addresses before each launch: the batch, the key of the dropout masks,
//! the numbers of the optimizers, the choices of the pools. What a step changes on the host (counts of updates and batches, the
//! pools' filling) is counted on as often. What the step returns lies at a fixed address as well, and is copied.

use crate::error::not_captured;
use crate::method::{Losses, Method, Panels, Parts, Place, StepCx};
use crate::{Result, TrainConfig};
use candle_core::{DType, Device, Tensor};
use gan_data::Batch;
use gan_kernels::{Graph, Words, graphs_leave_room, rehearse, with_dropout_key};
use gan_layers::{Counter, ParamStore};
use gan_rng::Purpose;
use std::cell::RefCell;

/// Steps of a kind that are done one by one before one is recorded: everything that is made when it is first needed is
/// there then.
const REHEARSALS: u32 = 2;
/// Kinds of steps that are counted; with more, batches come in too many shapes.
const KINDS: usize = 16;

/// The method, with its steps recorded if `train` wants it and the device is CUDA's; its results are the same. No other thread may
/// use the device while a step is recorded.
pub fn graphed(method: Box<dyn Method>, train: &TrainConfig, place: &Place) -> Box<dyn Method> {
    if !train.cuda_graphs || !place.device.is_cuda() {
        return method;
    }
    let device = place.device.clone();
    let state = RefCell::new(State::Rehearsing(Vec::new()));
    Box::new(Graphed { method, device, state, returned: (0, DType::F32), news: RefCell::default() })
}

struct Graphed {
    method: Box<dyn Method>,
    device: Device,
    state: RefCell<State>,
    /// How many losses the last step returned that was done by itself, and their type.
    returned: (usize, DType),
    news: RefCell<Option<String>>,
}

enum State {
    /// The kinds of steps so far, and how many there were of each.
    Rehearsing(Vec<(Kind, u32)>),
    /// One kind is recorded.
    Recorded(Box<Recorded>),
    /// Steps are done one by one.
    Off,
}

/// What steps have in common that ask for the same operations.
#[derive(Clone, PartialEq)]
struct Kind {
    phase: u64,
    /// Shape and element type of each tensor of the batch.
    tensors: Vec<Option<(Vec<usize>, DType)>>,
}

impl Kind {
    fn of(batch: &Batch, phase: u64) -> Self {
        let tensors = parts(batch).map(|t| t.map(|t| (t.dims().to_vec(), t.dtype()))).into();
        Kind { phase, tensors }
    }
}

fn parts(batch: &Batch) -> [Option<&Tensor>; 3] {
    [Some(&batch.a), batch.b.as_ref(), batch.inst.as_ref()]
}

/// A recorded step and all that it reads or leaves at fixed addresses. (Networks, optimizers and pools are the method's, which
/// lives as long.)
struct Recorded {
    graph: Graph,
    kind: Kind,
    batch: Batch,
    dropout: Words,
    names: Vec<&'static str>,
    /// The losses, in this order.
    losses: Tensor,
    /// Counters that a step advances, and by how much.
    counters: Vec<(Counter, u64)>,
}

impl Graphed {
    /// Counts a step of this kind, unless one is recorded; true if it is time to record it.
    fn is_rehearsed(&mut self, kind: &Kind) -> bool {
        let State::Rehearsing(kinds) = self.state.get_mut() else { return false };
        if let Some((_, count)) = kinds.iter_mut().find(|(known, _)| known == kind) {
            *count += 1;
            return *count > REHEARSALS;
        }
        if kinds.len() < KINDS {
            kinds.push((kind.clone(), 1));
        } else {
            self.give_up(&format!("batches come in more than {KINDS} shapes, and a graph serves one"));
        }
        false
    }

    fn give_up(&self, why: &str) {
        self.state.replace(State::Off);
        // What follows is for those who look for its origin.
        let why = why.lines().next().unwrap_or_default();
        self.news.replace(Some(format!("training steps are done without CUDA graphs: {why}")));
    }

    /// To be called before other work than the recorded step: without a graph its memory would have been enough.
    fn make_room(&self) {
        let recorded = matches!(*self.state.borrow(), State::Recorded(_));
        if recorded && !graphs_leave_room(&self.device).unwrap_or(true) {
            self.give_up("there is no memory for other work beside a recorded step");
        }
    }

    /// Records a step like this one. Nothing of it is done or counted, whether that works or not.
    fn record(&mut self, kind: Kind, batch: &Batch, cx: &StepCx) -> Result<Recorded> {
        let copy = |t: &Tensor| t.force_contiguous();
        let batch = Batch {
            a: copy(&batch.a)?,
            b: batch.b.as_ref().map(copy).transpose()?,
            inst: batch.inst.as_ref().map(copy).transpose()?,
            names: batch.names.clone(),
        };
        let dropout = Words::new(&self.device, 1)?;
        let counters: Vec<Counter> = self.stores(|store| store.counters().collect::<Vec<_>>()).concat();
        let before: Vec<u64> = counters.iter().map(Counter::get).collect();
        // Copies that layers keep of their weights are to be made by the recorded step, whoever has made them before.
        self.stores(ParamStore::touch);
        let recorded = self.capture(&batch, cx, &dropout);
        // Those that the recorded step makes are not there yet.
        self.stores(ParamStore::touch);
        let advanced = counters.into_iter().zip(before).map(|(counter, before)| {
            let by = counter.get() - before;
            counter.set(before);
            (counter, by)
        });
        let counters = advanced.collect();
        let (graph, names, losses) = recorded?;
        Ok(Recorded { graph, kind, batch, dropout, names, losses, counters })
    }

    fn capture(&mut self, batch: &Batch, cx: &StepCx, dropout: &Words) -> Result<(Graph, Vec<&'static str>, Tensor)> {
        let Graphed { method, device, returned, .. } = self;
        let (count, dtype) = *returned;
        let losses = Tensor::zeros(count, dtype, device)?;
        let parts = method.parts();
        for (_, optimizer, _) in parts.optimizers {
            optimizer.begin_capture()?;
        }
        for (_, pool) in parts.pools {
            pool.begin_capture(device, cx.key(Purpose::Pool))?;
        }
        let step = || -> Result<Vec<&'static str>> {
            let step = method.step(batch, cx)?;
            if step.len() != count {
                return Err(not_captured("the step returns another number of losses than before"));
            }
            for (i, (_, value)) in step.iter().enumerate() {
                losses.slice_set(&value.reshape(1)?, 0, i)?;
            }
            Ok(step.iter().map(|(name, _)| *name).collect())
        };
        let captured = with_dropout_key(cx.key(Purpose::Dropout), dropout, || Graph::capture(device, step));
        let parts = method.parts();
        parts.optimizers.into_iter().for_each(|(_, optimizer, _)| optimizer.end_capture());
        parts.pools.into_iter().for_each(|(_, pool)| pool.end_capture());
        let (graph, names) = captured?;
        Ok((graph, names, losses))
    }

    /// What `of` says of each store of parameters.
    fn stores<T>(&mut self, of: impl Fn(&ParamStore) -> T) -> Vec<T> {
        self.method.parts().optimizers.into_iter().map(|(_, optimizer, _)| of(optimizer.store())).collect()
    }
}

impl Recorded {
    /// Does the step.
    fn launch(&self, method: &mut dyn Method, batch: &Batch, cx: &StepCx) -> Result<Losses> {
        for (to, from) in parts(&self.batch).into_iter().zip(parts(batch)) {
            if let (Some(to), Some(from)) = (to, from) {
                to.slice_set(&from.contiguous()?, 0, 0)?;
            }
        }
        let [low, high] = cx.key(Purpose::Dropout).words();
        self.dropout.write(&[u64::from(low) | u64::from(high) << 32])?;
        let parts = method.parts();
        for (_, optimizer, _) in parts.optimizers {
            optimizer.before_launch(cx.lr)?;
        }
        for (_, pool) in parts.pools {
            pool.before_launch(cx.key(Purpose::Pool))?;
        }
        self.graph.launch()?;
        self.counters.iter().for_each(|(counter, by)| counter.set(counter.get() + by));
        let losses = self.losses.copy()?;
        self.names.iter().enumerate().map(|(i, name)| Ok((*name, losses.get(i)?))).collect()
    }
}

impl Method for Graphed {
    fn step(&mut self, batch: &Batch, cx: &StepCx) -> Result<Losses> {
        let kind = Kind::of(batch, self.method.phase(cx.epoch));
        if let State::Recorded(recorded) = self.state.get_mut() {
            let in_place = self.method.parts().pools.iter().all(|(_, pool)| pool.can_launch());
            if !in_place || recorded.kind.phase != kind.phase {
                self.state.replace(State::Rehearsing(Vec::new()));
            } else if recorded.kind == kind {
                return recorded.launch(&mut *self.method, batch, cx);
            }
        }
        self.make_room();
        if self.is_rehearsed(&kind) {
            match self.record(kind, batch, cx) {
                Ok(recorded) => {
                    let losses = recorded.launch(&mut *self.method, batch, cx);
                    self.state.replace(State::Recorded(Box::new(recorded)));
                    return losses;
                }
                Err(error) => self.give_up(&error.to_string()),
            }
        }
        let losses = match self.state.get_mut() {
            State::Rehearsing(_) => rehearse(&self.device, || self.method.step(batch, cx)),
            _ => self.method.step(batch, cx),
        }?;
        self.returned = (losses.len(), losses.first().map_or(DType::F32, |(_, value)| value.dtype()));
        Ok(losses)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        self.make_room();
        self.method.preview(batch)
    }

    fn parts(&mut self) -> Parts<'_> {
        self.method.parts()
    }

    fn phase(&self, epoch: u64) -> u64 {
        self.method.phase(epoch)
    }

    fn news(&mut self) -> Option<String> {
        self.news.get_mut().take().or_else(|| self.method.news())
    }

    fn notes(&self) -> &[String] {
        self.method.notes()
    }
}
