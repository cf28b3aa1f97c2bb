//! What is stored where, and what is computed again: decided before anything is computed.

use super::dataflow::{Dataflow, Value};
use super::resident::Residents;
use super::sweep::{Part, Progress, Sweep};
use gan_kernels::weight::{ALL_PACKED, LARGEST_PACKED};
use std::collections::HashMap;

/// Where the rows of a value are between sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nowhere: they are computed again.
    Recomputed,
    /// In memory.
    Memory,
    /// In a file.
    Scratch,
}

/// What an evaluation may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, the network's parameters and a given input left out.
    pub memory: u64,
    /// Bytes of files.
    pub scratch: u64,
    /// Whether files give back the room of what is not needed any more ([`ScratchFile::free_before`](super::ScratchFile::free_before)).
    pub frees: bool,
    /// Bytes of memory that the output takes while the last sweep makes it: all of its own where [`Dataflow::run`] gathers it, else what it needs on
    /// its way to where [`Dataflow::run_into`] passes it on.
    pub output: u64,
}

/// How fast the machine is, to weigh files against computing again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Multiply-adds a second.
    pub macs: f64,
    /// Bytes a second that are written to and read from files, while the processors compute.
    pub scratch: f64,
    /// Bytes a second that the processors move between these files and memory if they do nothing else.
    pub copies: f64,
}

/// How a flow is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) output: usize,
    pub(super) places: Vec<Place>,
    /// Each sweep, and the rows of its bands.
    pub(super) sweeps: Vec<(Sweep, usize)>,
    /// For each value, the last sweep that reads it where it is stored.
    pub(super) last_read: Vec<Option<usize>>,
    /// For each value in a file, the rows from the first on that memory has room for all the same.
    pub(super) resident: Vec<usize>,
    /// The most bytes of memory that it takes, as [`Limits::memory`] counts them.
    pub memory: u64,
    /// The most bytes that files have at a time.
    pub scratch: u64,
    /// Bytes written to and read from files.
    pub moved: u64,
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes of packed weights, of the sweep that needs most.
    pub packed: u64,
    /// Seconds that it takes, by the rates.
    pub seconds: f64,
}

impl Plan {
    /// How often rows are walked over.
    pub fn sweeps(&self) -> usize {
        self.sweeps.len()
    }

    /// How many values are in this place between sweeps; of the others, none is needed later.
    pub fn count(&self, place: Place) -> usize {
        let used = |value: usize| match place {
            Place::Recomputed => {
                self.sweeps.iter().filter(|(s, _)| s.parts.iter().any(|p| p.value == value && !p.stored)).count() > 1
            }
            _ => self.last_read[value].is_some(),
        };
        (0..self.places.len()).filter(|&value| self.places[value] == place && used(value)).count()
    }
}

impl Plan {
    /// The most bytes that the values in memory take at a time in a sweep: what is read for the last time makes room for what comes.
    fn kept(&self, created: &[Option<usize>], sweep: usize, bytes: impl Fn(usize) -> u64) -> u64 {
        let (mut stays, mut leaves, mut comes) = (0, 0, 0);
        for v in (0..self.places.len()).filter(|&v| self.places[v] == Place::Memory) {
            let part = match created[v].zip(self.last_read[v]) {
                Some((from, _)) if from == sweep => &mut comes,
                Some((_, to)) if to == sweep => &mut leaves,
                Some((from, to)) if (from..=to).contains(&sweep) => &mut stays,
                _ => continue,
            };
            *part += bytes(v);
        }
        stays + leaves.max(comes)
    }
}

/// Rows of a band that are tried, those that are best for speed first.
const ROWS: [usize; 8] = [128, 64, 32, 16, 8, 4, 2, 1];

/// Bytes of a band of any value above which more rows gain no speed, if there are some.
const BAND: u64 = 32 << 20;
const SOME_ROWS: usize = 8;

