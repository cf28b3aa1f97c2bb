//! What is asked of cuDNN, and which of its algorithms answers.
use crate::spec::geometry::Geometry;
use candle_core::cuda::cudarc::cudnn::sys::{cudnnDataType_t, cudnnMathType_t, cudnnTensorFormat_t};
use std::fmt;

/// The three passes. A transposed convolution's are the same ones: its forward pass is [`Pass::Data`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Pass {
    /// Big end and weight to small end.
    Forward,
    /// Small end and weight to big end.
    Data,
    /// Big end and small end to weight.
    Filter,
}

/// Element type, and what the multiplications may do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Arithmetic {
    /// F32 in full.
    F32,
    /// F32 tensors, factors rounded to 10 bits of mantissa where that is faster.
    Tf32,
    F64,
    /// BF16 tensors with the channels last, sums in F32.
    Bf16,
}

impl Arithmetic {
    pub(super) fn data_type(self) -> cudnnDataType_t {
        match self {
            Arithmetic::F32 | Arithmetic::Tf32 => cudnnDataType_t::CUDNN_DATA_FLOAT,
            Arithmetic::F64 => cudnnDataType_t::CUDNN_DATA_DOUBLE,
            Arithmetic::Bf16 => cudnnDataType_t::CUDNN_DATA_BFLOAT16,
        }
    }

    pub(super) fn format(self) -> cudnnTensorFormat_t {
        match self {
            Arithmetic::Bf16 => cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
            Arithmetic::F32 | Arithmetic::Tf32 | Arithmetic::F64 => cudnnTensorFormat_t::CUDNN_TENSOR_NCHW,
        }
    }

    /// The units that are offered to cuDNN.
    pub(super) fn math(self) -> cudnnMathType_t {
        match self {
            // The default would let it use TF32.
            Arithmetic::F32 => cudnnMathType_t::CUDNN_FMA_MATH,
            Arithmetic::Tf32 | Arithmetic::F64 => cudnnMathType_t::CUDNN_DEFAULT_MATH,
            Arithmetic::Bf16 => cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        }
    }

    /// The units for an algorithm that was timed with `math`. Full precision is never given up.
    pub(super) fn math_of(self, math: u32) -> cudnnMathType_t {
        match self {
            Arithmetic::F32 | Arithmetic::F64 => self.math(),
            Arithmetic::Tf32 | Arithmetic::Bf16 => match math {
                0 => cudnnMathType_t::CUDNN_DEFAULT_MATH,
                2 => cudnnMathType_t::CUDNN_TENSOR_OP_MATH_ALLOW_CONVERSION,
                3 => cudnnMathType_t::CUDNN_FMA_MATH,
                _ => cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
            },
        }
    }
}

/// One pass of one shape: the key of a plan. The padding is with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Problem {
    pub(super) pass: Pass,
    pub(super) arithmetic: Arithmetic,
    /// Only algorithms whose results do not vary, chosen without a clock.
    pub(super) deterministic: bool,
    pub(super) n: usize,
    pub(super) ci: usize,
    pub(super) co: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) ho: usize,
    pub(super) wo: usize,
    pub(super) kh: usize,
    pub(super) kw: usize,
    /// Vertical and horizontal, as is the padding.
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
}

impl Problem {
    pub(super) fn new(pass: Pass, arithmetic: Arithmetic, g: &Geometry) -> Self {
        let &Geometry { n, ci, co, h, w, ho, wo, kh, kw, stride, padding, math, .. } = g;
        let (stride, deterministic) = ([stride; 2], math.deterministic);
        Problem { pass, arithmetic, deterministic, n, ci, co, h, w, ho, wo, kh, kw, stride, padding }
    }

    /// Bytes that the pass writes.
    pub(super) fn output_bytes(&self) -> usize {
        let elements = match self.pass {
            Pass::Forward => self.n * self.co * self.ho * self.wo,
            Pass::Data => self.n * self.ci * self.h * self.w,
            Pass::Filter => self.co * self.ci * self.kh * self.kw,
        };
        let size = match self.arithmetic {
            Arithmetic::F32 | Arithmetic::Tf32 => 4,
            Arithmetic::F64 => 8,
            Arithmetic::Bf16 => 2,
        };
        elements * size
    }
}

