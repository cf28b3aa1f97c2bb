//! Differentiable augmentation.
use crate::cpu::real::Real;
use crate::spec::augment::{ADA_STATE, Ada, AugmentPass, BLOCKS, DRAWS, NEUTRAL, hole, reach};
use gan_rng::Key;
use rayon::prelude::*;

/// The draws of `n` images of `h` x `w`, each change made with probability `p`.
pub(crate) fn draws(key: Key, [n, h, w]: [usize; 3], p: f64) -> Vec<f64> {
    let below = |word: u32, n: usize| ((u64::from(word) * n as u64) >> 32) as f64;
    let mut out = Vec::with_capacity(n * DRAWS);
    for image in 0..n as u64 {
        let [a, b, c] = [0, 1, 2].map(|i| key.block(BLOCKS * image + i));
        let applies = |word: u32| f64::from(word) / 4_294_967_296.0 < p;
        let uniform = |word: u32| f64::from(word >> 8) / f64::from(1 << 24);
        let shift = |word: u32, side: usize| below(word, 2 * reach(side) + 1) - reach(side) as f64;
        let centre = |word: u32, side: usize| below(word, side + 1 - hole(side) % 2);
        let drawn = [uniform(a[0]), uniform(a[1]), uniform(a[2]), shift(a[3], h), shift(b[0], w)];
        // Each of the three colours has a coin of its own; the two directions share theirs.
        let coins = [b[3], c[0], c[1], c[2], c[2]];
        out.extend((0..5).map(|i| if applies(coins[i]) { drawn[i] } else { NEUTRAL[i] }));
        let inside = applies(c[3]);
        out.extend([(b[1], h), (b[2], w)].map(|(word, side)| if inside { centre(word, side) } else { -(side as f64) }));
    }
    out
}

/// What the draws of an image say.
struct Drawn {
    brightness: f64,
    saturation: f64,
    contrast: f64,
    shift: [isize; 2],
    /// First row and column of the hole, and the ones behind it; an empty range without.
    hole: [(isize, isize); 2],
    size: [isize; 2],
}

impl Drawn {
    fn new(draws: &[f64], pass: &AugmentPass, [h, w]: [usize; 2]) -> Self {
        let (color, shift) = if pass.color { (&draws[..3], &draws[3..5]) } else { (&NEUTRAL[..3], &draws[3..5]) };
        let range = |centre: f64, side: usize| {
            let first = centre as isize - (hole(side) / 2) as isize;
            (first, first + hole(side) as isize)
        };
        Drawn {
            brightness: color[0] - 0.5,
            saturation: 2.0 * color[1],
            contrast: color[2] + 0.5,
            shift: if pass.translation { [shift[0] as isize, shift[1] as isize] } else { [0, 0] },
            hole: if pass.cutout { [range(draws[5], h), range(draws[6], w)] } else { [(0, 0); 2] },
            size: [h as isize, w as isize],
        }
    }

    /// The pixel of the input that a pixel of the output shows, unless it is cut out or shifted in from outside.
    fn source(&self, y: usize, x: usize) -> Option<usize> {
        let at = [y as isize, x as isize];
        let covered = (0..2).all(|i| (self.hole[i].0..self.hole[i].1).contains(&at[i]));
        let [y, x] = [at[0] + self.shift[0], at[1] + self.shift[1]];
        let inside = (0..self.size[0]).contains(&y) && (0..self.size[1]).contains(&x);
        (inside && !covered).then(|| (y * self.size[1] + x) as usize)
    }

    /// The pixel of the output that shows a pixel of the input.
    fn shown(&self, y: usize, x: usize) -> Option<usize> {
        let [y, x] = [y as isize - self.shift[0], x as isize - self.shift[1]];
        let inside = (0..self.size[0]).contains(&y) && (0..self.size[1]).contains(&x);
        (inside && self.source(y as usize, x as usize).is_some()).then(|| (y * self.size[1] + x) as usize)
    }
}