impl Dataflow<'_> {
    /// The fastest plan found that keeps to the limits.
    ///
    /// # Errors
    /// The plan that takes the least memory, if it takes more than there is.
    pub fn plan(&self, output: Value, limits: &Limits, rates: &Rates) -> Result<Plan, Box<Plan>> {
        let mut planner = Planner { flow: self, output: output.0, limits, rates, peaks: HashMap::new() };
        planner.plan()
    }

    /// Bytes of memory that [`Sequence::forward`](crate::Sequence::forward) takes for the same, as [`Limits::memory`] counts them.
    pub fn memory_of_forward(&self, output: Value) -> u64 {
        let mut last_use: Vec<usize> = (0..self.nodes.len()).collect();
        for (i, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().for_each(|input| last_use[input.0] = i);
        }
        last_use[output.0] = self.nodes.len();
        let (mut alive, mut peak) = (0, 0);
        for (i, node) in self.nodes.iter().enumerate() {
            let bytes = |i: usize| if self.is_given(i) { 0 } else { self.nodes[i].size.bytes() };
            alive += bytes(i);
            peak = peak.max(alive + node.working + node.packed);
            alive -= (0..=i).filter(|&value| last_use[value] == i).map(bytes).sum::<u64>();
        }
        if self.halved { peak / 2 } else { peak + self.packed_kept() }
    }

    /// Bytes of packed weights that stay with networks that are used again.
    pub fn packed_kept(&self) -> u64 {
        let kept = self.nodes.iter().map(|node| node.packed).filter(|&packed| packed <= LARGEST_PACKED as u64);
        kept.sum::<u64>().min(ALL_PACKED as u64)
    }

    /// Multiply-adds of [`Sequence::forward`](crate::Sequence::forward).
    pub fn macs(&self) -> u64 {
        self.nodes.iter().map(|node| node.macs).sum()
    }
}

struct Planner<'p, 'a> {
    flow: &'p Dataflow<'a>,
    output: usize,
    limits: &'p Limits,
    rates: &'p Rates,
    /// Memory of the windows of sweeps by bands of so many rows, which many plans share.
    peaks: HashMap<(Sweep, usize), u64>,
}

/// A plan, and by how many bytes its sweeps exceed the limits, all added up.
struct Candidate {
    plan: Plan,
    excess: u64,
    /// The sweeps that exceed it.
    over: Vec<usize>,
    created: Vec<Option<usize>>,
}

impl Planner<'_, '_> {
    fn plan(&mut self) -> Result<Plan, Box<Plan>> {
        let storable: Vec<usize> = (0..self.flow.nodes.len()).filter(|&v| !self.flow.nodes[v].cheap).collect();
        let all = |place: Place| {
            let mut places = vec![Place::Recomputed; self.flow.nodes.len()];
            storable.iter().for_each(|&v| places[v] = place);
            places
        };
        let mut best = self.candidate(all(Place::Memory));
        while best.excess > 0 {
            let mut next: Option<(f64, Candidate)> = None;
            for &value in &storable {
                let here = best.plan.places[value];
                let alive = |&sweep: &usize| {
                    let until = best.plan.last_read[value].unwrap_or(0);
                    best.created[value].is_some_and(|created| created <= sweep) && sweep <= until
                };
                if here == Place::Memory && !best.over.iter().any(alive) || here == Place::Scratch {
                    continue;
                }
                for place in [Place::Recomputed, Place::Scratch] {
                    if place == here || place == Place::Scratch && self.limits.scratch == 0 {
                        continue;
                    }
                    let mut places = best.plan.places.clone();
                    places[value] = place;
                    let candidate = self.candidate(places);
                    if candidate.excess >= best.excess || candidate.plan.scratch > self.limits.scratch {
                        continue;
                    }
                    let saved = (best.excess - candidate.excess) as f64;
                    let price = (candidate.plan.seconds - best.plan.seconds) / saved;
                    if next.as_ref().is_none_or(|(least, _)| price < *least) {
                        next = Some((price, candidate));
                    }
                }
            }
            match next {
                Some((_, candidate)) => best = candidate,
                None => break,
            }
        }
        if best.excess == 0 {
            return Ok(self.improved(best, &storable).plan);
        }
        let moved = self.candidate(all(if self.limits.scratch > 0 { Place::Scratch } else { Place::Recomputed }));
        let kept = self.candidate(all(Place::Memory));
        // Of a small image, what is on its way to files and from them may take more than all of it.
        let least = if moved.plan.memory <= kept.plan.memory { moved } else { kept };
        match least.excess == 0 && least.plan.scratch <= self.limits.scratch {
            true => Ok(self.improved(least, &storable).plan),
            false => Err(Box::new(least.plan)),
        }
    }

