//! A sweep: one walk over all rows of a value, band by band.

use super::dataflow::Dataflow;
use std::ops::Range;

/// Bands in a row that take no more than those before them, after which none does.
const REPEATED: usize = 64;

/// One walk over all rows of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Sweep {
    /// The values that take part, ascending, the last of which is the one that is walked over.
    pub(super) parts: Vec<Part>,
}

/// A value that takes part in a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Part {
    pub(super) value: usize,
    /// Whether it is read from where an earlier sweep has stored it.
    pub(super) stored: bool,
    /// Whether this sweep stores it.
    pub(super) stores: bool,
    /// Whether the statistics of all its rows are taken.
    pub(super) gathers: bool,
    /// Whether it is stored in a file: rows are read ahead, and written behind.
    pub(super) in_file: bool,
}

/// The rows of a value that a band is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Rows that are computed or read now; they follow those before.
    pub(super) fresh: Range<usize>,
    /// Where the rows begin that are still needed, now and later.
    pub(super) from: usize,
}

/// How far a sweep has come.
pub(super) struct Progress<'s, 'g, 'a> {
    flow: &'g Dataflow<'a>,
    sweep: &'s Sweep,
    /// For each part, the parts that are its inputs.
    inputs: Vec<Vec<usize>>,
    /// The first row that each part still needs of each of its inputs.
    low: Vec<usize>,
    /// The end of the rows of each part that were computed or read.
    done: Vec<usize>,
}

impl<'s, 'g, 'a> Progress<'s, 'g, 'a> {
    pub(super) fn new(flow: &'g Dataflow<'a>, sweep: &'s Sweep) -> Self {
        let place = |value: usize| sweep.parts.binary_search_by_key(&value, |part| part.value).ok();
        let inputs = |part: &Part| match part.stored {
            true => Vec::new(),
            false => flow.nodes[part.value].inputs.iter().filter_map(|input| place(input.0)).collect(),
        };
        let count = sweep.parts.len();
        let inputs = sweep.parts.iter().map(inputs).collect();
        Progress { flow, sweep, inputs, low: vec![0; count], done: vec![0; count] }
    }

    /// The parts that are the inputs of a part.
    pub(super) fn inputs(&self, part: usize) -> &[usize] {
        &self.inputs[part]
    }

    /// The bands of the value that is walked over, of `rows` rows or as many more as its cuts demand.
    pub(super) fn bands(&self, rows: usize) -> Vec<Range<usize>> {
        let bands = self.target().bands;
        let (mut start, mut out) = (0, Vec::new());
        while start < bands.height() {
            let end = bands.ceil((start + rows.max(1)).min(bands.height()));
            out.push(start..end);
            start = end;
        }
        out
    }

    fn target(&self) -> &'g super::dataflow::Node<'a> {
        &self.flow.nodes[self.sweep.parts[self.sweep.parts.len() - 1].value]
    }

    /// What each part has to do for the next band.
    pub(super) fn step(&mut self, band: &Range<usize>) -> Vec<Step> {
        let count = self.sweep.parts.len();
        let last = band.end == self.target().size.height;
        let mut ends = vec![0; count];
        ends[count - 1] = band.end;
        let mut steps = vec![Step { fresh: 0..0, from: 0 }; count];
        // The first row that anyone needs.
        let mut needed = vec![usize::MAX; count];
        for p in (0..count).rev() {
            let part = self.sweep.parts[p];
            let node = &self.flow.nodes[part.value];
            let whole = part.stores || part.gathers;
            let end = if last && whole { node.size.height } else { ends[p] };
            let needed_from = if p + 1 == count { band.start } else { needed[p] };
            let cut = |row: usize| if part.stored { row } else { node.bands.floor(row) };
            let start = if whole { self.done[p] } else { self.done[p].max(cut(needed_from.min(node.size.height))) };
            let end = if part.stored { end } else { node.bands.ceil(end) }.max(start);
            let fresh = if end > self.done[p] { start..end } else { self.done[p]..self.done[p] };
            if !fresh.is_empty() && !self.inputs[p].is_empty() {
                let reads = (node.reads)(&fresh);
                self.low[p] = reads.start;
                self.inputs[p].iter().for_each(|&i| ends[i] = ends[i].max(reads.end));
            }
            self.inputs[p].iter().for_each(|&i| needed[i] = needed[i].min(self.low[p]));
            self.done[p] = fresh.end.max(self.done[p]);
            steps[p] = Step { from: needed_from.min(self.done[p]), fresh };
        }
        steps
    }

    /// The most bytes that the windows of all parts and what is needed to compute them take, for bands of so many rows.
    pub(super) fn peak(mut self, rows: usize) -> u64 {
        let parts = &self.sweep.parts;
        let computed = parts.iter().filter(|part| !part.stored);
        let packed: u64 = computed.map(|part| self.flow.nodes[part.value].packed).sum();
        let (mut peak, mut since) = (0, 0);
        for band in self.bands(rows) {
            let steps = self.step(&band);
            let (mut windows, mut most) = (0, 0);
            for (p, step) in steps.iter().enumerate() {
                let node = &self.flow.nodes[parts[p].value];
                let bytes = |rows: usize| node.size.row_bytes() * rows as u64;
                let window = if p + 1 == parts.len() { 0 } else { bytes(self.done[p] - step.from) };
                let on_the_way = if parts[p].in_file { bytes(step.fresh.len()) } else { 0 };
                windows += window + on_the_way;
                if step.fresh.is_empty() {
                    continue;
                }
                let read = match self.inputs[p].is_empty() || !node.copies {
                    true => 0,
                    false => (node.reads)(&step.fresh).len() as u64,
                };
                let copied: u64 =
                    self.inputs[p].iter().map(|&i| read * self.flow.nodes[parts[i].value].size.row_bytes()).sum();
                let working = if parts[p].stored { 0 } else { node.working };
                // The result, and what it is joined with.
                let joined = if step.from < step.fresh.start { window } else { 0 };
                most = most.max(working + copied + 2 * bytes(step.fresh.len()) + joined);
            }
            since = if windows + most > peak { 0 } else { since + 1 };
            peak = peak.max(windows + most);
            // What bands take repeats after a few of them. Of tall images there are thousands.
            if since == REPEATED {
                break;
            }
        }
        packed + peak
    }
}
