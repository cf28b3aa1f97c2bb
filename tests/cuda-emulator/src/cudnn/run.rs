//! The functions that compute.

use std::{ffi::c_void, sync::PoisonError};

use super::{
    Handle, Refusal,
    algorithms::{problem, use_workspace, workspace},
    convolve::{Pass, Problem},
    descriptors::{Activation, Convolution, Shape, Tensor},
    factor, get, refuse, status,
};
use crate::{
    driver::Error,
    numbers::{Compute, Element},
    trace::trace,
};

/// An array's elements in logical order.
fn read<T: Compute>(shape: &Shape, at: u64, name: &str) -> Result<Vec<T>, String> {
    shape.check(at, name)?;
    // SAFETY: checked just now.
    Ok((0..shape.len()).map(|number| T::of(unsafe { shape.element.read(at, shape.index(number)) })).collect())
}

/// `array = f(alpha · value + beta · array)`
fn write<T: Compute>(
    shape: &Shape,
    at: u64,
    values: &[T],
    (alpha, beta): (f64, f64),
    name: &str,
) -> Result<(), String> {
    shape.check(at, name)?;
    for (number, value) in values.iter().enumerate() {
        let index = shape.index(number);
        // SAFETY: checked just now.
        unsafe {
            let old = if beta == 0.0 { 0.0 } else { beta * shape.element.read(at, index) };
            shape.element.write(at, index, alpha * value.wide() + old);
        }
    }
    Ok(())
}

/// A pass over arrays at these addresses, in the order x, w, y.
#[derive(Clone, Copy, Debug)]
struct Job {
    pass: Pass,
    problem: Problem,
    at: [u64; 3],
    factors: (f64, f64),
    space: u64,
    bytes: usize,
}

impl Job {
    fn compute<T: Compute>(&self) -> Result<(), String> {
        use_workspace(self.space, self.bytes)?;
        let Problem { x, w, y, .. } = &self.problem;
        let [x_at, w_at, y_at] = self.at;
        let (a, b) = match self.pass {
            Pass::Forward => (read::<T>(x, x_at, "x")?, read(w, w_at, "w")?),
            Pass::Data => (read::<T>(w, w_at, "w")?, read(y, y_at, "dy")?),
            Pass::Filter => (read::<T>(x, x_at, "x")?, read(y, y_at, "dy")?),
        };
        let out = self.problem.run(self.pass, &a, &b);
        match self.pass {
            Pass::Forward => write(y, y_at, &out, self.factors, "y"),
            Pass::Data => write(x, x_at, &out, self.factors, "dx"),
            Pass::Filter => write(w, w_at, &out, self.factors, "dw"),
        }
    }

    fn run(&self) -> Result<(), String> {
        if self.problem.x.element == Element::F64 { self.compute::<f64>() } else { self.compute::<f32>() }
    }

    fn prepare(
        pass: Pass,
        problem: Problem,
        at: [u64; 3],
        factors: [*const c_void; 2],
        algorithm: i32,
        (space, bytes): (u64, usize),
    ) -> Result<Self, Refusal> {
        trace(|| format!("cuDNN {pass:?} {:?} × {:?}, {:?}", problem.x.dims, problem.w.dims, problem.x.element));
        let needed = workspace(pass, algorithm, &problem)?;
        if bytes < needed {
            return Err(refuse(Refusal::BadParam, &format!("{bytes} bytes of workspace where {needed} are needed")));
        }
        let double = problem.x.element == Element::F64;
        // SAFETY: the caller passes pointers to numbers of that type.
        let factors = unsafe { (factor(factors[0], double), factor(factors[1], double)) };
        Ok(Self { pass, problem, at, factors, space, bytes })
    }
}

/// Lets the handle's stream do `work`.
fn submit(handle: *mut Handle, work: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Result<(), Refusal> {
    // SAFETY: a handle made here.
    let stream = unsafe { get(handle) }?.stream();
    stream.submit(Error::LaunchFailed, Box::new(work)).map_err(|_| Refusal::ExecutionFailed)
}

/// A pass with its order of arguments: two arrays, and the third as the result. Then all three in the order x, w, y.
macro_rules! pass {
    ($pass:expr, $name:ident, $a:ident $a_at:ident, $b:ident $b_at:ident => $c:ident $c_at:ident,
     $x:ident $x_at:ident, $w:ident $w_at:ident, $y:ident $y_at:ident) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name(
            handle: *mut Handle,
            alpha: *const c_void,
            $a: *mut Tensor,
            $a_at: u64,
            $b: *mut Tensor,
            $b_at: u64,
            convolution: *mut Convolution,
            algorithm: i32,
            space: u64,
            bytes: usize,
            beta: *const c_void,
            $c: *mut Tensor,
            $c_at: u64,
        ) -> i32 {
            status(problem($x, $w, $y, convolution).and_then(|problem| {
                let at = [$x_at, $w_at, $y_at];
                let job = Job::prepare($pass, problem, at, [alpha, beta], algorithm, (space, bytes))?;
                submit(handle, move || job.run())
            }))
        }
    };
}

