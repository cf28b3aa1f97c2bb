//! Which images the subsets of KID hold.

use super::mersenne_twister::RandomState;
use gan_rng::{Key, Purpose, Stream};

/// How KID draws its pairs of subsets, without replacement within one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subsets {
    /// Of at most so many images each; a smaller set is taken whole. Each pair of subsets has a random sequence of its own.
    Keyed {
        /// Number of pairs.
        count: usize,
        /// Largest number of images in one.
        size: usize,
        /// Seed of all draws.
        seed: u64,
    },
    /// As torch-fidelity does: from one `numpy.random.RandomState`, the first set first. Both sets need `size` images.
    TorchFidelity {
        /// Number of pairs.
        count: usize,
        /// Number of images in one.
        size: usize,
        /// Seed of the generator.
        seed: u32,
    },
}

impl Subsets {
    /// 100 keyed subsets of at most 1000 images.
    pub fn keyed(seed: u64) -> Self {
        Subsets::Keyed { count: 100, size: 1000, seed }
    }

    /// torch-fidelity's defaults: 100 subsets of 1000 images, seed 2020.
    pub const TORCH_FIDELITY: Self = Subsets::TorchFidelity { count: 100, size: 1000, seed: 2020 };

    /// The fewest images that a set needs.
    pub(super) fn smallest_set(self) -> usize {
        match self {
            Subsets::Keyed { .. } => 2,
            Subsets::TorchFidelity { size, .. } => size.max(2),
        }
    }

    /// The indices of every pair of subsets, for sets of so many images.
    pub(super) fn draw(self, x: usize, y: usize) -> Vec<[Vec<usize>; 2]> {
        match self {
            Subsets::Keyed { count, size, seed } => {
                let key = Key::new(seed, Purpose::Evaluation).at_name("kid");
                let draw = |n: usize, key: Key| head_of_shuffle(n, size.min(n), &mut key.stream());
                // Further pairs would be the same sets.
                let count = if x.max(y) <= size { count.min(1) } else { count };
                (0..count as u64).map(|i| [draw(x, key.at(i).at(0)), draw(y, key.at(i).at(1))]).collect()
            }
            Subsets::TorchFidelity { count, size, seed } => {
                let mut generator = RandomState::new(seed);
                (0..count).map(|_| [generator.choice(x, size), generator.choice(y, size)]).collect()
            }
        }
    }
}

/// `size` different numbers below `n`: the head of a shuffle that goes no further.
fn head_of_shuffle(n: usize, size: usize, stream: &mut Stream) -> Vec<usize> {
    let mut items: Vec<usize> = (0..n).collect();
    for i in 0..size {
        items.swap(i, i + stream.below((n - i) as u64) as usize);
    }
    items.truncate(size);
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keyed_subsets_are_different_sets_of_the_right_size() {
        let drawn = Subsets::Keyed { count: 3, size: 20, seed: 7 }.draw(30, 25);
        assert_eq!(drawn, Subsets::Keyed { count: 3, size: 20, seed: 7 }.draw(30, 25));
        for pair in &drawn {
            for (subset, n) in pair.iter().zip([30, 25]) {
                let distinct: BTreeSet<_> = subset.iter().collect();
                assert!(distinct.len() == 20 && subset.iter().all(|i| *i < n));
            }
        }
        assert_ne!(drawn[0], drawn[1]);
        assert_ne!(drawn, Subsets::Keyed { count: 3, size: 20, seed: 8 }.draw(30, 25));
        let whole = Subsets::keyed(0).draw(30, 25);
        assert_eq!((whole.len(), whole[0].each_ref().map(Vec::len)), (1, [30, 25]));
        let half = Subsets::keyed(0).draw(1001, 25);
        assert_eq!((half.len(), half[99].each_ref().map(Vec::len)), (100, [1000, 25]));
    }
}
