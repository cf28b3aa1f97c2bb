//! Which kernels run: chosen by shape and processor, and how to overrule that.
//!
//! Overrules belong to the calling thread and last as long as their guard: `let _guard = force(ConvAlgorithm::ImplicitGemm);`. The
//! environment variable `GAN_KERNELS`, a list of names such as `gemm` or `winograd,avx2`, sets them for the whole
//! process: `portable`, `gemm`, `stream`, `winograd` (algorithms), `precise`, `planes` (those of labels are made before they are
//! convolved), `poison` (working memory and results hold NaN until they are written: what reads too early shows), and `avx512`, `avx2`, `scalar` (instruction sets; one that the processor lacks is ignored). An algorithm that cannot
//! serve a shape is passed over.
use crate::isa::Isa;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// An algorithm of the convolution kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConvAlgorithm {
    /// Plain Rust, the only one for F64 and the reference for all others.
    Portable,
    /// Implicit matrix products by taps: strided, transposed and large kernels, any shape.
    ImplicitGemm,
    /// A small im2col matrix, weights read once in their own layout: few pixels.
    Im2col,
    /// Winograd convolution with three, four or six points: 3x3 and 4x4 kernels with stride 1 or 2.
    Winograd,
}

/// Vector instructions that kernels may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstructionSet {
    /// What the compilation target guarantees.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 (F, VL, DQ, BW).
    Avx512,
}

#[derive(Debug, Clone, Copy, Default)]
struct Overrules {
    algorithm: Option<ConvAlgorithm>,
    isa: Option<Isa>,
    precise: bool,
    planes: bool,
    poison: bool,
}

thread_local! {
    static OVERRULES: Cell<Option<Overrules>> = const { Cell::new(None) };
}

fn from_environment() -> Overrules {
    static PARSED: OnceLock<Overrules> = OnceLock::new();
    *PARSED.get_or_init(|| {
        let mut o = Overrules::default();
        for name in std::env::var("GAN_KERNELS").unwrap_or_default().split(',') {
            match name.trim() {
                "portable" => o.algorithm = Some(ConvAlgorithm::Portable),
                "gemm" => o.algorithm = Some(ConvAlgorithm::ImplicitGemm),
                "stream" => o.algorithm = Some(ConvAlgorithm::Im2col),
                "winograd" => o.algorithm = Some(ConvAlgorithm::Winograd),
                "precise" => o.precise = true,
                "planes" => o.planes = true,
                "poison" => o.poison = true,
                "scalar" => o.isa = Some(Isa::Portable),
                "avx2" => o.isa = Some(Isa::Avx2),
                "avx512" => o.isa = Some(Isa::Avx512),
                _ => {}
            }
        }
        o
    })
}

fn overrules() -> Overrules {
    OVERRULES.get().unwrap_or_else(from_environment)
}

/// Undoes an overrule when dropped.
#[derive(Debug)]
#[must_use = "the overrule ends when this is dropped"]
pub struct Guard {
    before: Option<Overrules>,
    /// Belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        OVERRULES.set(self.before);
    }
}

fn overrule(change: impl FnOnce(&mut Overrules)) -> Guard {
    let before = OVERRULES.get();
    let mut o = overrules();
    change(&mut o);
    OVERRULES.set(Some(o));
    Guard { before, thread: PhantomData }
}

/// Runs `f`, which calls many operators one after the other, on a thread of rayon's pool, with the calling thread's overrules.
///
/// From any other thread every piece of work of every operator is handed over and waited for: two threads fall asleep and wake up for each.
/// `f` must not wait for other threads that use the pool: it would keep one of its threads from them.
pub fn on_pool<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    if rayon::current_thread_index().is_some() {
        return f();
    }
    let overrules = OVERRULES.get();
    rayon::scope(|_| {
        let _guard = Guard { before: OVERRULES.replace(overrules), thread: PhantomData };
        f()
    })
}

/// Makes this thread's convolutions take one algorithm where it can serve them.
pub fn force(algorithm: ConvAlgorithm) -> Guard {
    overrule(|o| o.algorithm = Some(algorithm))
}

/// Makes this thread's operators use an instruction set; one that the processor lacks is lowered to what it has.
pub fn force_instructions(set: InstructionSet) -> Guard {
    let isa = match set {
        InstructionSet::Portable => Isa::Portable,
        InstructionSet::Avx2 => Isa::Avx2,
        InstructionSet::Avx512 => Isa::Avx512,
    };
    overrule(|o| o.isa = Some(isa))
}

/// Keeps this thread's convolutions from Winograd convolution, whose rounding errors are larger than those of a direct sum.
pub fn precise() -> Guard {
    overrule(|o| o.precise = true)
}

/// The instruction set that this thread's operators use now.
pub fn instructions() -> InstructionSet {
    match isa() {
        Isa::Portable => InstructionSet::Portable,
        Isa::Avx2 => InstructionSet::Avx2,
        Isa::Avx512 => InstructionSet::Avx512,
    }
}

/// The instruction set for a call. To be asked on the calling thread, before the work is handed to others.
pub(crate) fn isa() -> Isa {
    overrules().isa.map_or(Isa::detected(), |isa| isa.min(Isa::detected()))
}

/// The algorithm that is asked for.
pub(crate) fn forced() -> Option<ConvAlgorithm> {
    overrules().algorithm
}

/// Whether Winograd convolution is out of the question.
pub(crate) fn is_precise() -> bool {
    overrules().precise
}

/// Whether memory is to hold NaN until it is written. For the whole process: it is taken on all threads.
pub(crate) fn poisons() -> bool {
    from_environment().poison
}

/// Classes from which on the gather of [`onehot_conv2d`](crate::onehot::onehot_conv2d) wins on the CPU: it costs as much as the convolution
/// of some six planes, whatever their number (36 planes to 64 channels by 7x7 at 256x512: a seventh of the time, forward and
/// for the weights). On the GPU nobody has measured it.
const GATHER: usize = 8;

/// Whether labels of so many classes are convolved without their planes.
pub(crate) fn gathers(classes: usize) -> bool {
    classes >= GATHER && !overrules().planes
}

/// Hands an operator over to its CUDA twin if its tensor is there: `on_cuda!(x, act::act(x, a));` as its first line.
macro_rules! on_cuda {
    ($x:expr, $($call:tt)+) => {
        #[cfg(feature = "cuda")]
        if $x.device().is_cuda() {
            return $crate::cuda::$($call)+;
        }
    };
}
pub(crate) use on_cuda;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrules_come_along() {
        let _outer = force(ConvAlgorithm::ImplicitGemm);
        let (inside, nested) = on_pool(|| (forced(), on_pool(|| rayon::current_thread_index().is_some())));
        assert_eq!((inside, nested), (Some(ConvAlgorithm::ImplicitGemm), true));
        assert_eq!(rayon::broadcast(|_| forced()).iter().flatten().count(), 0);
    }

    #[test]
    fn guards_nest_and_undo() {
        let before = forced();
        {
            let _outer = force(ConvAlgorithm::ImplicitGemm);
            let inner = force_instructions(InstructionSet::Portable);
            assert_eq!((forced(), isa()), (Some(ConvAlgorithm::ImplicitGemm), Isa::Portable));
            assert_eq!(instructions(), InstructionSet::Portable);
            drop(inner);
            assert_eq!((forced(), isa()), (Some(ConvAlgorithm::ImplicitGemm), Isa::detected()));
            let _precise = precise();
            assert!(is_precise());
        }
        assert_eq!(forced(), before);
        assert!(std::thread::spawn(forced).join().is_ok_and(|f| f == before));
    }
}
