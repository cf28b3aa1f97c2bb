//! The generator behind NumPy's `RandomState`: MT19937 (Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 1998).
//!
//! torch-fidelity draws its subsets from `RandomState(2020)`. Drawing the same ones gives its very figure.

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// `numpy.random.RandomState(seed)`.
#[derive(Debug, Clone)]
pub(super) struct RandomState {
    words: [u32; WORDS],
    used: usize,
}

impl RandomState {
    pub(super) fn new(seed: u32) -> Self {
        let mut words = [seed; WORDS];
        for i in 1..WORDS {
            let before = words[i - 1];
            words[i] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        RandomState { words, used: WORDS }
    }

    fn twist(&mut self) {
        for i in 0..WORDS {
            let joined = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % WORDS] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[i] = self.words[(i + SHIFT) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.used = 0;
    }

    fn next_u32(&mut self) -> u32 {
        if self.used == WORDS {
            self.twist();
        }
        let mut y = self.words[self.used];
        self.used += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A uniform number in `0..=most`: words under the smallest mask, until one is not above `most`.
    fn up_to(&mut self, most: u32) -> u32 {
        let mask = u32::MAX.checked_shr(most.leading_zeros()).unwrap_or(0);
        loop {
            let value = self.next_u32() & mask;
            if value <= most {
                return value;
            }
        }
    }

    /// `choice(n, size, replace=False)`: the head of a shuffled `0..n`. `n` has to be below 2³².
    pub(super) fn choice(&mut self, n: usize, size: usize) -> Vec<usize> {
        let mut items: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            items.swap(i, self.up_to(i as u32) as usize);
        }
        items.truncate(size);
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_what_numpy_draws() {
        // Printed by NumPy for RandomState(2020): choices of 4 of 10, 6 of 1000, 7 of 7.
        let mut state = RandomState::new(2020);
        assert_eq!(state.choice(10, 4), [2, 4, 9, 1]);
        assert_eq!(state.choice(1000, 6), [358, 763, 430, 530, 677, 107]);
        assert_eq!(state.choice(7, 7), [4, 1, 2, 3, 5, 6, 0]);
        // Beyond the first block of words.
        let mut state = RandomState::new(2020);
        let drawn = state.choice(3000, 3000);
        assert_eq!((&drawn[..3], &drawn[2997..]), (&[1716, 148, 1488][..], &[2678, 392, 864][..]));
        assert_eq!(state.choice(5, 5), [0, 4, 1, 3, 2]);
    }

    #[test]
    fn words_are_those_of_the_reference() {
        let mut state = RandomState::new(5);
        assert_eq!([(); 3].map(|()| state.next_u32()), [953_453_411, 236_996_814, 3_739_766_767]);
    }
}
