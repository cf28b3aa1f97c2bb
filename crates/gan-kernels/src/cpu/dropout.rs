//! Dropout.
use super::elementwise::{CHUNK, for_overwrite};
use crate::cpu::real::Real;
use crate::dispatch::isa;
use crate::isa::vectorised;
use gan_rng::{Key, philox4x32_10};
use rayon::prelude::*;

pub(crate) fn dropout<T: Real>(x: &[T], p: f64, key: Key) -> Vec<T> {
    // Compared as integers: `word >= ceil(p · 2^32)` is `word >= p · 2^32`.
    let threshold = (p * 4_294_967_296.0).ceil() as u64;
    let scale = T::of(1.0 / (1.0 - p));
    let isa = isa();
    let mut out = for_overwrite(x.len());
    out.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(i, (out, x))| {
        chunk(isa, x, out, (i * CHUNK / 4) as u64, threshold, scale, key.words());
    });
    out
}

vectorised! {
    fn chunk<T: Real>(x: &[T], out: &mut [T], first_block: u64, threshold: u64, scale: T, key: [u32; 2]) {
        // Sixteen counters at a time, so that the rounds become vector instructions.
        const BLOCKS: usize = 16;
        for (i, (out, x)) in out.chunks_mut(4 * BLOCKS).zip(x.chunks(4 * BLOCKS)).enumerate() {
            let mut words = [[0u32; 4]; BLOCKS];
            for (b, w) in words.iter_mut().enumerate() {
                let index = first_block + (i * BLOCKS + b) as u64;
                *w = philox4x32_10(key, [index as u32, (index >> 32) as u32, 0, 0]);
            }
            for ((o, &x), &w) in out.iter_mut().zip(x).zip(words.as_flattened()) {
                *o = if u64::from(w) >= threshold { x * scale } else { T::zero() };
            }
        }
    }
}
