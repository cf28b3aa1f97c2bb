//! The first rows of values in files for which memory has room all the same.

use super::dataflow::Size;
use super::plan::{Place, Plan};

/// The values in files that are there in each sweep.
pub(super) struct Residents {
    sweeps: Vec<Vec<(usize, Stay)>>,
    sizes: Vec<Size>,
    /// For each value, how often all of it is written or read, over the number of sweeps in which it is there.
    worth: Vec<(usize, f64)>,
}

/// What becomes of a value in a sweep, row by row.
#[derive(Clone, Copy)]
enum Stay {
    Stays,
    /// It is read for the last time.
    Leaves,
    Comes,
}

impl Residents {
    pub(super) fn new(plan: &Plan, created: &[Option<usize>], sizes: Vec<Size>) -> Self {
        let mut sweeps = vec![Vec::new(); plan.sweeps.len()];
        let mut worth = Vec::new();
        for (value, span) in created.iter().zip(&plan.last_read).map(|(from, to)| from.zip(*to)).enumerate() {
            let Some((from, to)) = span.filter(|_| plan.places[value] == Place::Scratch) else { continue };
            for (sweep, there) in sweeps.iter_mut().enumerate().take(to + 1).skip(from) {
                let stay = match sweep {
                    sweep if sweep == from => Stay::Comes,
                    sweep if sweep == to => Stay::Leaves,
                    _ => Stay::Stays,
                };
                there.push((value, stay));
            }
            let moves = |parts: &[super::sweep::Part]| parts.iter().any(|part| part.value == value && part.in_file);
            let moves = plan.sweeps[from..=to].iter().filter(|(sweep, _)| moves(&sweep.parts)).count();
            worth.push((value, moves as f64 / (to + 1 - from) as f64));
        }
        worth.sort_by(|a, b| b.1.total_cmp(&a.1));
        Residents { sweeps, sizes, worth }
    }

    /// For each value, as many rows as there is room for in all sweeps in which it is there, those first that save most.
    pub(super) fn rows(&self, room: &[u64]) -> Vec<usize> {
        let mut rows = vec![0; self.sizes.len()];
        for &(value, _) in &self.worth {
            let there = |sweep: &usize| self.sweeps[*sweep].iter().any(|&(v, _)| v == value);
            let sweeps: Vec<usize> = (0..self.sweeps.len()).filter(there).collect();
            // The largest number that fits.
            let (mut fits, mut exceeds) = (0, self.sizes[value].height + 1);
            while exceeds - fits > 1 {
                let tried = fits + (exceeds - fits) / 2;
                rows[value] = tried;
                match sweeps.iter().all(|&sweep| self.bytes(sweep, &rows) <= room[sweep]) {
                    true => fits = tried,
                    false => exceeds = tried,
                }
            }
            rows[value] = fits;
        }
        rows
    }

    /// The most bytes that these rows take at a time in a sweep: what is read for the last time makes room for what comes.
    pub(super) fn bytes(&self, sweep: usize, rows: &[usize]) -> u64 {
        let there = &self.sweeps[sweep];
        let part = |value: usize| rows[value] as f64 / self.sizes[value].height as f64;
        let at = |time: f64| -> f64 {
            let bytes = |&(value, stay): &(usize, Stay)| {
                let there = match stay {
                    Stay::Stays => part(value),
                    Stay::Leaves => (part(value) - time).max(0.0),
                    Stay::Comes => part(value).min(time),
                };
                self.sizes[value].bytes() as f64 * there
            };
            there.iter().map(bytes).sum()
        };
        // The sum is linear between the times at which the rows of a value end.
        there.iter().map(|&(value, _)| at(part(value))).fold(at(0.0), f64::max).ceil() as u64
    }

    /// The bytes of a sweep's values that are in files, beside these rows, while all of them are there.
    pub(super) fn bytes_of_files(&self, sweep: usize, rows: &[usize]) -> u64 {
        let rest = |&(value, _): &(usize, Stay)| {
            self.sizes[value].row_bytes() * (self.sizes[value].height - rows[value]) as u64
        };
        self.sweeps[sweep].iter().map(rest).sum()
    }
}
