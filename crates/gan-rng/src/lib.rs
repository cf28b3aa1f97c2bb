//! Counter-based randomness: every number is a pure function of its key.
//!
//! Nothing here has hidden state. A [`Key`] names a place in the run (`seed`, [`Purpose`], epoch, step, item, …) and
//! element `i` of that key's random sequence can be computed by anyone, in any order, on any device. Results are
//! therefore independent of thread counts and loader workers, and a resumed run needs to save nothing but the seed.
//!
//! The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
//!
//! ```
//! use gan_rng::{Key, Purpose};
//! let key = Key::new(42, Purpose::Augment).at(3).at(17); // epoch 3, item 17
//! let mut stream = key.stream();
//! let x = stream.below(31);
//! assert_eq!(x, key.stream().below(31));
//! ```

mod permutation;
mod philox;
mod stream;

pub use philox::philox4x32_10;
pub use stream::Stream;

/// What a random sequence is for. Different purposes never share numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Purpose {
    /// Weight initialisation.
    Init = 1,
    /// Order of the items of an epoch.
    Shuffle = 2,
    /// Crops, flips and the choice of the unpaired partner.
    Augment = 3,
    /// Dropout masks, and the other choices inside a training step: positions of patches, flips.
    Dropout = 4,
    /// Decisions of the image pool.
    Pool = 5,
    /// Procedural images.
    Synth = 6,
    /// Splitting datasets.
    Split = 7,
    /// Clustering and sampling of instance features.
    Style = 8,
    /// Tests and benchmarks.
    Test = 9,
    /// Subsets and bootstrap samples of evaluations.
    Evaluation = 20,
}

/// Names one random sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    /// The sequence of a purpose in the run with this seed.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        Key(seed).at(u64::from(purpose as u32))
    }

    /// The sub-sequence number `index` of this one (an epoch, a step, an item, a layer, …).
    ///
    /// The derived key is 64 bits of the Philox block of `index` under a counter domain that [`Key::block`] never uses,
    /// so keys and numbers do not overlap.
    #[must_use]
    pub fn at(self, index: u64) -> Self {
        let [lo, hi] = split(index);
        let [a, b, _, _] = philox4x32_10(split(self.0), [lo, hi, 0, 1]);
        Key(u64::from(a) | u64::from(b) << 32)
    }

    /// The sub-sequence named by a text, for example a parameter's name.
    #[must_use]
    pub fn at_name(self, name: &str) -> Self {
        self.at(Self::index_of(name))
    }

    /// The index for which [`Key::at_name`] takes a name, for who derives the key elsewhere (a CUDA kernel).
    pub fn index_of(name: &str) -> u64 {
        fnv1a(name.as_bytes())
    }

    /// The key as a number, for processes that share it.
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The key of [`Key::to_bits`].
    pub fn from_bits(bits: u64) -> Self {
        Key(bits)
    }

    /// The key's two words, for generators that run elsewhere (a CUDA kernel).
    pub fn words(self) -> [u32; 2] {
        split(self.0)
    }

    /// The `index`-th block of four random words; element `i` of the sequence is word `i % 4` of block `i / 4`.
    pub fn block(self, index: u64) -> [u32; 4] {
        let [lo, hi] = split(index);
        philox4x32_10(self.words(), [lo, hi, 0, 0])
    }

    /// Fills `out` with standard normal numbers: four a block, so that element `i` comes from block `i / 4` and large
    /// tensors can be filled in parallel from any `first_block` (Box–Muller on 24-bit uniforms, |x| < 5.8).
    pub fn fill_normal(self, first_block: u64, out: &mut [f32]) {
        for (i, four) in out.chunks_mut(4).enumerate() {
            let w = self.block(first_block + i as u64);
            let pair = |a: u32, b: u32| {
                let unit = 1.0 / (1u32 << 24) as f32;
                let radius = (-2.0 * (((a >> 8) + 1) as f32 * unit).ln()).sqrt();
                let (sin, cos) = (std::f32::consts::TAU * ((b >> 8) as f32 * unit)).sin_cos();
                [radius * cos, radius * sin]
            };
            let ([a, b], [c, d]) = (pair(w[0], w[1]), pair(w[2], w[3]));
            four.copy_from_slice(&[a, b, c, d][..four.len()]);
        }
    }

    /// Reads the sequence from its start.
    pub fn stream(self) -> Stream {
        Stream::new(self)
    }
}

fn split(x: u64) -> [u32; 2] {
    [x as u32, (x >> 32) as u32]
}

/// FNV-1a, 64 bits: a fixed, documented hash, so that a name means the same sequence in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn keys_differ_by_every_part() {
        let mut seen = HashSet::new();
        for seed in 0..10 {
            for purpose in [Purpose::Init, Purpose::Shuffle, Purpose::Dropout] {
                for epoch in 0..10 {
                    for item in 0..10 {
                        assert!(seen.insert(Key::new(seed, purpose).at(epoch).at(item)));
                    }
                }
            }
        }
    }

    #[test]
    fn order_of_indices_matters() {
        let k = Key::new(0, Purpose::Test);
        assert_ne!(k.at(1).at(2), k.at(2).at(1));
        assert_ne!(k.at_name("a.weight"), k.at_name("b.weight"));
    }

    #[test]
    fn filled_normals_have_unit_moments_and_can_be_split() {
        let key = Key::new(5, Purpose::Test);
        let mut whole = vec![0f32; 100_002];
        key.fill_normal(0, &mut whole);
        let mut part = [0f32; 6];
        key.fill_normal(2, &mut part);
        assert_eq!(part, whole[8..14]);
        let n = whole.len() as f64;
        let moment = |p| whole.iter().map(|&x| f64::from(x).powi(p)).sum::<f64>() / n;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.02 && (moment(4) - 3.0).abs() < 0.15);
    }

    #[test]
    fn numbers_are_pinned() {
        // A change here would change every run: bump the checkpoint format if it is ever meant.
        let key = Key::new(1, Purpose::Init).at(2);
        assert_eq!(key.words(), [360966392, 3448818549]);
        assert_eq!(key.block(3), [1246513767, 2570255388, 1396311576, 1310539372]);
    }
}
