//! cuBLAS: matrix products, column-major as it has them.

use std::ffi::c_void;

use crate::{
    driver::{Error, open, put},
    handle::{Handle, create, destroy},
    memory,
    numbers::{Compute, Element, parallel},
    trace::trace,
};

const OK: i32 = 0;
const INVALID: i32 = 7;
const FAILED: i32 = 13;
const NOT_SUPPORTED: i32 = 15;

#[unsafe(no_mangle)]
extern "C" fn cublasCreate_v2(out: *mut *mut Handle) -> i32 {
    if create(out).is_ok() { OK } else { INVALID }
}

#[unsafe(no_mangle)]
extern "C" fn cublasDestroy_v2(handle: *mut Handle) -> i32 {
    // SAFETY: made by `cublasCreate_v2`, and destroyed once.
    unsafe { destroy(handle) }
}

#[unsafe(no_mangle)]
extern "C" fn cublasSetStream_v2(handle: *mut Handle, stream: usize) -> i32 {
    // SAFETY: a handle from `cublasCreate_v2`.
    unsafe { open(handle) }.map_or(INVALID, |handle| {
        handle.set_stream(stream);
        OK
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasSetWorkspace_v2(_handle: *mut Handle, _at: u64, _bytes: usize) -> i32 {
    OK
}

#[unsafe(no_mangle)]
extern "C" fn cublasSetMathMode(_handle: *mut Handle, _mode: i32) -> i32 {
    OK
}

#[unsafe(no_mangle)]
extern "C" fn cublasGetVersion_v2(_handle: *mut Handle, version: *mut i32) -> i32 {
    if put(version, 130_100).is_ok() { OK } else { INVALID }
}

#[unsafe(no_mangle)]
extern "C" fn cublasGetPointerMode_v2(_handle: *mut Handle, mode: *mut i32) -> i32 {
    if put(mode, 0).is_ok() { OK } else { INVALID }
}

#[unsafe(no_mangle)]
extern "C" fn cublasSetPointerMode_v2(_handle: *mut Handle, mode: i32) -> i32 {
    if mode == 0 { OK } else { NOT_SUPPORTED }
}

/// A batch of matrices.
#[derive(Clone, Copy, Debug)]
struct Matrix {
    at: u64,
    element: Element,
    /// Elements from column to column.
    lead: usize,
    /// Elements from matrix to matrix.
    stride: i64,
    transposed: bool,
}

impl Matrix {
    fn index(&self, row: usize, column: usize) -> usize {
        if self.transposed { row * self.lead + column } else { column * self.lead + row }
    }

    fn base(&self, number: usize) -> u64 {
        self.at.wrapping_add_signed(self.stride * number as i64 * self.element.size() as i64)
    }

    /// Whether all of a `rows` × `columns` matrix may be touched.
    fn check(&self, number: usize, rows: usize, columns: usize, name: &str) -> Result<(), String> {
        let last = self.index(rows - 1, columns - 1) + 1;
        memory::check(self.base(number), last * self.element.size()).map_err(|e| format!("cuBLAS: matrix {name}: {e}"))
    }
}

/// `c = alpha · a · b + beta · c` for each matrix of a batch.
#[derive(Clone, Copy, Debug)]
struct Product {
    a: Matrix,
    b: Matrix,
    c: Matrix,
    m: usize,
    n: usize,
    k: usize,
    alpha: f64,
    beta: f64,
    batch: usize,
}

impl Product {
    fn run<T: Compute>(&self) -> Result<(), String> {
        let Self { a, b, c, m, n, k, .. } = *self;
        if m * n == 0 {
            return Ok(());
        }
        for number in 0..self.batch {
            if k > 0 {
                a.check(number, m, k, "A")?;
                b.check(number, k, n, "B")?;
            }
            c.check(number, m, n, "C")?;
            let (a_at, b_at, c_at) = (a.base(number), b.base(number), c.base(number));
            // Column p of A in `left[p · m ..]`.
            let left: Vec<T> = (0..k * m)
                // SAFETY: all three matrices have been checked.
                .map(|p| T::of(unsafe { a.element.read(a_at, a.index(p % m, p / m)) }))
                .collect();
            let mut out = vec![T::default(); m * n];
            parallel(&mut out, m, m * n * k, |column, out| {
                for p in 0..k {
                    // SAFETY: see above.
                    let x = T::of(unsafe { b.element.read(b_at, b.index(p, column)) });
                    out.iter_mut().zip(&left[p * m..]).for_each(|(out, a)| *out += *a * x);
                }
            });
            for (index, sum) in out.into_iter().enumerate() {
                let at = c.index(index % m, index / m);
                // SAFETY: see above.
                unsafe {
                    let old = if self.beta == 0.0 { 0.0 } else { self.beta * c.element.read(c_at, at) };
                    c.element.write(c_at, at, self.alpha * sum.wide() + old);
                }
            }
        }
        Ok(())
    }

    fn submit(self, handle: *mut Handle) -> i32 {
        trace(|| format!("gemm {}×{}×{}, {} times, {:?}", self.m, self.n, self.k, self.batch, self.a.element));
        // SAFETY: a handle from `cublasCreate_v2`.
        let Ok(handle) = (unsafe { open(handle) }) else { return INVALID };
        let double = self.c.element == Element::F64;
        let work = Box::new(move || if double { self.run::<f64>() } else { self.run::<f32>() });
        let done = handle.stream().submit(Error::IllegalAddress, work);
        if done.is_ok() { OK } else { FAILED }
    }
}

/// A `cudaDataType`.
fn element(ty: i32) -> Option<Element> {
    Some(match ty {
        0 => Element::F32,
        1 => Element::F64,
        2 => Element::F16,
        14 => Element::Bf16,
        _ => return None,
    })
}

#[unsafe(no_mangle)]
extern "C" fn cublasGemmStridedBatchedEx(
    handle: *mut Handle,
    trans_a: i32,
    trans_b: i32,
    m: i32,
    n: i32,
    k: i32,
    alpha: *const c_void,
    a: u64,
    type_a: i32,
    lead_a: i32,
    stride_a: i64,
    b: u64,
    type_b: i32,
    lead_b: i32,
    stride_b: i64,
    beta: *const c_void,
    c: u64,
    type_c: i32,
    lead_c: i32,
    stride_c: i64,
    batch: i32,
    compute: i32,
    _algorithm: i32,
) -> i32 {
    let (Some(type_a), Some(type_b), Some(type_c)) = (element(type_a), element(type_b), element(type_c)) else {
        return NOT_SUPPORTED;
    };
    // The factors have the type that is computed in.
    let factor = match compute {
        70 | 71 => Element::F64,
        64 | 65 => Element::F16,
        _ => Element::F32,
    };
    // SAFETY: the caller passes pointers to host numbers of that type.
    let (alpha, beta) = unsafe { (factor.read(alpha as u64, 0), factor.read(beta as u64, 0)) };
    let matrix = |at, element, lead: i32, stride, trans| Matrix {
        at,
        element,
        lead: lead as usize,
        stride,
        transposed: trans != 0,
    };
    Product {
        a: matrix(a, type_a, lead_a, stride_a, trans_a),
        b: matrix(b, type_b, lead_b, stride_b, trans_b),
        c: matrix(c, type_c, lead_c, stride_c, 0),
        m: m as usize,
        n: n as usize,
        k: k as usize,
        alpha,
        beta,
        batch: batch as usize,
    }
    .submit(handle)
}

#[unsafe(no_mangle)]
extern "C" fn cublasGemmEx(
    handle: *mut Handle,
    trans_a: i32,
    trans_b: i32,
    m: i32,
    n: i32,
    k: i32,
    alpha: *const c_void,
    a: u64,
    type_a: i32,
    lead_a: i32,
    b: u64,
    type_b: i32,
    lead_b: i32,
    beta: *const c_void,
    c: u64,
    type_c: i32,
    lead_c: i32,
    compute: i32,
    algorithm: i32,
) -> i32 {
    #[rustfmt::skip]
    let done = cublasGemmStridedBatchedEx(
        handle, trans_a, trans_b, m, n, k, alpha, a, type_a, lead_a, 0, b, type_b, lead_b, 0, beta, c, type_c, lead_c, 0, 1,
        compute, algorithm,
    );
    done
}

/// The typed forms.
macro_rules! typed {
    ($plain:ident, $batched:ident, $ty:literal, $compute:literal) => {
        #[unsafe(no_mangle)]
        extern "C" fn $batched(
            handle: *mut Handle,
            trans_a: i32,
            trans_b: i32,
            m: i32,
            n: i32,
            k: i32,
            alpha: *const c_void,
            a: u64,
            lead_a: i32,
            stride_a: i64,
            b: u64,
            lead_b: i32,
            stride_b: i64,
            beta: *const c_void,
            c: u64,
            lead_c: i32,
            stride_c: i64,
            batch: i32,
        ) -> i32 {
            #[rustfmt::skip]
            let done = cublasGemmStridedBatchedEx(
                handle, trans_a, trans_b, m, n, k, alpha, a, $ty, lead_a, stride_a, b, $ty, lead_b, stride_b, beta, c, $ty,
                lead_c, stride_c, batch, $compute, 0,
            );
            done
        }

        #[unsafe(no_mangle)]
        extern "C" fn $plain(
            handle: *mut Handle,
            trans_a: i32,
            trans_b: i32,
            m: i32,
            n: i32,
            k: i32,
            alpha: *const c_void,
            a: u64,
            lead_a: i32,
            b: u64,
            lead_b: i32,
            beta: *const c_void,
            c: u64,
            lead_c: i32,
        ) -> i32 {
            #[rustfmt::skip]
            let done = $batched(handle, trans_a, trans_b, m, n, k, alpha, a, lead_a, 0, b, lead_b, 0, beta, c, lead_c, 0, 1);
            done
        }
    };
}

typed!(cublasSgemm_v2, cublasSgemmStridedBatched, 0, 68);
typed!(cublasDgemm_v2, cublasDgemmStridedBatched, 1, 70);