/// The name under which a choice is kept between runs.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { pass, arithmetic, n, ci, co, h, w, ho, wo, kh, kw, stride, padding, .. } = self;
        write!(f, "{pass:?} {arithmetic:?} n{n} {ci}x{h}x{w} {co}x{ho}x{wo} k{kh}x{kw} s{}", stride[0])?;
        if stride[0] != stride[1] {
            write!(f, "x{}", stride[1])?;
        }
        write!(f, " p{}", padding[0])?;
        if padding[0] != padding[1] {
            write!(f, "x{}", padding[1])?;
        }
        Ok(())
    }
}

/// What cuDNN says about one algorithm for one problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    /// cuDNN's number of it.
    pub(super) algorithm: u32,
    /// cuDNN's number of the math type that it was tried with.
    pub(super) math: u32,
    /// It runs.
    pub(super) works: bool,
    /// Milliseconds; negative if not measured.
    pub(super) time: f32,
    /// Bytes of working memory.
    pub(super) memory: usize,
    pub(super) deterministic: bool,
}

/// A faster algorithm must be faster by this factor to be preferred to one that needs less memory.
const WORTH_ITS_MEMORY: f32 = 1.03;

/// The candidates that may be used, best first: by time if they were measured, with little weight on memory, or as
/// cuDNN ranked them.
pub(super) fn ranked(candidates: &[Candidate], deterministic: bool, most_memory: usize) -> Vec<Candidate> {
    let usable = |c: &&Candidate| c.works && c.memory <= most_memory && (c.deterministic || !deterministic);
    let mut out: Vec<Candidate> = candidates.iter().filter(usable).copied().collect();
    if out.iter().any(|c| c.time < 0.0) {
        return out;
    }
    out.sort_by(|a, b| a.time.total_cmp(&b.time));
    let Some(best) = out.first().map(|c| c.time * WORTH_ITS_MEMORY) else { return out };
    let near = out.iter().take_while(|c| c.time <= best).count();
    out[..near].sort_by_key(|c| c.memory);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(algorithm: u32, time: f32, memory: usize) -> Candidate {
        Candidate { algorithm, math: 1, works: true, time, memory, deterministic: algorithm % 2 == 1 }
    }
    fn order(candidates: &[Candidate], deterministic: bool, most: usize) -> Vec<u32> {
        ranked(candidates, deterministic, most).iter().map(|c| c.algorithm).collect()
    }

    #[test]
    fn the_fastest_comes_first_unless_memory_is_saved_for_little_time() {
        let c = [candidate(0, 2.0, 0), candidate(1, 1.0, 100), candidate(2, 1.02, 10), candidate(3, 1.5, 0)];
        assert_eq!(order(&c, false, 1000), [2, 1, 3, 0]);
        assert_eq!(order(&c, false, 50), [2, 3, 0]);
        assert_eq!(order(&c, true, 1000), [1, 3]);
    }

    #[test]
    fn what_was_not_measured_keeps_its_rank_and_what_fails_is_left_out() {
        let broken = Candidate { works: false, ..candidate(7, -1.0, 0) };
        let c = [candidate(5, -1.0, 9), broken, candidate(1, -1.0, 3), candidate(4, -1.0, 1)];
        assert_eq!(order(&c, false, 1000), [5, 1, 4]);
        assert_eq!(order(&c, true, 1000), [5, 1]);
        assert!(order(&[], false, 0).is_empty());
    }

    #[test]
    fn strict_arithmetic_is_kept_whatever_was_timed() {
        assert_eq!(Arithmetic::F32.math_of(1), cudnnMathType_t::CUDNN_FMA_MATH);
        assert_eq!(Arithmetic::Bf16.math_of(1), cudnnMathType_t::CUDNN_TENSOR_OP_MATH);
        assert_eq!(Arithmetic::Tf32.math_of(3), cudnnMathType_t::CUDNN_FMA_MATH);
    }
}
