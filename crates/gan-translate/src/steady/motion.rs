//! The motion from one frame to the next: of the camera, and of blocks that do not follow it.

use super::plane::Plane;
use rayon::prelude::*;

/// Differences above this count as this much, so that what moves by itself does not decide about the camera.
const MOST: f32 = 24.0;
/// Side of a block, in pixels.
const BLOCK: usize = 16;
/// Mean difference, in levels, of a block that follows the camera in a video without noise.
const FOLLOWS: f32 = 2.0;
/// Most that noise and resampling may add to that.
const MOST_NOISE: f32 = 8.0;
/// Pixels around one, to each side, that tell which of several motions is its own.
const REACH: isize = 2;

/// Where a pixel of a frame was in the frame before: at `(x + tx + s·X − r·Y, y + ty + r·X + s·Y)`, where X and Y count from the centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Camera {
    pub(super) tx: f32,
    pub(super) ty: f32,
    /// Zoom.
    pub(super) s: f32,
    /// Rotation.
    pub(super) r: f32,
    centre: (f32, f32),
}

impl Camera {
    fn still(frame: &Plane) -> Self {
        let centre = ((frame.width as f32 - 1.0) / 2.0, (frame.height as f32 - 1.0) / 2.0);
        Camera { tx: 0.0, ty: 0.0, s: 0.0, r: 0.0, centre }
    }

    pub(super) fn source(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        (x + self.tx + self.s * dx - self.r * dy, y + self.ty + self.r * dx + self.s * dy)
    }

    /// The same on frames of twice the size.
    fn doubled(self, frame: &Plane) -> Self {
        Camera { tx: 2.0 * self.tx, ty: 2.0 * self.ty, ..Camera { s: self.s, r: self.r, ..Camera::still(frame) } }
    }
}

/// The motion from one frame to the next.
#[derive(Debug, Clone)]
pub(super) struct Motion {
    pub(super) camera: Camera,
    /// Blocks in a row, and rows of blocks.
    across: usize,
    down: usize,
    /// Of each block its own displacement, if it does not follow the camera.
    blocks: Vec<Option<(f32, f32)>>,
}

impl Motion {
    /// The motion to `frame` from the frame before, of the same size.
    pub(super) fn between(frame: &Plane, before: &Plane) -> Self {
        let mut levels = vec![(frame.clone(), before.clone())];
        while let Some((frame, before)) = levels.last()
            && frame.width.min(frame.height) >= 48
            && levels.len() < 6
        {
            let next = (frame.halved(), before.halved());
            levels.push(next);
        }
        let (dx, dy) = translation(&levels);
        let mut camera = Camera { tx: dx as f32, ty: dy as f32, ..Camera::still(frame) };
        // Whole pixels that fit need no more.
        if shifted(frame, before, (dx, dy), 1) > 0.5 {
            camera = refined(&levels, camera);
        }
        let (across, down) = (frame.width.div_ceil(BLOCK), frame.height.div_ceil(BLOCK));
        let corner = |i: usize| ((i % across * BLOCK) as f32, (i / across * BLOCK) as f32);
        let following = |i: usize| block_difference(frame, before, corner(i), 1, |x, y| camera.source(x, y));
        let following: Vec<f32> = (0..across * down).into_par_iter().map(following).collect();
        let mut known: Vec<f32> = following.iter().copied().filter(|d| *d < f32::MAX).collect();
        known.sort_by(f32::total_cmp);
        let usual = known.get(known.len() / 2).map_or(0.0, |median| (2.0 * median).min(MOST_NOISE));
        let block = |i: usize| {
            let wanders = following[i] >= FOLLOWS + usual;
            wanders.then(|| own_motion(&levels, &camera, corner(i), following[i])).flatten()
        };
        let blocks: Vec<Option<(f32, f32)>> = (0..across * down).into_par_iter().map(block).collect();
        Motion { camera, across, down, blocks }
    }

