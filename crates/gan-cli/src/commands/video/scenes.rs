//! Scenes, and the statistics that the frames of each are translated with.

use super::input::{Frame, Frames};
use super::{Next, read};
use crate::progress::bar;
use crate::wording::worded;
use gan_translate::{CutDetector, Input, Model, Statistics};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::IntoIter;

/// Most frames of a scene whose statistics are taken, and of one that stands for a whole video.
const SAMPLE: usize = 8;
const SAMPLE_OF_ALL: usize = 16;
/// At most one frame in so many is looked at, so that it takes little time.
const SPARSE: usize = 16;
/// Frames that are looked at ahead of a scene of a stream.
const AHEAD: usize = 24;

/// How frames are normalized.
pub(super) enum Look {
    /// Each by its own statistics.
    Own,
    /// All by those that the model has been given.
    Fixed,
    /// The frames of each scene by those of a sample of it: with the number of the scene's first frame.
    Scenes(Vec<(u64, Statistics)>),
    /// The same for a stream, of which only what comes next can be looked at; the statistics of its beginning are for all of it if they go into a file.
    AsItComes { file: Option<PathBuf>, written: bool, now: Option<Box<Statistics>> },
}

impl Look {
    pub(super) fn as_it_comes(file: Option<PathBuf>) -> Self {
        Look::AsItComes { file, written: false, now: None }
    }

    /// How many frames are to be known beside the one that is translated.
    pub(super) fn wants_ahead(&self) -> usize {
        if matches!(self, Look::AsItComes { .. }) { AHEAD } else { 0 }
    }

    /// Whether a scene begins with a frame.
    pub(super) fn begins(&self, next: &Next) -> bool {
        match self {
            Look::Own | Look::Fixed => false,
            Look::Scenes(scenes) => scenes.iter().any(|(start, _)| *start == next.index),
            Look::AsItComes { written, .. } => next.cut && !written,
        }
    }

    /// Gathers the statistics of a scene of a stream from what is known of it.
    pub(super) fn prepare(&mut self, model: &mut Model, next: &Next, ahead: &LookAhead) -> gan_translate::Result<()> {
        let Look::AsItComes { file, written, now } = self else { return Ok(()) };
        let known: Vec<&Input> = std::iter::once(&next.input).chain(ahead.of_scene()).collect();
        let sample = evenly(known.len(), SAMPLE).into_iter().map(|i| Ok(known[i].clone()));
        let statistics = model.statistics_of(sample)?;
        if let Some(path) = file {
            statistics.save(path)?;
            *written = true;
        }
        *now = Some(Box::new(statistics));
        Ok(())
    }

    /// Gives the model the statistics of the scene that a frame begins, or `within`, that it lies in.
    pub(super) fn select(&self, model: &mut Model, index: u64, within: bool) -> gan_translate::Result<()> {
        let statistics = match self {
            Look::Own | Look::Fixed => return Ok(()),
            Look::Scenes(scenes) => {
                let of = |start: u64| if within { start <= index } else { start == index };
                scenes.iter().rev().find(|(start, _)| of(*start)).map(|(_, statistics)| statistics)
            }
            Look::AsItComes { now, .. } => now.as_deref(),
        };
        match statistics {
            Some(statistics) => model.use_statistics(Some(statistics)),
            None => Ok(()),
        }
    }
}

/// Places of up to `most` of so many, in even distances.
fn evenly(count: usize, most: usize) -> Vec<usize> {
    let taken = count.min(most);
    (0..taken).map(|i| (2 * i + 1) * count / (2 * taken)).collect()
}

/// A sample of a scene whose length is not known yet: every frame at first, then every second of those, and so on.
struct Sample {
    frames: Vec<(Frame, u64)>,
    most: usize,
    stride: u64,
    count: u64,
}

impl Sample {
    fn new(most: usize) -> Self {
        Sample { frames: Vec::new(), most, stride: 1, count: 0 }
    }

    fn push(&mut self, frame: Frame, index: u64) {
        if self.count.is_multiple_of(self.stride) {
            if self.frames.len() == 2 * self.most {
                let mut at = 0;
                self.frames.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.stride *= 2;
            }
            if self.count.is_multiple_of(self.stride) {
                self.frames.push((frame, index));
            }
        }
        self.count += 1;
    }

