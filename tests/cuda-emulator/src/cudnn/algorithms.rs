//! Choosing algorithms: lists like cuDNN's, with different workspaces and determinism, the quickest first.

use super::{
    Handle, Refusal,
    convolve::{Pass, Problem},
    descriptors::{Convolution, Tensor},
    get, refuse, status,
};
use crate::{
    driver::put,
    memory::{self, POISON},
    numbers::Element,
    trace::trace,
};

/// `cudnnConvolution…AlgoPerf_t`
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Perf {
    algorithm: i32,
    status: i32,
    time: f32,
    memory: usize,
    determinism: i32,
    math: i32,
    reserved: [i32; 3],
}

/// Number, workspace (in pages), determinism of the algorithms that a pass has.
fn algorithms(pass: Pass) -> &'static [(i32, usize, bool)] {
    match pass {
        Pass::Forward => &[(1, 3, true), (0, 0, true)],
        // The quickest is not deterministic, so that who needs it has to look.
        Pass::Data => &[(0, 0, false), (1, 5, true)],
        Pass::Filter => &[(0, 0, false), (3, 2, false), (1, 4, true)],
    }
}

/// The workspace that an algorithm needs, in bytes.
///
/// # Errors
/// If the pass does not have it.
pub fn workspace(pass: Pass, algorithm: i32, problem: &Problem) -> Result<usize, Refusal> {
    let found = algorithms(pass).iter().find(|(number, ..)| *number == algorithm);
    let Some((_, pages, _)) = found else {
        // Who chooses asks for those that are not there, too.
        trace(|| format!("cuDNN {pass:?}: no algorithm {algorithm} for this problem"));
        return Err(Refusal::NotSupported);
    };
    Ok(pages * (4096 + 4 * problem.w.len()))
}

/// The problem that descriptors state.
///
/// # Errors
/// If they do not fit together, or cuDNN has no algorithm for them.
pub fn problem(
    x: *mut Tensor,
    w: *mut Tensor,
    y: *mut Tensor,
    convolution: *mut Convolution,
) -> Result<Problem, Refusal> {
    // SAFETY: handles made here.
    let (x, w, y, geometry) =
        unsafe { (get(x)?.shape()?, get(w)?.shape()?, get(y)?.shape()?, get(convolution)?.geometry()?) };
    let problem = Problem { x, w, y, geometry };
    let bad = |message: &str| Err(refuse(Refusal::BadParam, &format!("{message}: {problem:?}")));
    if problem.output() != [Some(y.dims[2]), Some(y.dims[3])] {
        return bad("the output's size does not fit input, filter and geometry");
    }
    if x.dims[0] != y.dims[0] || w.dims[0] != y.dims[1] || w.dims[1] * geometry.groups != x.dims[1] {
        return bad("batch, channels or groups do not fit");
    }
    if !y.dims[1].is_multiple_of(geometry.groups) {
        return bad("channels do not fall into groups");
    }
    let element = x.element;
    if w.element != element || y.element != element {
        return Err(refuse(Refusal::NotSupported, &format!("tensors of different types: {problem:?}")));
    }
    let compute = if element == Element::F64 { Element::F64 } else { Element::F32 };
    if geometry.compute != compute {
        return Err(refuse(Refusal::NotSupported, &format!("computing {element:?} in {:?}", geometry.compute)));
    }
    let layouts = [x, w, y].map(|shape| shape.layout());
    use super::descriptors::Layout::{Nchw, Nhwc, Other};
    if layouts.contains(&Other) || (layouts.contains(&Nchw) && layouts.contains(&Nhwc)) {
        return Err(refuse(Refusal::NotSupported, &format!("layouts {layouts:?} of x, w, y: {problem:?}")));
    }
    Ok(problem)
}

/// Lists the algorithms that need no more than `limit` bytes.
fn list(
    pass: Pass,
    problem: &Problem,
    limit: usize,
    wanted: i32,
    count: *mut i32,
    out: *mut Perf,
) -> Result<(), Refusal> {
    let mut found = 0;
    for (number, _, deterministic) in algorithms(pass) {
        let memory = workspace(pass, *number, problem)?;
        if found < wanted.max(0) as usize && memory <= limit {
            let perf = Perf {
                algorithm: *number,
                status: 0,
                time: 0.1 + found as f32,
                memory,
                determinism: i32::from(*deterministic),
                math: problem.geometry.math,
                reserved: [0; 3],
            };
            // SAFETY: the caller's array has `wanted` elements.
            unsafe { out.add(found).write(perf) };
            found += 1;
        }
    }
    put(count, found as i32).map_err(|_| Refusal::BadParam)
}