pass!(Pass::Forward, cudnnConvolutionForward, x x_at, w w_at => y y_at, x x_at, w w_at, y y_at);
pass!(Pass::Data, cudnnConvolutionBackwardData, w w_at, y y_at => x x_at, x x_at, w w_at, y y_at);
pass!(Pass::Filter, cudnnConvolutionBackwardFilter, x x_at, y y_at => w w_at, x x_at, w w_at, y y_at);

#[unsafe(no_mangle)]
extern "C" fn cudnnConvolutionBackwardBias(
    handle: *mut Handle,
    alpha: *const c_void,
    y: *mut Tensor,
    y_at: u64,
    beta: *const c_void,
    b: *mut Tensor,
    b_at: u64,
) -> i32 {
    // SAFETY: handles made here, and pointers to numbers of the tensors' type.
    let shapes = unsafe { get(y).and_then(|y| Ok((y.shape()?, get(b)?.shape()?))) };
    status(shapes.and_then(|(y, b)| {
        if b.dims != [1, y.dims[1], 1, 1] {
            return Err(refuse(Refusal::BadParam, &format!("bias {:?} of {:?}", b.dims, y.dims)));
        }
        if b.element != y.element {
            return Err(refuse(Refusal::NotSupported, "bias and dy of different types"));
        }
        let double = y.element == Element::F64;
        // SAFETY: as above.
        let factors = unsafe { (factor(alpha, double), factor(beta, double)) };
        submit(handle, move || {
            let mut sums = vec![0.0; b.len()];
            let plane = y.dims[2] * y.dims[3];
            for (number, dy) in read::<f64>(&y, y_at, "dy")?.into_iter().enumerate() {
                sums[number / plane % y.dims[1]] += dy;
            }
            write(&b, b_at, &sums, factors, "db")
        })
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnAddTensor(
    handle: *mut Handle,
    alpha: *const c_void,
    a: *mut Tensor,
    a_at: u64,
    beta: *const c_void,
    c: *mut Tensor,
    c_at: u64,
) -> i32 {
    // SAFETY: handles made here, and pointers to numbers of the tensors' type.
    let shapes = unsafe { get(a).and_then(|a| Ok((a.shape()?, get(c)?.shape()?))) };
    status(shapes.and_then(|(a, c)| {
        if (0..4).any(|k| a.dims[k] != 1 && a.dims[k] != c.dims[k]) {
            return Err(refuse(Refusal::BadParam, &format!("adding {:?} to {:?}", a.dims, c.dims)));
        }
        let double = c.element == Element::F64;
        // SAFETY: as above.
        let factors = unsafe { (factor(alpha, double), factor(beta, double)) };
        submit(handle, move || {
            a.check(a_at, "a")?;
            // SAFETY: checked just now.
            let values: Vec<f64> =
                (0..c.len()).map(|number| unsafe { a.element.read(a_at, a.repeated(&c, number)) }).collect();
            write(&c, c_at, &values, factors, "c")
        })
    }))
}

#[unsafe(no_mangle)]
extern "C" fn cudnnConvolutionBiasActivationForward(
    handle: *mut Handle,
    alpha1: *const c_void,
    x: *mut Tensor,
    x_at: u64,
    w: *mut Tensor,
    w_at: u64,
    convolution: *mut Convolution,
    algorithm: i32,
    space: u64,
    bytes: usize,
    alpha2: *const c_void,
    z: *mut Tensor,
    z_at: u64,
    bias: *mut Tensor,
    bias_at: u64,
    activation: *mut Activation,
    y: *mut Tensor,
    y_at: u64,
) -> i32 {
    const RELU: i32 = 1;
    const IDENTITY: i32 = 5;
    status(problem(x, w, y, convolution).and_then(|problem| {
        let at = [x_at, w_at, y_at];
        // `alpha2` stands in for beta here: z is added below.
        let mut job = Job::prepare(Pass::Forward, problem, at, [alpha1, alpha2], algorithm, (space, bytes))?;
        let scale = std::mem::take(&mut job.factors.1);
        // SAFETY: handles made here.
        let (z, bias, mode) = unsafe { (get(z)?.shape()?, get(bias)?.shape()?, get(activation)?) };
        let mode = *mode.0.lock().unwrap_or_else(PoisonError::into_inner);
        if mode != RELU && (mode != IDENTITY || algorithm != 1) {
            return Err(refuse(Refusal::NotSupported, "an activation other than ReLU (or none, with algorithm 1)"));
        }
        submit(handle, move || {
            let residual: Vec<f64> = if scale == 0.0 { vec![] } else { read(&z, z_at, "z")? };
            bias.check(bias_at, "bias")?;
            job.run()?;
            let y = job.problem.y;
            let mut values: Vec<f64> = read(&y, y_at, "y")?;
            for (number, value) in values.iter_mut().enumerate() {
                // SAFETY: checked just now.
                *value += unsafe { bias.element.read(bias_at, bias.repeated(&y, number)) };
                *value += residual.get(number).map_or(0.0, |z| scale * z);
                if mode == RELU {
                    *value = value.max(0.0);
                }
            }
            write(&y, y_at, &values, (1.0, 0.0), "y")
        })
    }))
}
