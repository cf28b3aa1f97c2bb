//! The first rows of values in files for which memory has room all the same.

use super::dataflow::Size;
use super::plan::{Place, Plan};
use super::sweep::Sweep;

/// The values in files that are there in each sweep.
pub(super) struct Residents {
    sweeps: Vec<Vec<(usize, Stay)>>,
    sizes: Vec<Size>,
    /// For each value, the most of its rows that are written or read at a time.
    band: Vec<usize>,
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
        let height = |value: usize| sizes[value].height;
        let of_band = |value: usize| {
            let in_sweep = |(sweep, rows): &(Sweep, usize)| {
                sweep.parts.last().map_or(0, |target| (rows * height(value)).div_ceil(height(target.value)))
            };
            let moves =
                |(sweep, _): &&(Sweep, usize)| sweep.parts.iter().any(|part| part.value == value && part.in_file);
            plan.sweeps.iter().filter(moves).map(in_sweep).max().unwrap_or(0)
        };
        let band = (0..sizes.len()).map(of_band).collect();
        Residents { sweeps, sizes, band, worth }
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
        self.most(sweep, rows, |part, stay, time| match stay {
            Stay::Stays => part,
            Stay::Leaves => (part - time).max(0.0),
            Stay::Comes => part.min(time),
        })
    }

    /// The most bytes that a sweep's values have in files at a time, beside these rows. Where files give back what is not needed any more, each value
    /// that comes or leaves takes two bands more than it has to, and never more than all of it.
    pub(super) fn bytes_of_files(&self, sweep: usize, rows: &[usize], frees: bool) -> u64 {
        let all = self.most(sweep, rows, |part, _, _| 1.0 - part);
        if !frees {
            return all;
        }
        let moving = self.sweeps[sweep].iter().filter(|(_, stay)| !matches!(stay, Stay::Stays));
        let bands: u64 = moving.map(|&(value, _)| 2 * self.sizes[value].row_bytes() * self.band[value] as u64).sum();
        let files = self.most(sweep, rows, |part, stay, time| match stay {
            Stay::Stays => 1.0 - part,
            Stay::Leaves => 1.0 - part.max(time),
            Stay::Comes => (time - part).max(0.0),
        });
        (files + bands).min(all)
    }

    /// The most bytes of a sweep's values at a time, of which `there` says how much is there: of a value whose first rows, so great a part of it, are in memory,
    /// when so great a part of the sweep is done.
    fn most(&self, sweep: usize, rows: &[usize], there: impl Fn(f64, Stay, f64) -> f64) -> u64 {
        let values = &self.sweeps[sweep];
        let part = |value: usize| rows[value] as f64 / self.sizes[value].height as f64;
        let at = |time: f64| -> f64 {
            values.iter().map(|&(v, stay)| self.sizes[v].bytes() as f64 * there(part(v), stay, time)).sum()
        };
        // The sum is linear between the times at which the rows of a value end.
        values.iter().map(|&(value, _)| at(part(value))).fold(at(0.0).max(at(1.0)), f64::max).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 12;

    /// Two values: the second one comes while the first one stays, and stays once more.
    fn residents() -> Residents {
        let size = |channels: usize| Size { channels, height: ROWS, width: 5 };
        let sweeps = vec![
            vec![(0, Stay::Comes)],
            vec![(0, Stay::Stays), (1, Stay::Comes)],
            vec![(0, Stay::Leaves), (1, Stay::Stays)],
            vec![(1, Stay::Leaves)],
            vec![(0, Stay::Leaves), (1, Stay::Comes)],
        ];
        Residents { sweeps, sizes: vec![size(3), size(7)], band: vec![2, 1], worth: vec![(1, 1.0), (0, 0.5)] }
    }

    /// Rows of a value in memory and in its file, of which `resident` are in memory, when so many rows of the sweep are done.
    fn rows_of(stay: Stay, resident: usize, done: usize) -> (usize, usize) {
        let there = match stay {
            Stay::Stays => 0..ROWS,
            Stay::Leaves => done..ROWS,
            Stay::Comes => 0..done,
        };
        let memory = there.clone().filter(|&row| row < resident).count();
        (memory, there.len() - memory)
    }

    #[test]
    fn bytes_are_those_of_the_rows_one_by_one() {
        let residents = residents();
        for (sweep, there) in residents.sweeps.iter().enumerate() {
            for first in 0..=ROWS {
                for second in 0..=ROWS {
                    let resident = [first, second];
                    let most = |part: fn((usize, usize)) -> usize| {
                        let bytes = |done: usize| -> u64 {
                            let of = |&(value, stay): &(usize, Stay)| {
                                part(rows_of(stay, resident[value], done)) as u64 * residents.sizes[value].row_bytes()
                            };
                            there.iter().map(of).sum()
                        };
                        (0..=ROWS).map(bytes).max().unwrap_or(0)
                    };
                    let (memory, files) = (most(|(memory, _)| memory), most(|(_, file)| file));
                    let whole: u64 =
                        there.iter().map(|&(v, _)| (ROWS - resident[v]) as u64 * residents.sizes[v].row_bytes()).sum();
                    let moving = |&&(_, stay): &&(usize, Stay)| !matches!(stay, Stay::Stays);
                    let two_bands =
                        |&(v, _): &(usize, Stay)| 2 * residents.band[v] as u64 * residents.sizes[v].row_bytes();
                    let slack: u64 = there.iter().filter(moving).map(two_bands).sum();
                    // Rounded up.
                    let near = |is: u64, expected: u64| (expected..=expected + 1).contains(&is);
                    let what = format!("sweep {sweep}, {resident:?} rows");
                    assert!(near(residents.bytes(sweep, &resident), memory), "{what}");
                    assert!(near(residents.bytes_of_files(sweep, &resident, false), whole), "{what}");
                    let freed = (files + slack).min(whole);
                    assert!(near(residents.bytes_of_files(sweep, &resident, true), freed), "{what}");
                }
            }
        }
    }

    #[test]
    fn as_many_rows_as_there_is_room_for() {
        let residents = residents();
        let row = residents.sizes[1].row_bytes();
        assert_eq!(residents.rows(&[u64::MAX; 5]), [ROWS, ROWS]);
        assert_eq!(residents.rows(&[0; 5]), [0, 0]);
        // To the byte, but for rounding, for the value first that is worth most.
        for rows in 1..=ROWS {
            let room = |bytes: u64| [u64::MAX, u64::MAX, bytes, u64::MAX, u64::MAX];
            assert_eq!(residents.rows(&room(rows as u64 * row + 1)), [0, rows]);
            assert_eq!(residents.rows(&room(rows as u64 * row - 1)), [(row as usize - 1) / 60, rows - 1]);
        }
    }
}