    /// Where each pixel of `frame` was in the frame before, row by row. Where blocks move by themselves, each pixel takes that motion of its
    /// neighbourhood which fits best.
    pub(super) fn sources(&self, frame: &Plane, before: &Plane) -> Vec<(f32, f32)> {
        let choices: Vec<Vec<(f32, f32)>> = (0..self.blocks.len()).map(|i| self.choices(i)).collect();
        let source = |i: usize| {
            let (x, y) = (i % frame.width, i / frame.width);
            let by_camera = self.camera.source(x as f32, y as f32);
            let choices = &choices[y / BLOCK * self.across + x / BLOCK];
            let mut best = (by_camera, None);
            for &(dx, dy) in choices {
                // The camera's motion is taken unless another one fits better.
                let least = *best.1.get_or_insert_with(|| fit(frame, before, (x, y), |x, y| self.camera.source(x, y)));
                let difference = fit(frame, before, (x, y), |x, y| (x + dx, y + dy));
                if difference < least - 0.1 {
                    best = ((x as f32 + dx, y as f32 + dy), Some(difference));
                }
            }
            best.0
        };
        (0..frame.width * frame.height).into_par_iter().map(source).collect()
    }

    /// The motions of a block and of those around it, without the camera's and without repetitions.
    fn choices(&self, block: usize) -> Vec<(f32, f32)> {
        let (column, row) = (block % self.across, block / self.across);
        let mut found: Vec<(f32, f32)> = Vec::new();
        for y in row.saturating_sub(1)..(row + 2).min(self.down) {
            for x in column.saturating_sub(1)..(column + 2).min(self.across) {
                if let Some(own) = self.blocks[y * self.across + x]
                    && !found.iter().any(|(dx, dy)| (dx - own.0).abs() + (dy - own.1).abs() < 0.05)
                {
                    found.push(own);
                }
            }
        }
        found
    }
}

/// The mean difference around a pixel whose surroundings were at `source`.
fn fit(frame: &Plane, before: &Plane, (x, y): (usize, usize), source: impl Fn(f32, f32) -> (f32, f32)) -> f32 {
    let (mut sum, mut count) = (0.0, 0usize);
    for dy in -REACH..=REACH {
        for dx in -REACH..=REACH {
            let (px, py) = (x as isize + dx, y as isize + dy);
            if px < 0 || py < 0 || px >= frame.width as isize || py >= frame.height as isize {
                continue;
            }
            let (sx, sy) = source(px as f32, py as f32);
            let level = frame.levels[py as usize * frame.width + px as usize];
            // What was not there fits badly.
            sum += before.bilinear(sx, sy).map_or(MOST, |before| (level - before).abs().min(MOST));
            count += 1;
        }
    }
    sum / count.max(1) as f32
}

/// The mean difference between a frame and the one before, moved by whole pixels; every `step`-th pixel both ways.
fn shifted(frame: &Plane, before: &Plane, (dx, dy): (i32, i32), step: usize) -> f32 {
    let range = |by: i32, count: usize| (0.max(-by) as usize)..((count as i32 - by.max(0)).max(0) as usize);
    let (columns, rows) = (range(dx, frame.width), range(dy, frame.height));
    if columns.len() * 2 < frame.width || rows.len() * 2 < frame.height {
        return f32::MAX;
    }
    let (mut sum, mut count) = (0.0, 0usize);
    for y in rows.step_by(step) {
        let here = &frame.row(y)[columns.clone()];
        let there = &before.row((y as i32 + dy) as usize)[(columns.start as i32 + dx) as usize..];
        let pairs = here.iter().zip(there).step_by(step);
        let line: f32 = pairs.map(|(a, b)| (a - b).abs().min(MOST)).sum();
        sum += line;
        count += columns.len().div_ceil(step);
    }
    sum / count as f32
}

/// The translation by whole pixels that fits best, from coarse to fine.
fn translation(levels: &[(Plane, Plane)]) -> (i32, i32) {
    let mut best = (0, 0);
    for (i, (frame, before)) in levels.iter().enumerate().rev() {
        let coarsest = i + 1 == levels.len();
        let reach = if coarsest { (frame.width.min(frame.height) as i32 / 3).min(10) } else { 2 };
        let centre = (2 * best.0, 2 * best.1);
        let step = if frame.width * frame.height > 1 << 19 { 2 } else { 1 };
        let around = (-reach..=reach).flat_map(|dy| (-reach..=reach).map(move |dx| (dx, dy)));
        let candidates: Vec<(i32, i32)> = around.map(|(dx, dy)| (centre.0 + dx, centre.1 + dy)).collect();
        let differences: Vec<f32> =
            candidates.par_iter().map(|&by| shifted(frame, before, by, step) + 1e-3 * length(by)).collect();
        let least = differences.iter().zip(&candidates).min_by(|a, b| a.0.total_cmp(b.0));
        best = least.map_or((0, 0), |(_, &by)| by);
    }
    best
}

