//! Work for a CUDA device that is captured once and then launched as a whole, again and again.
//!
//! A launch repeats the captured kernels with the captured arguments: the same addresses, the same numbers. What differs
//! from launch to launch has to be read from device memory: tensors that stay where they are, and [`GraphParams`].
//! [`GraphCache`] decides when work is captured.

mod cache;

#[cfg(feature = "cuda")]
#[path = "graph/cuda.rs"]
mod on;
#[cfg(not(feature = "cuda"))]
#[path = "graph/none.rs"]
mod on;

pub use cache::{Capturable, GraphCache, WARMUP_STEPS};
use candle_core::{DType, Device, Error, Result, Tensor, bail};

/// Captured work.
pub struct Graph(on::Graph);

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Graph")
    }
}

impl Graph {
    /// Captures what `work` asks the device for. Nothing of it is done, so nobody may wait for a result, and what was
    /// allocated before must not be freed, nor may anything that is allocated meanwhile outlive `work`. The same work must
    /// have been done before, the last time within [`warm_up`]: kernels are loaded, convolutions have met their
    /// shapes, and working memory is there.
    ///
    /// No other thread may use the device meanwhile. Memory that the captured work takes while it runs is the graph's own;
    /// what the device's pool held in reserve is given back to make room for it. Dropping a graph gives its memory back
    /// and waits for the device.
    ///
    /// # Errors
    /// Those of `work`, CUDA's, and a device that is not CUDA's. Then nothing was done; the host's record of what was (say,
    /// [`Version`](crate::weight::Version)s of copies) has to be corrected by the caller.
    pub fn capture<T, E: From<Error>>(
        device: &Device,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<(Self, T), E> {
        let (graph, made) = on::capture(device, work)?;
        Ok((Graph(graph), made))
    }

    /// Has the device do the work once more, behind all that it was asked for before. Everything that the work read or
    /// changed must still be where it was.
    ///
    /// # Errors
    /// CUDA's.
    pub fn launch(&self) -> Result<()> {
        self.0.launch()
    }
}

/// Does work that is to be captured next time: what it uploads in small (strides of candle's operators) is kept on the device,
/// to be found there by [`Graph::capture`].
pub fn warm_up<T>(device: &Device, work: impl FnOnce() -> T) -> T {
    on::warm_up(device, work)
}

/// Numbers of 64 bits in the memory of a CUDA device, which stay at one address. A graph reads them at each launch.
#[derive(Debug)]
pub struct GraphParams(Tensor);

impl GraphParams {
    /// Zeros.
    ///
    /// # Errors
    /// CUDA's.
    pub fn new(device: &Device, count: usize) -> Result<Self> {
        // The one type of this size that all operators know.
        Ok(GraphParams(Tensor::zeros(count.max(1), DType::F64, device)?))
    }

    /// Sets the first words, behind all that the device was asked for before. They travel as arguments of a launch: nobody
    /// waits.
    ///
    /// # Errors
    /// CUDA's; more words than there are; another device.
    pub fn write(&self, words: &[u64]) -> Result<()> {
        if words.len() > self.0.elem_count() {
            bail!("{} words do not fit into {}", words.len(), self.0.elem_count())
        }
        crate::dispatch::on_cuda!(self.0, buffer::write_words(&self.0, words));
        bail!("words are for CUDA devices, not for {:?}", self.0.device().location())
    }

    /// The words as numbers `[count]` of type F64, sharing memory.
    pub fn tensor(&self) -> &Tensor {
        &self.0
    }
}

/// While `work` is captured, masks named under `key` are drawn from sequences under the key whose number is in `word` when
/// the graph is launched. Other masks are refused meanwhile: they would be the same at each launch.
///
/// # Errors
/// Those of `work`.
pub fn with_dropout_key<T, E: From<Error>>(
    key: gan_rng::Key,
    word: &GraphParams,
    work: impl FnOnce() -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    on::with_dropout_key(key, word.tensor(), work)
}
