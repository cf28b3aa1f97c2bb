//! How often a mirror is asked before it is given up.

/// Requests in a row that bring nothing new.
const MAX_IDLE: u32 = 5;
/// Requests in all, whatever they bring. What came is kept: the same command goes on with it.
const MAX_REQUESTS: u32 = 200;
/// A request that brought the file this much further was worth it: counting begins again.
const WORTH_IT: u64 = 64 * 1024;
/// How many times the file's bytes may come. A server whose file changes with each request has it begun anew each time.
const MAX_TIMES: u64 = 4;

/// Counts the requests to one mirror.
///
/// Progress is measured against the furthest byte that ever came. A server that begins anew each time and breaks off now sooner,
/// now later, makes none.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    requests: u32,
    idle: u32,
    furthest: u64,
    /// Bytes that the file has at most.
    most: u64,
    received: u64,
}

impl Tries {
    /// No request yet, for a file of `most` bytes at most.
    pub(crate) fn new(most: u64) -> Self {
        Self { most, ..Self::default() }
    }

    /// So many bytes of a body came.
    pub(crate) fn received(&mut self, bytes: u64) {
        self.received = self.received.saturating_add(bytes);
    }

    /// A request begins.
    pub(crate) fn count(&mut self) {
        self.requests += 1;
        self.idle += 1;
    }

    /// The request broke off, and `here` bytes of the file are here now.
    ///
    /// # Errors
    /// The number of requests after which the mirror is given up.
    pub(crate) fn broke_off(&mut self, here: u64) -> Result<(), u32> {
        if here >= self.furthest.saturating_add(WORTH_IT) {
            self.furthest = here;
            self.idle = 1;
        }
        if self.idle >= MAX_IDLE {
            Err(self.idle)
        } else if self.requests >= MAX_REQUESTS || self.received >= self.most.saturating_mul(MAX_TIMES) {
            Err(self.requests)
        } else {
            Ok(())
        }
    }

    /// The file is fetched once more from its first byte. The requests so far count.
    pub(crate) fn begin_anew(&mut self) {
        *self = Self { requests: self.requests, received: self.received, ..Self::new(self.most) };
    }

    /// Requests without progress, at least 1 after the first.
    pub(crate) fn idle(&self) -> u32 {
        self.idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests until the mirror is given up, if after the n-th (from 1 on) so many bytes are here.
    fn given_up_after(here: impl Fn(u32) -> u64) -> u32 {
        let mut tries = Tries::new(u64::MAX);
        for n in 1.. {
            tries.count();
            if tries.broke_off(here(n)).is_err() {
                return n;
            }
        }
        unreachable!("no end");
    }

    #[test]
    fn there_is_an_end() {
        assert_eq!(given_up_after(|_| 0), MAX_IDLE);
        // Once further, then never again.
        assert_eq!(given_up_after(|_| WORTH_IT), MAX_IDLE);
        // Sooner and later by turns: the second request gets further than the first, and no other does.
        assert_eq!(given_up_after(|n| if n % 2 == 1 { WORTH_IT } else { 3 * WORTH_IT }), MAX_IDLE + 1);
        // Small steps add up.
        assert_eq!(given_up_after(|n| u64::from(n) * (WORTH_IT / 2)), MAX_REQUESTS);
        assert_eq!(given_up_after(|n| u64::from(n) * WORTH_IT), MAX_REQUESTS);
    }

    #[test]
    fn the_file_comes_a_few_times_at_most() {
        let most = 10 * WORTH_IT;
        let mut tries = Tries::new(most);
        // Each request begins anew and gets further than any before: counted by progress alone it would go on.
        let mut all = 0;
        for n in 1.. {
            tries.count();
            let bytes = n * WORTH_IT;
            all += bytes;
            tries.received(bytes);
            if tries.broke_off(bytes.min(most)).is_err() {
                break;
            }
        }
        assert!((MAX_TIMES * most..(MAX_TIMES + 1) * most).contains(&all), "{all}");
        tries.begin_anew();
        tries.count();
        assert!(tries.broke_off(most).is_err(), "what came counts after a new beginning, too");
    }

    #[test]
    fn a_new_beginning_does_not_forget() {
        let mut tries = Tries::new(u64::MAX);
        for n in 1..MAX_REQUESTS {
            tries.count();
            assert_eq!(tries.broke_off(u64::from(n) * WORTH_IT), Ok(()));
        }
        tries.begin_anew();
        tries.count();
        assert_eq!(tries.broke_off(WORTH_IT), Err(MAX_REQUESTS));
    }
}
