//! Reading a key's sequence number by number.

use crate::Key;

/// A cursor over the random words of a [`Key`], with the distributions that the project needs.
#[derive(Debug, Clone)]
pub struct Stream {
    key: Key,
    next_block: u64,
    words: [u32; 4],
    used: usize,
}

impl Stream {
    pub(crate) fn new(key: Key) -> Self {
        Stream { key, next_block: 0, words: [0; 4], used: 4 }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.key.block(self.next_block);
            self.next_block += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        u64::from(self.next_u32()) | u64::from(self.next_u32()) << 32
    }

    /// Uniform in `[0, 1)`, with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A fair coin.
    pub fn bool(&mut self) -> bool {
        self.next_u32() >> 31 == 1
    }

    /// Uniform in `0..n`, without modulo bias (Lemire's method). `n = 0` gives 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let threshold = n.wrapping_neg() % n;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(n);
            if wide as u64 >= threshold {
                return (wide >> 64) as u64;
            }
        }
    }

    /// Standard normal (Box–Muller; one value a call, so that the position does not depend on history).
    pub fn normal(&mut self) -> f64 {
        let u = 1.0 - self.uniform(); // (0, 1]: the logarithm stays finite
        let v = self.uniform();
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// Fisher–Yates shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
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
    fn below_is_uniform() {
        let mut s = key(0).stream();
        let mut counts = [0usize; 7];
        for _ in 0..70_000 {
            counts[s.below(7) as usize] += 1;
        }
        assert!(counts.iter().all(|&c| (9_600..10_400).contains(&c)), "{counts:?}");
        assert_eq!(s.below(1), 0);
        assert_eq!(s.below(0), 0);
    }

    #[test]
    fn normal_has_unit_moments() {
        let mut s = key(1).stream();
        let n = 100_000;
        let (mut m1, mut m2, mut m4) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let x = s.normal();
            m1 += x;
            m2 += x * x;
            m4 += x * x * x * x;
        }
        let n = f64::from(n);
        assert!((m1 / n).abs() < 0.02 && (m2 / n - 1.0).abs() < 0.02 && (m4 / n - 3.0).abs() < 0.15);
    }

    #[test]
    fn uniform_stays_in_range_and_coin_is_fair() {
        let mut s = key(2).stream();
        let mut heads = 0;
        for _ in 0..10_000 {
            let u = s.uniform();
            assert!((0.0..1.0).contains(&u));
            let r = s.range(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&r));
            heads += usize::from(s.bool());
        }
        assert!((4_800..5_200).contains(&heads));
    }

    #[test]
    fn shuffle_is_a_permutation_and_depends_on_the_key() {
        let shuffled = |i| {
            let mut v: Vec<u32> = (0..100).collect();
            key(i).stream().shuffle(&mut v);
            v
        };
        let a = shuffled(3);
        assert_eq!(a, shuffled(3));
        assert_ne!(a, shuffled(4));
        let mut sorted = a;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }
}
