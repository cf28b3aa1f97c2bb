//! Graphs: what a stream did while it captured, done again at each launch.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use super::{Error, Status, failed, open, put, status, stream::Stream, stream::Work};
use crate::{memory, trace::trace};

/// What was captured.
#[derive(Default)]
pub struct Graph {
    /// In the order of the calls.
    pub nodes: Vec<Work>,
    /// Memory that the graph allocates.
    pub allocated: Vec<u64>,
    /// Memory of `allocated` that it frees itself.
    pub freed: Vec<u64>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} nodes", self.nodes.len())
    }
}

/// An instantiated graph.
#[derive(Debug)]
pub struct Executable {
    graph: Arc<Graph>,
    /// Memory that an earlier launch left is freed by the next one.
    auto_free: bool,
    running: Mutex<()>,
    launched: AtomicBool,
}

/// `CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH`
const AUTO_FREE: u64 = 1;

impl Executable {
    fn run(&self) -> Result<(), String> {
        let _one = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: Vec<_> = self.graph.allocated.iter().filter(|at| !self.graph.freed.contains(at)).collect();
        if self.launched.swap(true, Ordering::Relaxed) {
            for at in kept {
                // Something else may have freed it meanwhile, which is fine too.
                if memory::set_live(*at, false) && !self.auto_free {
                    return Err("a graph is launched again before the memory it allocated was freed".to_owned());
                }
            }
        }
        self.graph.nodes.iter().try_for_each(|node| node())
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphInstantiateWithFlags(out: *mut *mut Executable, graph: *mut Arc<Graph>, flags: u64) -> Status {
    // SAFETY: a handle from `cuStreamEndCapture`.
    status(unsafe { open(graph) }.and_then(|graph| {
        let graph = Arc::clone(graph);
        let made = Executable {
            graph,
            auto_free: flags & AUTO_FREE != 0,
            running: Mutex::default(),
            launched: AtomicBool::default(),
        };
        put(out, Box::into_raw(Box::new(made)))
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphLaunch(graph: *mut Executable, stream: usize) -> Status {
    trace(|| "launch graph".to_owned());
    // SAFETY: a handle from `cuGraphInstantiateWithFlags`.
    status(unsafe { open(graph) }.and_then(|graph| {
        Stream::of(stream).forbid("cuGraphLaunch")?;
        graph.run().map_err(|message| failed(Error::IllegalAddress, &message))
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphUpload(_graph: *mut Executable, _stream: usize) -> Status {
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphDestroy(graph: *mut Arc<Graph>) -> Status {
    if !graph.is_null() {
        // SAFETY: made by `cuStreamEndCapture`, and destroyed once.
        drop(unsafe { Box::from_raw(graph) });
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphExecDestroy(graph: *mut Executable) -> Status {
    if !graph.is_null() {
        // SAFETY: made by `cuGraphInstantiateWithFlags`, and destroyed once.
        drop(unsafe { Box::from_raw(graph) });
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn cuGraphGetNodes(graph: *mut Arc<Graph>, _nodes: *mut usize, count: *mut usize) -> Status {
    // SAFETY: a handle from `cuStreamEndCapture`.
    status(unsafe { open(graph) }.and_then(|graph| put(count, graph.nodes.len())))
}