    /// The same with single values where they cost less time, as far as that fits.
    fn improved(&mut self, mut best: Candidate, storable: &[usize]) -> Candidate {
        for &value in storable {
            for place in [Place::Memory, Place::Recomputed] {
                if best.plan.places[value] == Place::Memory || best.plan.places[value] == place {
                    continue;
                }
                let mut places = best.plan.places.clone();
                places[value] = place;
                let candidate = self.candidate(places);
                let fits = candidate.excess == 0 && candidate.plan.scratch <= self.limits.scratch;
                if fits && candidate.plan.seconds < best.plan.seconds {
                    best = candidate;
                }
            }
        }
        best
    }

    /// The sweeps for these places, with the largest bands that fit.
    fn candidate(&mut self, mut places: Vec<Place>) -> Candidate {
        let (sweeps, created, last_read) = loop {
            let (sweeps, created) = self.sweeps(&places);
            let mut last_read = vec![None; places.len()];
            for (i, sweep) in sweeps.iter().enumerate() {
                sweep.parts.iter().filter(|part| part.stored).for_each(|part| last_read[part.value] = Some(i));
            }
            // What nobody reads need not be stored.
            let unread = |v: &usize| places[*v] != Place::Recomputed && last_read[*v].is_none();
            let unread: Vec<usize> = (0..places.len()).filter(unread).collect();
            if unread.is_empty() {
                break (sweeps, created, last_read);
            }
            unread.into_iter().for_each(|v| places[v] = Place::Recomputed);
        };
        let count = places.len();
        let mut plan = Plan {
            output: self.output,
            places,
            sweeps: Vec::new(),
            last_read,
            resident: vec![0; count],
            memory: 0,
            scratch: 0,
            moved: 0,
            macs: 0,
            packed: 0,
            seconds: 0.0,
        };
        let (mut excess, mut over, mut taken, mut work) = (0, Vec::new(), Vec::new(), Vec::new());
        let count = sweeps.len();
        for (i, sweep) in sweeps.into_iter().enumerate() {
            let computed = || sweep.parts.iter().filter(|part| !part.stored).map(|part| &self.flow.nodes[part.value]);
            work.push(computed().map(|node| node.macs).sum::<u64>());
            plan.packed = plan.packed.max(computed().map(|node| node.packed).sum());
            let bytes = |v: usize| self.flow.nodes[v].size.bytes();
            let mut memory = plan.kept(&created, i, bytes);
            if i + 1 == count {
                memory += self.limits.output;
            }
            let left = self.limits.memory.saturating_sub(memory);
            let (mut rows, mut peak) = (1, u64::MAX);
            for candidate in self.worthwhile(&sweep) {
                (rows, peak) = (candidate, self.peak(&sweep, candidate));
                if peak <= left {
                    break;
                }
            }
            memory += peak;
            if memory > self.limits.memory {
                excess += memory - self.limits.memory;
                over.push(i);
            }
            taken.push(memory);
            plan.sweeps.push((sweep, rows));
        }
        let residents = Residents::new(&plan, &created, self.flow.nodes.iter().map(|node| node.size).collect());
        if excess == 0 {
            let room: Vec<u64> = taken.iter().map(|memory| self.limits.memory - memory).collect();
            plan.resident = residents.rows(&room);
        }
        for (i, memory) in taken.iter().enumerate() {
            let size = |v: usize| self.flow.nodes[v].size;
            let in_file = |v: usize| size(v).row_bytes() * (size(v).height - plan.resident[v]) as u64;
            let filled = residents.bytes(i, &plan.resident);
            let files = residents.bytes_of_files(i, &plan.resident, self.limits.frees);
            let moves = plan.sweeps[i].0.parts.iter().filter(|part| part.in_file);
            let moved: u64 = moves.map(|part| in_file(part.value)).sum();
            (plan.memory, plan.scratch) = (plan.memory.max(memory + filled), plan.scratch.max(files));
            (plan.moved, plan.macs) = (plan.moved + moved, plan.macs + work[i]);
            let Rates { macs, scratch, copies } = *self.rates;
            // Files are read ahead and written behind.
            plan.seconds += (work[i] as f64 / macs + moved as f64 / copies).max(moved as f64 / scratch);
        }
        Candidate { plan, excess, over, created }
    }