fn length((dx, dy): (i32, i32)) -> f32 {
    (dx as f32).hypot(dy as f32)
}

/// The camera's motion with fractions of pixels, zoom and rotation (Lucas and Kanade, 1981), from coarse to fine.
fn refined(levels: &[(Plane, Plane)], start: Camera) -> Camera {
    let coarsest = levels.len().saturating_sub(2).min(2);
    let shrink = (1 << coarsest) as f32;
    let mut camera = Camera { tx: start.tx / shrink, ty: start.ty / shrink, ..Camera::still(&levels[coarsest].0) };
    for (i, (frame, before)) in levels[..=coarsest].iter().enumerate().rev() {
        if i < coarsest {
            camera = camera.doubled(frame);
        }
        for _ in 0..6 {
            let Some([tx, ty, s, r]) = gauss_newton(frame, before, &camera) else { break };
            camera = Camera { tx: camera.tx + tx, ty: camera.ty + ty, s: camera.s + s, r: camera.r + r, ..camera };
            if tx.abs() + ty.abs() < 0.005 {
                break;
            }
        }
    }
    // What is lost is lost: a frame of something else.
    let lost = camera.s.abs() > 0.2 || camera.r.abs() > 0.2 || !(camera.tx + camera.ty).is_finite();
    let (frame, before) = &levels[0];
    if lost || difference(frame, before, &camera) >= difference(frame, before, &start) { start } else { camera }
}

/// The mean difference under a motion of the camera, over some of the pixels.
fn difference(frame: &Plane, before: &Plane, camera: &Camera) -> f32 {
    let (mut sum, mut count) = (0.0, 0usize);
    for y in (0..frame.height).step_by(3) {
        for x in (0..frame.width).step_by(3) {
            let (sx, sy) = camera.source(x as f32, y as f32);
            if let Some(level) = before.bilinear(sx, sy) {
                sum += (frame.levels[y * frame.width + x] - level).abs().min(MOST);
                count += 1;
            }
        }
    }
    if count == 0 { f32::MAX } else { sum / count as f32 }
}

/// One step of Gauss and Newton on the differences under a motion of the camera; `None` where nothing tells.
fn gauss_newton(frame: &Plane, before: &Plane, camera: &Camera) -> Option<[f32; 4]> {
    let step = if frame.width * frame.height > 1 << 17 { 2 } else { 1 };
    let row = |y: usize| {
        let mut sums = [[0f64; 5]; 4];
        for x in (1..frame.width - 1).step_by(step) {
            let (sx, sy) = camera.source(x as f32, y as f32);
            let (Some(level), Some(left), Some(right), Some(above), Some(below)) = (
                before.bilinear(sx, sy),
                before.bilinear(sx - 0.5, sy),
                before.bilinear(sx + 0.5, sy),
                before.bilinear(sx, sy - 0.5),
                before.bilinear(sx, sy + 0.5),
            ) else {
                continue;
            };
            let difference = frame.levels[y * frame.width + x] - level;
            // What differs much moves by itself.
            let weight = 1.0 / (1.0 + (difference / 8.0).powi(2));
            let (gx, gy) = (right - left, below - above);
            let (dx, dy) = (x as f32 - camera.centre.0, y as f32 - camera.centre.1);
            let slopes = [gx, gy, gx * dx + gy * dy, gy * dx - gx * dy];
            for (i, sums) in sums.iter_mut().enumerate() {
                for (j, slope) in slopes.iter().enumerate() {
                    sums[j] += f64::from(weight * slopes[i] * slope);
                }
                sums[4] += f64::from(weight * slopes[i] * difference);
            }
        }
        sums
    };
    let add = |mut a: [[f64; 5]; 4], b: [[f64; 5]; 4]| {
        a.iter_mut().flatten().zip(b.iter().flatten()).for_each(|(a, b)| *a += b);
        a
    };
    // In order, so that results do not depend on the number of threads.
    let rows: Vec<usize> = (1..frame.height - 1).step_by(step).collect();
    let sums = rows.par_iter().map(|&y| row(y)).collect::<Vec<_>>().into_iter().fold([[0.0; 5]; 4], add);
    solved(sums)
}

