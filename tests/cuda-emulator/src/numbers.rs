//! Arrays of the libraries' element types, read into and written from f32 or f64.

use half::{bf16, f16};

/// An element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F32,
    F64,
    F16,
    Bf16,
}

impl Element {
    /// Its size in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The element at `index` of an array.
    ///
    /// # Safety
    /// It lies in memory that may be read.
    pub unsafe fn read(self, array: u64, index: usize) -> f64 {
        let at = array as usize + index * self.size();
        // SAFETY: as above.
        unsafe {
            match self {
                Self::F32 => f64::from((at as *const f32).read_unaligned()),
                Self::F64 => (at as *const f64).read_unaligned(),
                Self::F16 => (at as *const f16).read_unaligned().to_f64(),
                Self::Bf16 => (at as *const bf16).read_unaligned().to_f64(),
            }
        }
    }

    /// Writes the element at `index` of an array.
    ///
    /// # Safety
    /// It lies in memory that may be written.
    pub unsafe fn write(self, array: u64, index: usize, value: f64) {
        let at = array as usize + index * self.size();
        // SAFETY: as above.
        unsafe {
            match self {
                Self::F32 => (at as *mut f32).write_unaligned(value as f32),
                Self::F64 => (at as *mut f64).write_unaligned(value),
                Self::F16 => (at as *mut f16).write_unaligned(f16::from_f64(value)),
                Self::Bf16 => (at as *mut bf16).write_unaligned(crate::ops::float::to_bf16(value)),
            }
        }
    }
}

/// Numbers that the libraries compute in.
pub trait Compute: Copy + Default + Send + Sync + std::ops::AddAssign + std::ops::Mul<Output = Self> + 'static {
    /// From an element.
    fn of(x: f64) -> Self;
    /// To an element.
    fn wide(self) -> f64;
}

impl Compute for f32 {
    fn of(x: f64) -> Self {
        x as Self
    }
    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Compute for f64 {
    fn of(x: f64) -> Self {
        x
    }
    fn wide(self) -> f64 {
        self
    }
}

/// Calls `f` for each chunk of `out`, on several threads if there is much to do.
pub fn parallel<T: Send>(out: &mut [T], chunk: usize, work: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let chunks = out.len().div_ceil(chunk.max(1));
    if work < 1 << 16 || threads == 1 || chunks < 2 {
        out.chunks_mut(chunk.max(1)).enumerate().for_each(|(number, part)| f(number, part));
        return;
    }
    let per_thread = chunks.div_ceil(threads);
    std::thread::scope(|scope| {
        for (number, part) in out.chunks_mut(per_thread * chunk).enumerate() {
            let f = &f;
            scope.spawn(move || {
                part.chunks_mut(chunk).enumerate().for_each(|(k, part)| f(number * per_thread + k, part));
            });
        }
    });
}