    /// Numbers of rows for the bands of a sweep: not more than have effect on its speed.
    fn worthwhile(&self, sweep: &Sweep) -> impl Iterator<Item = usize> + use<> {
        let height = self.flow.nodes[sweep.parts[sweep.parts.len() - 1].value].size.height;
        let largest = sweep.parts.iter().map(|part| self.flow.nodes[part.value].size.bytes()).max();
        // Of the value whose rows take most, what a row of the target is made of.
        let row = largest.unwrap_or(0) / height as u64;
        ROWS.into_iter().filter(move |&rows| rows <= SOME_ROWS || rows as u64 * row <= BAND)
    }

    fn peak(&mut self, sweep: &Sweep, rows: usize) -> u64 {
        let key = (sweep.clone(), rows);
        if let Some(&peak) = self.peaks.get(&key) {
            return peak;
        }
        let peak = Progress::new(self.flow, sweep).peak(rows);
        self.peaks.insert(key, peak);
        peak
    }

    /// One sweep for each value whose statistics a norm needs, for each convolution whose result is stored, and for the output; and which sweep
    /// stores each value.
    fn sweeps(&self, places: &[Place]) -> (Vec<Sweep>, Vec<Option<usize>>) {
        let nodes = &self.flow.nodes;
        let mut wanted = vec![false; nodes.len()];
        nodes.iter().filter(|node| node.normalizes).for_each(|node| wanted[node.inputs[0].0] = true);
        let (mut sweeps, mut created) = (Vec::new(), vec![None; nodes.len()]);
        for target in 0..=self.output {
            let stored = created[target].is_none() && places[target] != Place::Recomputed && nodes[target].macs > 0;
            if target != self.output && !wanted[target] && !stored {
                continue;
            }
            let mut member = vec![false; nodes.len()];
            let mut open = vec![target];
            while let Some(value) = open.pop() {
                if std::mem::replace(&mut member[value], true) || created[value].is_some() {
                    continue;
                }
                open.extend(nodes[value].inputs.iter().map(|input| input.0));
            }
            let mut parts = Vec::new();
            for value in (0..nodes.len()).filter(|&value| member[value]) {
                let stored = created[value].is_some();
                let stores = !stored && places[value] != Place::Recomputed;
                let gathers = wanted[value] && (stores || value == target);
                if stores {
                    created[value] = Some(sweeps.len());
                }
                wanted[value] &= !gathers;
                let in_file = (stored || stores) && places[value] == Place::Scratch;
                parts.push(Part { value, stored, stores, gathers, in_file });
            }
            sweeps.push(Sweep { parts });
        }
        (sweeps, created)
    }
}

#[cfg(test)]
mod tests;
