//! Where one scene ends and another begins.

use super::plane::{Plane, planes};
use crate::Result;
use crate::reader::Input;
use std::collections::VecDeque;

/// Cells of a thumbnail.
const ACROSS: usize = 32;
const DOWN: usize = 18;
/// Mean difference of thumbnails, in levels, below which nothing is a cut.
const LEAST: f32 = 12.0;
/// A cut differs by so many times as much as the frames before it.
const TIMES: f32 = 3.0;
/// Frames of a scene at least.
const SHORTEST: usize = 6;
/// How many differences of frames before are looked at.
const RECENT: usize = 12;

/// Finds cuts: frames that differ from the one before by much more than frames of the scene do. Fades are none.
#[derive(Debug, Default)]
pub struct CutDetector {
    before: Option<Vec<Vec<f32>>>,
    recent: VecDeque<f32>,
    frames: usize,
}

impl CutDetector {
    /// Takes the next frame, and tells whether a scene begins with it. The first one does.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) passes on what candle answers.
    pub fn push(&mut self, input: &Input) -> Result<bool> {
        let thumbnail: Vec<Vec<f32>> = planes(&input.batch.a)?.iter().map(thumbnail).collect();
        Ok(self.push_thumbnail(thumbnail))
    }

    fn push_thumbnail(&mut self, thumbnail: Vec<Vec<f32>>) -> bool {
        let difference = self.before.as_ref().map(|before| difference(&thumbnail, before));
        self.before = Some(thumbnail);
        let Some(difference) = difference else {
            self.frames = 1;
            return true;
        };
        let usual = self.recent.iter().sum::<f32>() / self.recent.len().max(1) as f32;
        let cut = difference > LEAST && difference > TIMES * usual && self.frames >= SHORTEST;
        if cut {
            self.recent.clear();
            self.frames = 1;
        } else {
            self.recent.push_back(difference);
            if self.recent.len() > RECENT {
                self.recent.pop_front();
            }
            self.frames += 1;
        }
        cut
    }
}

/// Means of cells.
fn thumbnail(plane: &Plane) -> Vec<f32> {
    let edges = |cells: usize, count: usize| (0..=cells).map(move |i| i * count / cells).collect::<Vec<_>>();
    let (columns, rows) = (edges(ACROSS, plane.width), edges(DOWN, plane.height));
    let mut cells = Vec::with_capacity(ACROSS * DOWN);
    for row in rows.windows(2) {
        for column in columns.windows(2) {
            // A frame of fewer pixels than cells repeats some.
            let (x0, y0) = (column[0].min(plane.width - 1), row[0].min(plane.height - 1));
            let (x1, y1) = (column[1].max(x0 + 1), row[1].max(y0 + 1));
            let sum: f32 = (y0..y1).map(|y| plane.row(y)[x0..x1].iter().sum::<f32>()).sum();
            cells.push(sum / ((x1 - x0) * (y1 - y0)) as f32);
        }
    }
    cells
}

/// The mean difference of two thumbnails where they fit best, moved by up to two cells.
fn difference(now: &[Vec<f32>], before: &[Vec<f32>]) -> f32 {
    if now.len() != before.len() {
        return f32::MAX;
    }
    let moved = |dx: isize, dy: isize| {
        let (mut sum, mut count) = (0.0, 0usize);
        for (now, before) in now.iter().zip(before) {
            for y in 0..DOWN {
                for x in 0..ACROSS {
                    let (sx, sy) = (x as isize + dx, y as isize + dy);
                    if (0..ACROSS as isize).contains(&sx) && (0..DOWN as isize).contains(&sy) {
                        sum += (now[y * ACROSS + x] - before[sy as usize * ACROSS + sx as usize]).abs();
                        count += 1;
                    }
                }
            }
        }
        sum / count as f32
    };
    let around = (-2..=2).flat_map(|dy| (-2..=2).map(move |dx| (dx, dy)));
    around.map(|(dx, dy)| moved(dx, dy)).fold(f32::MAX, f32::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(scene: f32, x0: f32, light: f32) -> Vec<Vec<f32>> {
        let level = |i: usize| {
            let (x, y) = ((i % 64) as f32 + x0, (i / 64) as f32);
            light * (120.0 + 100.0 * (scene * x * 0.2 + y * 0.1 * scene).sin())
        };
        let plane = Plane { width: 64, height: 48, levels: (0..64 * 48).map(level).collect() };
        vec![thumbnail(&plane)]
    }

    #[test]
    fn cuts_are_found_and_pans_and_fades_are_none() {
        let mut detector = CutDetector::default();
        let mut cuts = Vec::new();
        for t in 0..60 {
            let at = t as f32;
            // A pan, a fade to black, a cut to another scene, a cut back.
            let frame = match t {
                0..20 => frame(1.0, 2.0 * at, 1.0),
                20..30 => frame(1.0, 40.0, 1.0 - 0.06 * (at - 20.0)),
                30..45 => frame(2.3, 0.0, 1.0),
                _ => frame(1.0, 2.0 * at, 1.0),
            };
            if detector.push_thumbnail(frame) {
                cuts.push(t);
            }
        }
        assert_eq!(cuts, [0, 30, 45]);
    }
}
