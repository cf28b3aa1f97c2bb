//! cuRAND, as far as candle calls it. The numbers are others than cuRAND's.

use std::{
    f64::consts::TAU,
    sync::{Mutex, PoisonError},
};

use crate::{
    driver::{open, stream::Stream},
    handle::{create, destroy},
    memory,
    numbers::Element,
};

/// A generator: its state and stream.
#[derive(Debug, Default)]
struct Generator {
    state: Mutex<(u64, usize)>,
}

const OK: i32 = 0;
const FAILED: i32 = 201;
const NOT_MULTIPLE: i32 = 105;

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// In (0, 1].
fn unit(state: &mut u64) -> f64 {
    ((next(state) >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[unsafe(no_mangle)]
extern "C" fn curandCreateGenerator(out: *mut *mut Generator, _kind: i32) -> i32 {
    if create(out).is_ok() { OK } else { FAILED }
}

#[unsafe(no_mangle)]
extern "C" fn curandDestroyGenerator(generator: *mut Generator) -> i32 {
    // SAFETY: made by `curandCreateGenerator`, and destroyed once.
    unsafe { destroy(generator) }
}

fn with(generator: *mut Generator, f: impl FnOnce(&mut (u64, usize)) -> i32) -> i32 {
    // SAFETY: a handle from `curandCreateGenerator`.
    match unsafe { open(generator) } {
        Ok(generator) => f(&mut generator.state.lock().unwrap_or_else(PoisonError::into_inner)),
        Err(_) => FAILED,
    }
}

#[unsafe(no_mangle)]
extern "C" fn curandSetPseudoRandomGeneratorSeed(generator: *mut Generator, seed: u64) -> i32 {
    with(generator, |state| {
        state.0 = seed;
        OK
    })
}

#[unsafe(no_mangle)]
extern "C" fn curandSetGeneratorOffset(_generator: *mut Generator, _offset: u64) -> i32 {
    OK
}

#[unsafe(no_mangle)]
extern "C" fn curandSetStream(generator: *mut Generator, stream: usize) -> i32 {
    with(generator, |state| {
        state.1 = stream;
        OK
    })
}

/// Fills an array with draws.
fn generate(
    generator: *mut Generator,
    element: Element,
    at: u64,
    count: usize,
    draw: fn(&mut u64, [f64; 2]) -> f64,
    args: [f64; 2],
) -> i32 {
    with(generator, |state| {
        let mut own = state.0;
        state.0 = next(&mut state.0);
        let stream = Stream::of(state.1);
        if stream.forbid("a cuRAND call").is_err() {
            return FAILED;
        }
        if let Err(message) = memory::check(at, count * element.size()) {
            crate::trace::report(&format!("cuRAND: {message}"));
            return FAILED;
        }
        // SAFETY: checked just now.
        (0..count).for_each(|index| unsafe { element.write(at, index, draw(&mut own, args)) });
        OK
    })
}

fn uniform(state: &mut u64, _: [f64; 2]) -> f64 {
    unit(state)
}

fn normal(state: &mut u64, [mean, deviation]: [f64; 2]) -> f64 {
    mean + deviation * (-2.0 * unit(state).ln()).sqrt() * (TAU * unit(state)).cos()
}

#[unsafe(no_mangle)]
extern "C" fn curandGenerateUniform(generator: *mut Generator, at: u64, count: usize) -> i32 {
    generate(generator, Element::F32, at, count, uniform, [0.0; 2])
}

#[unsafe(no_mangle)]
extern "C" fn curandGenerateUniformDouble(generator: *mut Generator, at: u64, count: usize) -> i32 {
    generate(generator, Element::F64, at, count, uniform, [0.0; 2])
}

/// Normal numbers come in pairs; cuRAND refuses an odd count.
#[unsafe(no_mangle)]
extern "C" fn curandGenerateNormal(generator: *mut Generator, at: u64, count: usize, mean: f32, deviation: f32) -> i32 {
    if count % 2 == 1 {
        return NOT_MULTIPLE;
    }
    generate(generator, Element::F32, at, count, normal, [f64::from(mean), f64::from(deviation)])
}

#[unsafe(no_mangle)]
extern "C" fn curandGenerateNormalDouble(
    generator: *mut Generator,
    at: u64,
    count: usize,
    mean: f64,
    deviation: f64,
) -> i32 {
    if count % 2 == 1 {
        return NOT_MULTIPLE;
    }
    generate(generator, Element::F64, at, count, normal, [mean, deviation])
}
