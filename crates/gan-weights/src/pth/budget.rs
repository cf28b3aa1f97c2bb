//! The memory that reading one file may take.

use super::refusal::{Checked, Refusal};

/// Granted whatever the file's size: a file of scalars is smaller than its own bookkeeping.
const FLOOR: u64 = 4 << 20;

/// Multiples of the file's size granted beside the file's own bytes, which makes four with them.
const MULTIPLE: u64 = 3;

/// Counts down what may still be allocated. Vectors grow by doubling, so small allocations are charged at twice
/// their size; freed memory is not credited, which only makes the bound stricter.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    left: u64,
}

impl Budget {
    /// A budget for a file of `len` bytes.
    pub(super) fn for_file(len: usize) -> Self {
        Self { left: FLOOR.saturating_add((len as u64).saturating_mul(MULTIPLE)) }
    }

    /// What is left.
    #[cfg(test)]
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Takes `bytes`, or refuses the file; `what` names the purchase.
    pub(super) fn take(&mut self, bytes: u64, what: &str) -> Checked<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Refusal::TooLarge(format!("{what} asks for {bytes} bytes where {} are left", self.left))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_runs_out_exactly_at_its_bound() {
        let mut budget = Budget::for_file(10);
        assert!(budget.take(FLOOR + 30, "all of it").is_ok());
        assert!(budget.take(1, "one more").is_err());
        assert!(Budget::for_file(10).take(u64::MAX, "everything").is_err());
    }
}
