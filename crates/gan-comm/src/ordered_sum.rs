//! Sums whose order is that of the ranks.

use crate::{Communicator, Exchange, Result};
use candle_core::{Error, Tensor};
use std::ops::Range;

/// A running total `((x0 + x1) + x2) + …` of flat tensors, one of each rank a round, in rank order. Each rank holds a slice of it.
///
/// A library's own all-reduce adds in an order that depends on the number of ranks and on the length. Here the sum has the bits
/// that one process gets which adds one tensor after the other.
#[derive(Debug, Default)]
pub struct OrderedSum {
    /// This rank's slice.
    total: Option<Tensor>,
    /// What is to be added next.
    round: Option<Round>,
    len: usize,
}

/// The tensors of the first ranks.
#[derive(Debug)]
struct Round {
    /// This rank's slice of its own one.
    own: Tensor,
    others: Exchange,
    rank: usize,
    count: usize,
}

impl OrderedSum {
    /// Begins to add the flat tensors `own` of the first `count` ranks; those of the others are left out. All have one length and element type.
    ///
    /// They are added when the next ones are given, or by [`OrderedSum::settle`]: until then they travel while other work goes on.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    pub fn add(&mut self, ranks: &dyn Communicator, own: &Tensor, count: usize) -> Result<()> {
        let (len, rank, size) = (own.elem_count(), ranks.rank(), ranks.size());
        let part = |at: Range<usize>| own.narrow(0, at.start, at.len());
        let here = slice(len, rank, size);
        let sent = |to: usize| part(if rank < count && to != rank { slice(len, to, size) } else { 0..0 });
        let parts = (0..size).map(sent).collect::<candle_core::Result<Vec<_>>>()?;
        let coming = |from: usize| if from < count && from != rank { here.len() } else { 0 };
        let others = ranks.exchange(&parts, &(0..size).map(coming).collect::<Vec<_>>())?;
        self.settle()?;
        self.round = Some(Round { own: part(here)?, others, rank, count });
        self.len = len;
        Ok(())
    }

    /// Takes back the tensors that were given last, on all ranks.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    pub fn take_back(&mut self) -> Result<()> {
        self.round.take().map_or(Ok(()), |round| round.others.finish().map(drop))
    }

    /// Waits for the tensors that were given last, and adds them.
    ///
    /// # Errors
    /// As [`Communicator::exchange`].
    pub fn settle(&mut self) -> Result<()> {
        let Some(Round { own, others, rank, count }) = self.round.take() else { return Ok(()) };
        let (others, len) = (others.finish()?, own.elem_count());
        for from in 0..count {
            let part = match from == rank {
                true => own.clone(),
                false => others.narrow(0, (from - usize::from(from > rank)) * len, len)?,
            };
            self.total = Some(match self.total.take() {
                Some(total) => (total + part)?,
                None => part,
            });
        }
        Ok(())
    }

    /// The whole total times `scale` on every rank, of so many elements; the next one begins.
    ///
    /// # Errors
    /// As [`OrderedSum::add`]; nothing was added.
    pub fn take(&mut self, ranks: &dyn Communicator, scale: f64) -> Result<Tensor> {
        self.gather(ranks, |own| own * scale)?.finish()
    }

    /// As [`OrderedSum::take`], which is under way then, of what `scaled` makes of this rank's slice of the total. That may lie in the memory of
    /// a tensor that was added.
    ///
    /// # Errors
    /// As [`OrderedSum::take`], and those of `scaled`.
    pub fn gather(
        &mut self,
        ranks: &dyn Communicator,
        scaled: impl FnOnce(Tensor) -> candle_core::Result<Tensor>,
    ) -> Result<Exchange> {
        self.settle()?;
        let own = self.total.take().ok_or_else(|| Error::Msg("nothing was added up".into()))?;
        let (own, size) = (scaled(own)?, ranks.size());
        let coming: Vec<usize> = (0..size).map(|rank| slice(self.len, rank, size).len()).collect();
        ranks.exchange(&vec![own; size], &coming)
    }
}

/// What a rank holds of a flat tensor.
fn slice(len: usize, rank: usize, size: usize) -> Range<usize> {
    let at = |rank| (len as u128 * rank as u128 / size as u128) as usize;
    at(rank)..at(rank + 1)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::threads::group;
    use candle_core::Device;

    /// Numbers whose sum depends on the order.
    fn addend(i: usize, len: usize) -> Tensor {
        let values: Vec<f32> = (0..len).map(|at| ((at * 7 + i * 13) as f32).sin() * 10f32.powi(i as i32 % 5)).collect();
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn bits(tensor: &Tensor) -> Vec<u32> {
        tensor.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
    }

    /// The sum of so many addends, on so many ranks, in parts of so many numbers.
    fn summed(addends: usize, len: usize, size: usize, part: usize) -> Vec<Vec<u32>> {
        let run = |ranks: crate::threads::Thread| {
            let mut sums: Vec<_> = (0..len).step_by(part).map(|at| (at, OrderedSum::default())).collect();
            for first in (0..addends).step_by(size) {
                let count = size.min(addends - first);
                let own = addend(first + ranks.rank(), len);
                for (at, sum) in &mut sums {
                    let part = |of: &Tensor| of.narrow(0, *at, part.min(len - *at)).unwrap();
                    // What was given too early is given again.
                    sum.add(&ranks, &part(&addend(99, len)), count).unwrap();
                    sum.take_back().unwrap();
                    sum.add(&ranks, &part(&own), count).unwrap();
                }
            }
            let coming: Vec<_> =
                sums.iter_mut().map(|(_, sum)| sum.gather(&ranks, |own| own * (1.0 / 3.0)).unwrap()).collect();
            coming.into_iter().flat_map(|coming| bits(&coming.finish().unwrap())).collect()
        };
        std::thread::scope(|scope| {
            let ranks: Vec<_> = group(size).into_iter().map(|rank| scope.spawn(|| run(rank))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn the_bits_do_not_depend_on_the_number_of_ranks() {
        for (addends, len) in [(1, 5), (5, 1000), (7, 3), (8, 64)] {
            let mut whole = addend(0, len);
            for i in 1..addends {
                whole = (whole + addend(i, len)).unwrap();
            }
            let whole = bits(&(whole * (1.0 / 3.0)).unwrap());
            for size in 1..=4 {
                for part in [1, 7, len / 2 + 1, len].into_iter().filter(|part| len / part < 200) {
                    for sum in summed(addends, len, size, part) {
                        assert!(sum == whole, "{addends} addends of {len} on {size} ranks, in parts of {part}");
                    }
                }
            }
        }
        // The numbers are of a kind that shows another order.
        let (a, b, c) = (addend(0, 1000), addend(3, 1000), addend(4, 1000));
        let left = ((&a + &b).unwrap() + &c).unwrap();
        assert!(bits(&left) != bits(&(a + (b + c).unwrap()).unwrap()));
    }

    #[test]
    fn an_empty_sum_is_refused() {
        assert!(OrderedSum::default().take(&crate::Single, 1.0).is_err());
    }
}
