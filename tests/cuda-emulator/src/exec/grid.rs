//! A launch: its blocks, spread over threads.

use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::block::Block;
use crate::{decode::Code, memory};

/// What a launch asks for.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Blocks in each direction.
    pub grid: [u32; 3],
    /// Threads of a block in each direction.
    pub block: [u32; 3],
    /// Bytes of shared memory for `extern __shared__` arrays.
    pub shared: usize,
    /// The parameters, laid out as the kernel wants them.
    pub params: Vec<u8>,
}

/// Below this many threads all blocks run on the calling thread.
const SMALL: u64 = 2048;

/// Whether the last block and the last warp go first (`EMULATOR_ORDER=backwards`).
fn backwards() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| std::env::var("EMULATOR_ORDER").is_ok_and(|order| order == "backwards"))
}

/// Runs a kernel to its end.
///
/// # Errors
/// The first failure that a block met.
pub fn launch(code: &Code, launch: &Launch) -> Result<(), String> {
    let blocks: u64 = launch.grid.iter().map(|n| u64::from(*n)).product();
    let threads: u64 = launch.block.iter().map(|n| u64::from(*n)).product();
    let workers = if blocks * threads <= SMALL {
        1
    } else {
        std::thread::available_parallelism().map_or(1, usize::from).min(usize::try_from(blocks).unwrap_or(usize::MAX))
    };
    let (next, stop, failure) = (AtomicU64::new(0), AtomicBool::new(false), Mutex::new(None::<String>));
    let (ranges, backwards) = (memory::ranges(), backwards());
    let work = || {
        let mut block = Block::new(code, launch, &ranges, backwards);
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= blocks {
                break;
            }
            let number = if backwards { blocks - 1 - number } else { number };
            if let Err(message) = block.run(number) {
                stop.store(true, Ordering::Relaxed);
                let mut failure = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                failure.get_or_insert(message);
            }
        }
    };
    if workers == 1 {
        work();
    } else {
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
    }
    match failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        Some(message) => Err(message),
        None => Ok(()),
    }
}
