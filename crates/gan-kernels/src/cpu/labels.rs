//! Operators on label and instance maps.
use crate::cpu::real::Real;
use rayon::prelude::*;
use std::collections::HashMap;

/// Planes of zeros and ones from the ids of `n` images, each below `classes`.
pub(crate) fn one_hot<T: Real>(ids: &[u32], n: usize, classes: usize) -> Vec<T> {
    let hw = ids.len() / n.max(1);
    let mut out = vec![T::zero(); ids.len() * classes];
    for (i, &id) in ids.iter().enumerate() {
        out[(i / hw * classes + id as usize) * hw + i % hw] = T::one();
    }
    out
}

/// 1 where one of the four neighbors in the image carries another id.
pub(crate) fn instance_edges<T: Real>(ids: &[u32], (h, w): (usize, usize)) -> Vec<T> {
    let mut out = vec![T::zero(); ids.len()];
    for (i, o) in out.iter_mut().enumerate() {
        let (y, x) = (i / w % h, i % w);
        let id = ids[i];
        let edge = (x > 0 && ids[i - 1] != id)
            || (x + 1 < w && ids[i + 1] != id)
            || (y > 0 && ids[i - w] != id)
            || (y + 1 < h && ids[i + w] != id);
        *o = if edge { T::one() } else { T::zero() };
    }
    out
}

/// Means of `c` features over the pixels of an image of `hw` pixels that share an id.
pub(crate) fn instance_mean<T: Real>(x: &[T], ids: &[u32], c: usize, hw: usize) -> Vec<T> {
    // Ids of an image become small numbers, in order of appearance.
    let mut counts: Vec<Vec<usize>> = Vec::new();
    let mut numbers = Vec::with_capacity(ids.len());
    for image in ids.chunks(hw.max(1)) {
        let (mut seen, mut count) = (HashMap::new(), Vec::new());
        for id in image {
            let next = seen.len();
            let number = *seen.entry(id).or_insert(next);
            if number == count.len() {
                count.push(0);
            }
            count[number] += 1;
            numbers.push(number);
        }
        counts.push(count);
    }
    let mut out = vec![T::zero(); x.len()];
    out.par_chunks_mut(hw.max(1)).zip(x.par_chunks(hw.max(1))).enumerate().for_each(|(plane, (out, x))| {
        let numbers = &numbers[plane / c * hw..][..hw];
        let counts = &counts[plane / c];
        let mut sums = vec![0.0f64; counts.len()];
        for (&i, &v) in numbers.iter().zip(x) {
            sums[i] += v.f64();
        }
        for (o, &i) in out.iter_mut().zip(numbers) {
            *o = T::of(sums[i] / counts[i] as f64);
        }
    });
    out
}
