//! A recursive filter over time along the motion.

use super::plane::{Plane, Tap};
use rayon::prelude::*;

/// Most that the past counts for in a pixel: an average over some `1 / (1 − MOST)` frames.
const MOST: f32 = 0.88;
/// Least that a trusted past counts for, though it is of one frame only: steady from the first frames on.
const LEAST: f32 = 0.7;
/// Ages are counted up to here; `MOST` is reached well before.
const OLDEST: f32 = 32.0;
/// Difference of the inputs, in levels, up to which the past is trusted fully, and what it takes more to lose all trust.
const TRUSTED: f32 = 2.5;
const FADES: f32 = 6.0;

/// What is remembered of the frame before.
#[derive(Debug, Clone)]
pub(super) struct History {
    /// The input's channels.
    pub(super) input: Vec<Plane>,
    /// The result's channels, one after the other, in [-1, 1].
    pub(super) output: Vec<f32>,
    /// Of how many frames a pixel of the result is an average.
    pub(super) age: Vec<f32>,
}

impl History {
    /// The result of a frame, averaged with what is remembered of it, where the input shows that it is the same thing.
    ///
    /// `sources` are the places of the frame's pixels in the frame before.
    pub(super) fn filtered(&self, sources: &[(f32, f32)], input: Vec<Plane>, mut output: Vec<f32>) -> History {
        let (width, height) = (input[0].width, input[0].height);
        let pixels = width * height;
        let taps: Vec<Option<Tap>> = sources.par_iter().map(|&(x, y)| Tap::at(x, y, width, height)).collect();
        let differs = |i: usize| {
            let tap = taps[i]?;
            let pairs = input.iter().zip(&self.input);
            let sum: f32 = pairs.map(|(now, before)| (now.levels[i] - tap.of(&before.levels)).abs()).sum();
            Some(sum / input.len() as f32)
        };
        let differences: Vec<f32> = (0..pixels).into_par_iter().map(|i| differs(i).unwrap_or(f32::INFINITY)).collect();
        let trusted = TRUSTED + 2.0 * noise(&differences);
        let around = box_means(&differences, width, height);
        let age = |i: usize| {
            let Some(tap) = &taps[i] else { return (0.0, 0.0) };
            // A pixel that differs itself, or whose surroundings do.
            let difference = differences[i].min(4.0 * around[i]).max(around[i]);
            let trust = ((trusted + FADES - difference) / FADES).clamp(0.0, 1.0);
            let age = self.age[tap.nearest()];
            (trust * (age / (age + 1.0)).clamp(LEAST, MOST), trust * age)
        };
        let weights: Vec<(f32, f32)> = (0..pixels).into_par_iter().map(age).collect();
        for (channel, before) in output.chunks_exact_mut(pixels).zip(self.output.chunks_exact(pixels)) {
            channel.par_iter_mut().enumerate().for_each(|(i, value)| {
                if let (Some(tap), (weight, _)) = (&taps[i], weights[i])
                    && weight > 0.0
                {
                    *value += weight * (tap.of(before) - *value);
                }
            });
        }
        let age = weights.iter().map(|(_, age)| (age + 1.0).min(OLDEST)).collect();
        History { input, output, age }
    }

    /// The first frame.
    pub(super) fn new(input: Vec<Plane>, output: Vec<f32>) -> History {
        let age = vec![1.0; input[0].levels.len()];
        History { input, output, age }
    }
}

/// What the input's own noise and compression, and resampling, make differ: half of all pixels differ less. At most four levels.
fn noise(differences: &[f32]) -> f32 {
    let mut known: Vec<f32> = differences.iter().copied().filter(|d| d.is_finite()).step_by(7).collect();
    if known.is_empty() {
        return 0.0;
    }
    let middle = known.len() / 2;
    let (_, median, _) = known.select_nth_unstable_by(middle, f32::total_cmp);
    (*median).min(4.0)
}

/// Means over 5x5 pixels of what is finite.
fn box_means(values: &[f32], width: usize, height: usize) -> Vec<f32> {
    const REACH: usize = 2;
    let finite = |v: f32| if v.is_finite() { (v, 1.0) } else { (0.0, 0.0) };
    let across: Vec<(f32, f32)> = (0..width * height)
        .into_par_iter()
        .map(|i| {
            let (x, row) = (i % width, i - i % width);
            let window = row + x.saturating_sub(REACH)..row + (x + REACH + 1).min(width);
            values[window].iter().map(|&v| finite(v)).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
        })
        .collect();
    (0..width * height)
        .into_par_iter()
        .map(|i| {
            let (x, y) = (i % width, i / width);
            let rows = y.saturating_sub(REACH)..(y + REACH + 1).min(height);
            let (sum, count) = rows.map(|y| across[y * width + x]).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            if count > 0.0 { sum / count } else { f32::INFINITY }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::motion::Motion;
    use super::super::plane::Plane;
    use super::*;

    const SIDE: usize = 48;

    fn plane(f: impl Fn(usize, usize) -> f32) -> Plane {
        Plane { width: SIDE, height: SIDE, levels: (0..SIDE * SIDE).map(|i| f(i % SIDE, i / SIDE)).collect() }
    }

    fn texture(x: f32, y: f32) -> f32 {
        127.0 + 60.0 * (0.4 * x).sin() * (0.3 * y).cos() + 40.0 * (0.13 * x + 0.2 * y).sin()
    }

    fn sources(now: &Plane, before: &Plane) -> Vec<(f32, f32)> {
        Motion::between(now, before).sources(now, before)
    }

    /// A result that alternates from frame to frame over a pan is averaged; where something new appears it is not.
    #[test]
    fn what_alternates_is_averaged_along_the_motion() {
        let input = |t: usize| plane(|x, y| texture((x + 2 * t) as f32, y as f32));
        let output = |t: usize| vec![if t.is_multiple_of(2) { 0.5 } else { 0.3 }; SIDE * SIDE];
        let mut history = History::new(vec![input(0)], output(0));
        for t in 1..20 {
            history = history.filtered(&sources(&input(t), &history.input[0]), vec![input(t)], output(t));
        }
        let middle = history.output[SIDE * SIDE / 2 + 10];
        assert!((middle - 0.4).abs() < 0.02, "{middle}");
        // The last column was not in the frame before.
        assert_eq!((history.output[SIDE - 1], history.age[SIDE - 1]), (0.3, 1.0));
        // Another scene has no past.
        let other = plane(|x, y| 255.0 - texture(3.0 * x as f32, 2.0 * y as f32));
        let from = sources(&other, &history.input[0]);
        let after = history.filtered(&from, vec![other], vec![-1.0; SIDE * SIDE]);
        let kept = after.output.iter().filter(|v| **v > -0.9).count();
        assert!(kept < SIDE * SIDE / 20, "{kept}");
    }
}
