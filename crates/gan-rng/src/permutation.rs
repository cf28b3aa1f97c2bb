//! Keyed permutations.

use crate::{Key, philox4x32_10};

/// Rounds of the Feistel network.
const ROUNDS: u32 = 6;

impl Key {
    /// Element `i` of a random permutation of `0..n`, each computed by itself: the first `k` elements are `k` different numbers drawn
    /// without replacement. `i` is below `n`.
    ///
    /// A Feistel network whose round function is Philox permutes the next power of four; numbers that are not below `n` are permuted
    /// again ("cycle walking", Black & Rogaway, 2002). Its counters are in a domain that [`Key::block`] and [`Key::at`] never use.
    #[must_use]
    pub fn permuted(self, i: u32, n: u32) -> u32 {
        let bits = (u32::BITS - n.saturating_sub(1).leading_zeros()).div_ceil(2).max(1);
        let mask = u32::MAX >> (u32::BITS - bits);
        let key = self.words();
        let mut value = u64::from(i);
        loop {
            let (mut left, mut right) = ((value >> bits) as u32, value as u32 & mask);
            for round in 0..ROUNDS {
                let [word, ..] = philox4x32_10(key, [right, round, 0, 2]);
                (left, right) = (right, left ^ (word & mask));
            }
            value = u64::from(left) << bits | u64::from(right);
            if value < u64::from(n) || i >= n {
                return value as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Key, Purpose};

    fn key(i: u64) -> Key {
        Key::new(7, Purpose::Test).at(i)
    }

    #[test]
    fn every_number_comes_once() {
        for n in [1u32, 2, 3, 4, 5, 16, 17, 100, 1000, 4096, 5000] {
            let mut all: Vec<u32> = (0..n).map(|i| key(u64::from(n)).permuted(i, n)).collect();
            all.sort_unstable();
            assert!(all.iter().copied().eq(0..n), "{n}");
        }
    }

    #[test]
    fn places_are_uniform_and_depend_on_the_key() {
        // Which of 10 numbers comes first, second, ... under many keys.
        let mut counts = [[0u32; 10]; 10];
        for k in 0..20_000 {
            for i in 0..10 {
                counts[i as usize][key(k).permuted(i, 10) as usize] += 1;
            }
        }
        for row in &counts {
            assert!(row.iter().all(|count| (1_800..2_200).contains(count)), "{row:?}");
        }
    }

    #[test]
    fn large_domains_are_permuted_too() {
        let n = u32::MAX;
        let drawn: std::collections::HashSet<u32> = (0..1000).map(|i| key(1).permuted(i, n)).collect();
        assert_eq!(drawn.len(), 1000);
        assert!(drawn.iter().any(|&x| x > n / 2) && drawn.iter().any(|&x| x < n / 2));
    }

    #[test]
    fn numbers_are_pinned() {
        // CUDA kernels compute the same.
        assert_eq!([0, 1, 2].map(|i| key(2).permuted(i, 4096)), [352, 1552, 2307]);
    }
}