    fn statistics(&self, model: &Model) -> anyhow::Result<Statistics> {
        let most = usize::try_from(self.count).unwrap_or(usize::MAX).div_ceil(SPARSE).min(self.most);
        let places = evenly(self.frames.len(), most);
        // Read before, so that their errors keep their words.
        let inputs = places.into_iter().map(|i| read(model, &self.frames[i].0, self.frames[i].1));
        let inputs = inputs.collect::<anyhow::Result<Vec<Input>>>()?;
        model.statistics_of(inputs.into_iter().map(Ok)).map_err(worded)
    }
}

/// Looks at all frames: where scenes begin, and the statistics of a sample of each; of all frames together if they are to be `one` look.
/// `None` if `stop` was set meanwhile.
pub(super) fn survey(
    model: &Model,
    frames: Frames,
    one: bool,
    total: Option<u64>,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Vec<(u64, Statistics)>>> {
    let most = if one { SAMPLE_OF_ALL } else { SAMPLE };
    let mut detector = CutDetector::default();
    let (mut scenes, mut start, mut sample) = (Vec::new(), 0, Sample::new(most));
    let bar = bar(total.unwrap_or(0) as usize, "looking at the frames");
    for (index, frame) in (0..).zip(frames) {
        if stop.load(Ordering::Relaxed) {
            bar.finish_and_clear();
            return Ok(None);
        }
        let frame = frame?;
        let cut = !one && detector.push(&read(model, &frame, index)?).map_err(worded)?;
        if cut && index > 0 {
            scenes.push((start, sample.statistics(model)?));
            (start, sample) = (index, Sample::new(most));
        }
        sample.push(frame, index);
        bar.inc(1);
    }
    bar.finish_and_clear();
    if sample.count > 0 {
        scenes.push((start, sample.statistics(model)?));
    }
    Ok(Some(scenes))
}

/// Frames, some of which are known before they are translated.
pub(super) struct LookAhead {
    frames: Option<IntoIter<anyhow::Result<Frame>>>,
    known: VecDeque<Next>,
    wanted: usize,
    index: u64,
    detector: CutDetector,
}

impl LookAhead {
    /// Of the frames from number `first` on, as many as are `wanted` beside the next.
    pub(super) fn new(frames: IntoIter<anyhow::Result<Frame>>, wanted: usize, first: u64) -> Self {
        LookAhead {
            frames: Some(frames),
            known: VecDeque::new(),
            wanted,
            index: first,
            detector: CutDetector::default(),
        }
    }

    /// The next frame; `None` behind the last.
    pub(super) fn next(&mut self, model: &Model) -> anyhow::Result<Option<Next>> {
        while self.known.len() <= self.wanted
            && let Some(frames) = &mut self.frames
        {
            let Some(frame) = frames.next() else {
                self.frames = None;
                break;
            };
            let input = read(model, &frame?, self.index)?;
            let cut = self.wanted > 0 && self.detector.push(&input).map_err(worded)?;
            self.known.push_back(Next { index: self.index, input, cut });
            self.index += 1;
        }
        Ok(self.known.pop_front())
    }

    /// What is known of the scene of the frame that came last.
    fn of_scene(&self) -> impl Iterator<Item = &Input> {
        self.known.iter().take_while(|next| !next.cut).map(|next| &next.input)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Frame, Sample, evenly};
    use std::path::PathBuf;

    #[test]
    fn samples_are_spread_over_a_scene_of_any_length() {
        assert_eq!((evenly(100, 4), evenly(3, 8), evenly(0, 8)), (vec![12, 37, 62, 87], vec![0, 1, 2], vec![]));
        for length in [1u64, 7, 16, 17, 100, 1000, 12_345] {
            let mut sample = Sample::new(8);
            (0..length).for_each(|i| sample.push(Frame::File(PathBuf::new()), i));
            let indices: Vec<u64> = sample.frames.iter().map(|(_, index)| *index).collect();
            assert!(indices.len() <= 16 && indices.len() as u64 >= length.min(8), "{length}: {indices:?}");
            let distances: Vec<u64> = indices.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(distances.iter().all(|d| *d == distances[0]), "{length}: {indices:?}");
            assert!(indices.last().unwrap() + sample.stride >= length, "{length}: {indices:?}");
        }
    }
}