/// Overwrites an array's elements, as trying algorithms does.
fn spoil(problem: &Problem, pass: Pass, out: u64) -> Result<(), Refusal> {
    let shape = match pass {
        Pass::Forward => problem.y,
        Pass::Data => problem.x,
        Pass::Filter => problem.w,
    };
    shape.check(out, "Find: the result").map_err(|message| refuse(Refusal::ExecutionFailed, &message))?;
    // SAFETY: checked just now; a packed shape has no gaps.
    unsafe { (out as *mut u8).write_bytes(POISON, shape.len() * shape.element.size()) };
    Ok(())
}

/// Whether so much workspace is there; fills it with anything.
///
/// # Errors
/// If it lies outside of allocated memory.
pub fn use_workspace(at: u64, bytes: usize) -> Result<(), String> {
    memory::check(at, bytes).map_err(|e| format!("cuDNN: workspace: {e}"))?;
    if bytes > 0 {
        // SAFETY: checked just now.
        unsafe { (at as *mut u8).write_bytes(POISON, bytes) };
    }
    Ok(())
}

/// `cudnnGet…WorkspaceSize`, `cudnnGet…Algorithm_v7`, `cudnnFind…AlgorithmEx` and their like of one pass, with the order of
/// arguments that each pass has.
macro_rules! exports {
    ($pass:expr, $size:ident, $get:ident, $find:ident, $most:ident,
     ($a:ident: $ta:ty, $b:ident: $tb:ty, $c:ident: $tc:ty, $d:ident: $td:ty),
     ($x:ident, $w:ident, $y:ident, $out:ident), ($($find_args:tt)*)) => {
        #[unsafe(no_mangle)]
        extern "C" fn $size(_: *mut Handle, $a: $ta, $b: $tb, $c: $tc, $d: $td, algorithm: i32, bytes: *mut usize) -> i32 {
            status(problem($x, $w, $y, $c).and_then(|problem| {
                put(bytes, workspace($pass, algorithm, &problem)?).map_err(|_| Refusal::BadParam)
            }))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $get(
            _: *mut Handle, $a: $ta, $b: $tb, $c: $tc, $d: $td, wanted: i32, count: *mut i32, out: *mut Perf,
        ) -> i32 {
            status(problem($x, $w, $y, $c)
                .and_then(|problem| list($pass, &problem, usize::MAX, wanted, count, out)))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $find(
            handle: *mut Handle, $($find_args)*, wanted: i32, count: *mut i32, out: *mut Perf, space: u64, bytes: usize,
        ) -> i32 {
            trace(|| concat!("sync (", stringify!($find), ")").to_owned());
            // SAFETY: a handle made here.
            status(unsafe { get(handle) }.and_then(|handle| {
                handle.stream().forbid(stringify!($find)).map_err(|_| Refusal::ExecutionFailed)?;
                let problem = problem($x, $w, $y, $c)?;
                use_workspace(space, bytes).map_err(|message| refuse(Refusal::ExecutionFailed, &message))?;
                spoil(&problem, $pass, $out)?;
                list($pass, &problem, bytes, wanted, count, out)
            }))
        }

        #[unsafe(no_mangle)]
        extern "C" fn $most(_: *mut Handle, count: *mut i32) -> i32 {
            status(put(count, algorithms($pass).len() as i32).map_err(|_| Refusal::BadParam))
        }
    };
}

exports!(Pass::Forward, cudnnGetConvolutionForwardWorkspaceSize, cudnnGetConvolutionForwardAlgorithm_v7,
    cudnnFindConvolutionForwardAlgorithmEx, cudnnGetConvolutionForwardAlgorithmMaxCount,
    (x: *mut Tensor, w: *mut Tensor, convolution: *mut Convolution, y: *mut Tensor),
    (x, w, y, y_at),
    (x: *mut Tensor, _x_at: u64, w: *mut Tensor, _w_at: u64, convolution: *mut Convolution, y: *mut Tensor, y_at: u64));

exports!(Pass::Data, cudnnGetConvolutionBackwardDataWorkspaceSize, cudnnGetConvolutionBackwardDataAlgorithm_v7,
    cudnnFindConvolutionBackwardDataAlgorithmEx, cudnnGetConvolutionBackwardDataAlgorithmMaxCount,
    (w: *mut Tensor, y: *mut Tensor, convolution: *mut Convolution, x: *mut Tensor),
    (x, w, y, x_at),
    (w: *mut Tensor, _w_at: u64, y: *mut Tensor, _y_at: u64, convolution: *mut Convolution, x: *mut Tensor, x_at: u64));

exports!(Pass::Filter, cudnnGetConvolutionBackwardFilterWorkspaceSize, cudnnGetConvolutionBackwardFilterAlgorithm_v7,
    cudnnFindConvolutionBackwardFilterAlgorithmEx, cudnnGetConvolutionBackwardFilterAlgorithmMaxCount,
    (x: *mut Tensor, y: *mut Tensor, convolution: *mut Convolution, w: *mut Tensor),
    (x, w, y, w_at),
    (x: *mut Tensor, _x_at: u64, y: *mut Tensor, _y_at: u64, convolution: *mut Convolution, w: *mut Tensor, w_at: u64));
