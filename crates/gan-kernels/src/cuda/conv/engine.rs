//! The state of cuDNN on one stream: handle, plans, working memory.
#![allow(unsafe_code)]
use super::descriptors::Descriptors;
use super::library::{Addresses, Library};
use super::plan::{Candidate, Problem, ranked};
use super::saved::{Choice, Saved};
use candle_core::cuda::cudarc::driver::{CudaSlice, CudaStream, DevicePtr, result, sys};
use candle_core::cuda::{CudaDevice, DeviceId};
use candle_core::{Result, bail};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::ThreadId;
use sys::{CUdeviceptr, CUstreamCaptureStatus};

/// The most working memory that an algorithm may take.
const MOST_BYTES: usize = 1 << 30;

/// What is known about one problem.
struct Plan {
    descriptors: Descriptors,
    algorithm: u32,
    workspace: usize,
}

/// cuDNN on one stream.
struct Engine {
    library: Library,
    /// `None` where cuDNN has no algorithm.
    plans: HashMap<Problem, Option<Plan>>,
    saved: Saved,
    workspace: Option<CudaSlice<u8>>,
    /// Whether a captured graph holds the address of the workspace.
    captured: bool,
    /// Former workspaces that graphs still use.
    retired: Vec<CudaSlice<u8>>,
}

// SAFETY: the descriptors in the plans may be used by any thread, one at a time; an engine is only reached through its
// lock.
unsafe impl Send for Engine {}

type Engines = Mutex<HashMap<(DeviceId, Option<ThreadId>), Arc<Mutex<Engine>>>>;

/// Queues one pass of a convolution (see [`Addresses`] for the order of the inputs); `add` adds to what the output holds.
/// Returns false, with nothing done, if cuDNN cannot do it. The addresses must be those of dense tensors of the problem's shapes, type and order on this device, aligned to 16
/// bytes, alive or freed on the device's stream later.
pub(super) fn run(
    device: &CudaDevice,
    p: &Problem,
    inputs: [CUdeviceptr; 2],
    out: CUdeviceptr,
    add: bool,
) -> Result<bool> {
    static ENGINES: LazyLock<Engines> = LazyLock::new(Mutex::default);
    // CUDA's per-thread default stream is another one in every thread.
    const PER_THREAD: usize = 2;
    let stream = device.cuda_stream();
    let thread = (stream.cu_stream().addr() == PER_THREAD).then(|| std::thread::current().id());
    let engine = {
        let mut engines = ENGINES.lock().unwrap_or_else(PoisonError::into_inner);
        match engines.get(&(device.id(), thread)) {
            Some(engine) => engine.clone(),
            None => {
                let engine = Arc::new(Mutex::new(Engine::new(stream)?));
                engines.insert((device.id(), thread), engine.clone());
                engine
            }
        }
    };
    // A panic leaves plans and workspace whole.
    let mut engine = engine.lock().unwrap_or_else(PoisonError::into_inner);
    engine.library.stream().context().bind_to_thread()?;
    // SAFETY: the operators of the parent module pass what is asked for above; work and freeing are done in the order of
    // the stream.
    unsafe { engine.run(p, inputs, out, add) }
}

impl Engine {
    fn new(stream: Arc<CudaStream>) -> Result<Self> {
        let name = stream.context().name()?;
        let library = Library::new(stream)?;
        let saved = Saved::open(&name, Library::version());
        Ok(Engine { library, plans: HashMap::new(), saved, workspace: None, captured: false, retired: Vec::new() })
    }

    /// As the function [`run`].
    ///
    /// # Safety
    /// The addresses must be what `run` asks for.
    unsafe fn run(&mut self, p: &Problem, inputs: [CUdeviceptr; 2], out: CUdeviceptr, add: bool) -> Result<bool> {
        let [first, second] = inputs;
        let at = Addresses { first, second, out, workspace: 0, workspace_len: 0 };
        let capturing = self.capturing()?;
        if !self.plans.contains_key(p) {
            if capturing {
                bail!("{p}: a convolution must have run once before it is captured in a CUDA graph")
            }
            // SAFETY: as the caller promises.
            let plan = unsafe { self.plan(p, at, add) }?;
            self.plans.insert(*p, plan);
        }
        let Some(Some(plan)) = self.plans.get(p) else { return Ok(false) };
        let len = plan.workspace;
        let workspace = self.reserve(len, capturing)?;
        let at = Addresses { workspace, workspace_len: len, ..at };
        let Some(Some(plan)) = self.plans.get(p) else { return Ok(false) };
        // SAFETY: as the caller promises; the workspace has the size that the plan asks for, and work on it is done in
        // the order of the stream.
        unsafe { self.library.run(p, &plan.descriptors, plan.algorithm, at, add) }?;
        Ok(true)
    }