/// The images `[N, C, H, W]` after a pass, or with `backward` the gradient before it of the one behind it.
///
/// Colours are an affine map that is its own transpose but for the brightness: with contrast k and saturation s,
/// `y = k s x + k (1 - s) grey + (1 - k) mean + brightness`. So the backward pass moves the pixels back, then does the same.
pub(crate) fn augment<T: Real>(
    x: &[T],
    draws: &[f64],
    [c, h, w]: [usize; 3],
    pass: &AugmentPass,
    backward: bool,
) -> Vec<T> {
    let pixels = h * w;
    let mut out = vec![T::zero(); x.len()];
    for ((x, out), draws) in x.chunks(c * pixels).zip(out.chunks_mut(c * pixels)).zip(draws.chunks(DRAWS)) {
        let drawn = Drawn::new(draws, pass, [h, w]);
        let source = |y, x| if backward { drawn.shown(y, x) } else { drawn.source(y, x) };
        let colored = &x[pass.uncolored * pixels..];
        let mean =
            if pass.color { mean(colored, [h, w], |y, x| !backward || drawn.source(y, x).is_some()) } else { 0.0 };
        let (k, s) = (drawn.contrast, drawn.saturation);
        let factor = T::of(k * s);
        let of_grey = T::of(k * (1.0 - s) / (c - pass.uncolored).max(1) as f64);
        let outside = T::of(if backward { (1.0 - k) * mean } else { 0.0 });
        let inside = T::of((1.0 - k) * mean + if backward { 0.0 } else { drawn.brightness });
        out.par_chunks_mut(w).enumerate().for_each(|(row, out)| {
            let (channel, y) = (row / h, row % h);
            let plane = &x[channel * pixels..][..pixels];
            let colors = pass.color && channel >= pass.uncolored;
            for (column, out) in out.iter_mut().enumerate() {
                *out = match source(y, column) {
                    Some(at) if colors => {
                        let sum = colored.iter().skip(at).step_by(pixels).fold(T::zero(), |sum, &x| sum + x);
                        factor * plane[at] + of_grey * sum + inside
                    }
                    Some(at) => plane[at],
                    None if colors => outside,
                    None => T::zero(),
                };
            }
        });
    }
    out
}

/// The mean of planes, where pixels that do not `count` are zero; row by row, in an order that the shape gives.
fn mean<T: Real>(planes: &[T], [h, w]: [usize; 2], counts: impl Fn(usize, usize) -> bool + Sync) -> f64 {
    let of_row = |(row, values): (usize, &[T])| {
        let counted = values.iter().enumerate().filter(|(x, _)| counts(row % h, *x));
        counted.map(|(_, value)| value.f64()).sum::<f64>()
    };
    let rows: Vec<f64> = planes.par_chunks(w).enumerate().map(of_row).collect();
    rows.iter().sum::<f64>() / planes.len().max(1) as f64
}

/// Adds the judgement of `images` real images to the state, and with `last` counts the step and changes the probability when
/// it is time.
pub(crate) fn observe<T: Real>(scores: &[T], images: usize, state: &mut [f64], ada: &Ada, last: bool) {
    let threshold = ada.threshold;
    let sign = |score: &T| f64::from(score.f64() > threshold) - f64::from(score.f64() < threshold);
    state[1] += scores.iter().map(sign).sum::<f64>() / scores.len() as f64;
    state[2] += 1.0;
    if !last {
        return;
    }
    state[3] += images as f64;
    state[4] += 1.0;
    if state[4] >= f64::from(ada.interval) {
        let excess = state[1] / state[2] - ada.target;
        let direction = f64::from(excess > 0.0) - f64::from(excess < 0.0);
        state[0] = (state[0] + direction * state[3] / ada.images).max(0.0);
        state[1..ADA_STATE].fill(0.0);
    }
}