/// The solution of four linear equations, by elimination; `None` if there is no single one.
fn solved(mut rows: [[f64; 5]; 4]) -> Option<[f32; 4]> {
    let scale = rows.iter().enumerate().map(|(i, row)| row[i]).fold(0.0, f64::max);
    for i in 0..4 {
        let pivot = (i..4).max_by(|&a, &b| rows[a][i].abs().total_cmp(&rows[b][i].abs()))?;
        rows.swap(i, pivot);
        if rows[i][i].abs() <= 1e-12 * scale || rows[i][i] == 0.0 {
            return None;
        }
        for j in 0..4 {
            if i != j {
                let factor = rows[j][i] / rows[i][i];
                let pivot = rows[i];
                rows[j].iter_mut().zip(pivot).for_each(|(a, b)| *a -= factor * b);
            }
        }
    }
    let mut solution = [0.0; 4];
    for (i, row) in rows.iter().enumerate() {
        solution[i] = (row[4] / row[i]) as f32;
    }
    solution.iter().all(|value| value.is_finite()).then_some(solution)
}

/// The displacement of a block at `(x, y)` that does not follow the camera, if another one fits much better.
fn own_motion(levels: &[(Plane, Plane)], camera: &Camera, (x, y): (f32, f32), following: f32) -> Option<(f32, f32)> {
    let (frame, before) = &levels[0];
    let (cx, cy) = (x + BLOCK as f32 / 2.0, y + BLOCK as f32 / 2.0);
    let (sx, sy) = camera.source(cx, cy);
    let (camera_x, camera_y) = (sx - cx, sy - cy);
    let coarsest = (levels.len() - 1).min(2);
    let mut best = (0.0, 0.0);
    for i in (0..=coarsest).rev() {
        let (frame, before) = &levels[i];
        let shrink = (1 << i) as f32;
        // At every level as many pixels, around the block's centre.
        let corner = (cx / shrink - BLOCK as f32 / 2.0, cy / shrink - BLOCK as f32 / 2.0);
        let along = ((camera_x / shrink).round(), (camera_y / shrink).round());
        let (centres, reach) = match i == coarsest {
            true => (vec![(0.0, 0.0), along], 4),
            false => (vec![(2.0 * best.0, 2.0 * best.1), along], 1),
        };
        let step = if i == coarsest { 2 } else { 1 };
        let mut least = f32::MAX;
        for centre in centres {
            for dy in -reach..=reach {
                for dx in -reach..=reach {
                    let by = (centre.0 + dx as f32, centre.1 + dy as f32);
                    let d = block_difference(frame, before, corner, step, |x, y| (x + by.0, y + by.1));
                    if d < least {
                        (least, best) = (d, by);
                    }
                }
            }
        }
    }
    let at = |by: (f32, f32)| block_difference(frame, before, (x, y), 1, |x, y| (x + by.0, y + by.1));
    let mut whole = at(best);
    // Coarse levels may have led beside it.
    for _ in 0..6 {
        let around = (-1..=1).flat_map(|dy| (-1..=1).map(move |dx| (dx as f32, dy as f32)));
        let moved = around.map(|(dx, dy)| (best.0 + dx, best.1 + dy)).map(|by| (at(by), by));
        match moved.min_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((difference, by)) if difference < whole => (whole, best) = (difference, by),
            _ => break,
        }
    }
    // A parabola through the neighbours tells the fraction; it counts where it fits better.
    let vertex = |less: f32, more: f32| {
        let curvature = less + more - 2.0 * whole;
        if curvature > 0.0 && curvature.is_finite() { (0.5 * (less - more) / curvature).clamp(-0.5, 0.5) } else { 0.0 }
    };
    let fraction = (
        best.0 + vertex(at((best.0 - 1.0, best.1)), at((best.0 + 1.0, best.1))),
        best.1 + vertex(at((best.0, best.1 - 1.0)), at((best.0, best.1 + 1.0))),
    );
    let between = at(fraction);
    let (best, least) = if between < 0.8 * whole { (fraction, between) } else { (best, whole) };
    (least < 0.7 * following).then_some(best)
}