    fn capturing(&self) -> Result<bool> {
        Ok(self.library.stream().capture_status()? != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE)
    }

    /// The address of working memory of at least `len` bytes.
    fn reserve(&mut self, len: usize, capturing: bool) -> Result<CUdeviceptr> {
        if len == 0 {
            return Ok(0);
        }
        if self.workspace.as_ref().is_none_or(|w| w.len() < len) {
            if capturing {
                bail!("working memory of a convolution must exist before it is captured in a CUDA graph")
            }
            let former = self.workspace.take();
            if self.captured {
                self.retired.extend(former);
                self.captured = false;
            }
            // SAFETY: cuDNN writes what it reads of it.
            self.workspace = Some(unsafe { self.library.stream().alloc::<u8>(len) }?);
        }
        self.captured |= capturing;
        match &self.workspace {
            Some(workspace) => Ok(workspace.device_ptr(self.library.stream()).0),
            None => bail!("no working memory"),
        }
    }

    /// Chooses an algorithm: the saved one, or the best of a search; `None` if there is none.
    ///
    /// # Safety
    /// As [`Engine::run`].
    unsafe fn plan(&mut self, p: &Problem, at: Addresses, add: bool) -> Result<Option<Plan>> {
        let descriptors = Descriptors::new(p)?;
        // Deterministic choices are rules: they need no file, and no file may change them.
        if !p.deterministic
            && let Some(choice) = self.saved.get(p)
            && let Ok(workspace) = self.workspace_of(p, &descriptors, choice)
        {
            return Ok(Some(Plan { descriptors, algorithm: choice.algorithm, workspace }));
        }
        let candidates = if p.deterministic {
            self.library.advice(p.pass, &descriptors)?
        } else {
            // SAFETY: as the caller promises.
            unsafe { self.search(p, &descriptors, at, add) }?
        };
        for candidate in ranked(&candidates, p.deterministic, MOST_BYTES) {
            let choice = Choice { algorithm: candidate.algorithm, math: candidate.math };
            if let Ok(workspace) = self.workspace_of(p, &descriptors, choice) {
                if !p.deterministic {
                    self.saved.set(p, choice);
                }
                return Ok(Some(Plan { descriptors, algorithm: choice.algorithm, workspace }));
            }
        }
        Ok(None)
    }

    /// Makes the descriptors those of a choice and asks for its working memory.
    fn workspace_of(&self, p: &Problem, descriptors: &Descriptors, choice: Choice) -> Result<usize> {
        descriptors.conv.set_math(p.arithmetic.math_of(choice.math))?;
        self.library.workspace(p.pass, descriptors, choice.algorithm)
    }

    /// Measures all algorithms.
    ///
    /// # Safety
    /// As [`Engine::run`].
    unsafe fn search(&self, p: &Problem, d: &Descriptors, at: Addresses, add: bool) -> Result<Vec<Candidate>> {
        let stream = self.library.stream();
        stream.synchronize()?;
        let space = Outside::up_to(self.library.largest_workspace(p, d, MOST_BYTES)?);
        // What is to be added to must not be overwritten.
        let scratch = if add { Some(Outside::new(p.output_bytes())?) } else { None };
        let out = scratch.as_ref().map_or(at.out, |s| s.address);
        let at = Addresses { out, workspace: space.address, workspace_len: space.len, ..at };
        // The first walk loads the kernels, which would be counted.
        // SAFETY: as the caller promises; scratch and workspace are freed after the synchronization below.
        let measured = unsafe { self.library.measure(p.pass, d, at).and_then(|_| self.library.measure(p.pass, d, at)) };
        stream.synchronize()?;
        measured
    }
}

/// Device memory that does not come from the stream's pool, so that the pool does not grow by what is needed once. It
/// must not be in use when it is dropped.
struct Outside {
    address: CUdeviceptr,
    len: usize,
}

impl Outside {
    fn new(len: usize) -> Result<Self> {
        // SAFETY: the memory is written before it is read by those who get the address.
        let address = unsafe { result::malloc_sync(len.max(1)) }?;
        Ok(Outside { address, len })
    }

    /// As much as there is, at most `len` bytes.
    fn up_to(mut len: usize) -> Self {
        while len > 0 {
            if let Ok(this) = Outside::new(len) {
                return this;
            }
            len /= 2;
        }
        Outside { address: 0, len: 0 }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if self.address != 0 {
            // SAFETY: allocated by `new`, freed only here. A failure leaves nothing to be done.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}