/// The mean difference of a block whose pixels were at `source`; the largest number where less than half of them were in the frame.
fn block_difference(
    frame: &Plane,
    before: &Plane,
    (x, y): (f32, f32),
    step: usize,
    source: impl Fn(f32, f32) -> (f32, f32),
) -> f32 {
    let range = |from: f32, count: usize| {
        (from.max(0.0) as usize).min(count)..((from + BLOCK as f32).max(0.0) as usize).min(count)
    };
    let (columns, rows) = (range(x, frame.width), range(y, frame.height));
    let (mut sum, mut count, mut all) = (0.0, 0usize, 0usize);
    for y in rows.step_by(step) {
        for x in columns.clone().step_by(step) {
            all += 1;
            let (sx, sy) = source(x as f32, y as f32);
            if let Some(level) = before.bilinear(sx, sy) {
                sum += (frame.levels[y * frame.width + x] - level).abs();
                count += 1;
            }
        }
    }
    if count == 0 || 2 * count < all { f32::MAX } else { sum / count as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scene of smooth waves of several lengths at any place, levels 0 to 255.
    fn scene(x: f32, y: f32) -> f32 {
        let waves = (0.31 * x).sin() * (0.23 * y).cos() + (0.11 * x + 0.17 * y).sin() + (0.053 * x - 0.071 * y).cos();
        127.0 + 40.0 * waves
    }

    fn frame(f: impl Fn(f32, f32) -> f32) -> Plane {
        let (width, height) = (128, 96);
        let levels = (0..width * height).map(|i| f((i % width) as f32, (i / width) as f32)).collect();
        Plane { width, height, levels }
    }

    #[test]
    fn a_pan_by_whole_pixels_is_found_exactly() {
        let before = frame(scene);
        for (dx, dy) in [(0, 0), (1, 0), (7, -3), (-12, 5), (20, 0)] {
            let now = frame(|x, y| scene(x + dx as f32, y + dy as f32));
            let motion = Motion::between(&now, &before);
            assert_eq!((motion.camera.tx, motion.camera.ty), (dx as f32, dy as f32));
            assert_eq!((motion.camera.s, motion.camera.r), (0.0, 0.0));
            let sources = motion.sources(&now, &before);
            assert_eq!(sources[40 * 128 + 40], (40.0 + dx as f32, 40.0 + dy as f32));
        }
    }

    #[test]
    fn zoom_rotation_and_fractions_are_found() {
        let before = frame(scene);
        for (tx, ty, s, r) in [(0.4, -0.3, 0.0, 0.0), (0.0, 0.0, 0.02, 0.0), (1.3, 0.6, -0.015, 0.01)] {
            let truth = Camera { tx, ty, s, r, ..Camera::still(&before) };
            let now = frame(|x, y| {
                let (sx, sy) = truth.source(x, y);
                scene(sx, sy)
            });
            let Camera { tx: fx, ty: fy, s: fs, r: fr, .. } = Motion::between(&now, &before).camera;
            assert!((fx - tx).abs() < 0.05 && (fy - ty).abs() < 0.05, "{fx} {fy} for {tx} {ty}");
            assert!((fs - s).abs() < 1e-3 && (fr - r).abs() < 1e-3, "{fs} {fr} for {s} {r}");
        }
    }

    #[test]
    fn an_object_moves_by_itself() {
        let waves = |x: f32, y: f32| (0.45 * x).sin() * (0.35 * y).cos() + (0.17 * x + 0.29 * y).sin();
        let texture = |x: f32, y: f32| 127.0 + 60.0 * waves(x, y);
        let with_object = |left: f32| {
            move |x: f32, y: f32| {
                let inside = (left..left + 32.0).contains(&x) && (32.0..64.0).contains(&y);
                if inside { texture(x - left, y) } else { scene(x, y) }
            }
        };
        let (now, before) = (frame(with_object(50.0)), frame(with_object(46.0)));
        let motion = Motion::between(&now, &before);
        assert_eq!((motion.camera.tx, motion.camera.ty), (0.0, 0.0));
        let sources = motion.sources(&now, &before);
        let at = |x: usize, y: usize| sources[y * 128 + x];
        // Inside, near an edge that blocks do not share, and outside.
        assert_eq!((at(70, 40), at(53, 48), at(8, 8)), ((66.0, 40.0), (49.0, 48.0), (8.0, 8.0)));
        assert_eq!(at(90, 48), (90.0, 48.0));
    }

    #[test]
    fn frames_of_nothing_stand_still() {
        let grey = frame(|_, _| 127.0);
        let motion = Motion::between(&grey, &grey);
        assert_eq!(motion.sources(&grey, &grey)[3 * 128 + 17], (17.0, 3.0));
    }
}
