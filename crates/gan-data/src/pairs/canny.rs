//! Canny's edge detector.

use serde::{Deserialize, Serialize};

use crate::raster::Raster;

/// Settings of the edge detector.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Canny {
    /// Standard deviation of the smoothing, in pixels.
    pub sigma: f32,
    /// Gradient (in levels a pixel) from which a pixel may continue an edge.
    pub low: f32,
    /// Gradient from which a pixel starts an edge.
    pub high: f32,
}

impl Default for Canny {
    fn default() -> Self {
        Self { sigma: 1.4, low: 8.0, high: 20.0 }
    }
}

/// Edges of a one-channel image: 0 (black) on edges and 255 elsewhere, as drawings have it.
///
/// Gaussian smoothing, Sobel gradients, thinning across the edge, and hysteresis: weak pixels count where they hang
/// together with strong ones.
///
/// # Panics
/// If the image has more than one channel.
#[must_use]
pub fn canny_edges(grey: &Raster<u8>, settings: Canny) -> Raster<u8> {
    assert_eq!(grey.channels(), 1, "edges are found in grey images");
    let (width, height) = grey.size();
    let samples = grey.samples().iter().map(|&s| f32::from(s)).collect();
    let smooth = blur(&Raster::new(width, height, 1, samples), settings.sigma);
    let (strength, direction) = gradients(&smooth);
    let thin = thinned(&strength, &direction);
    let edges = hysteresis(&thin, settings.low, settings.high);
    let samples = edges.samples().iter().map(|&edge| if edge { 0 } else { 255 }).collect();
    Raster::new(width, height, 1, samples)
}

/// Gaussian smoothing of every channel; the border is repeated.
pub(super) fn blur(source: &Raster<f32>, sigma: f32) -> Raster<f32> {
    if sigma <= 0.0 {
        return source.clone();
    }
    let radius = (3.0 * sigma).ceil() as isize;
    let mut weights: Vec<f32> = (-radius..=radius).map(|i| (-(i * i) as f32 / (2.0 * sigma * sigma)).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    let (width, height) = source.size();
    let pass = |from: &Raster<f32>, dx: isize, dy: isize| {
        let mut out = Raster::zeros(width, height, from.channels());
        for y in 0..height {
            for x in 0..width {
                let to = out.pixel_mut(x, y);
                for (weight, step) in weights.iter().zip(-radius..=radius) {
                    let sx = x.saturating_add_signed(dx * step).min(width - 1);
                    let sy = y.saturating_add_signed(dy * step).min(height - 1);
                    to.iter_mut().zip(from.pixel(sx, sy)).for_each(|(to, from)| *to += weight * from);
                }
            }
        }
        out
    };
    pass(&pass(source, 1, 0), 0, 1)
}

/// Strength of the gradient, and the direction across the edge: 0 = horizontal, then by 45 degrees.
fn gradients(smooth: &Raster<f32>) -> (Raster<f32>, Raster<u8>) {
    let (width, height) = smooth.size();
    let at = |x: usize, y: usize, dx: isize, dy: isize| {
        smooth.pixel(x.saturating_add_signed(dx).min(width - 1), y.saturating_add_signed(dy).min(height - 1))[0]
    };
    let mut strength = Raster::zeros(width, height, 1);
    let mut direction = Raster::zeros(width, height, 1);
    for y in 0..height {
        for x in 0..width {
            let column = |dx| at(x, y, dx, -1) + 2.0 * at(x, y, dx, 0) + at(x, y, dx, 1);
            let row = |dy| at(x, y, -1, dy) + 2.0 * at(x, y, 0, dy) + at(x, y, 1, dy);
            // Sobel weighs 8 pixels: an eighth gives levels a pixel.
            let (gx, gy) = ((column(1) - column(-1)) / 8.0, (row(1) - row(-1)) / 8.0);
            strength.pixel_mut(x, y)[0] = gx.hypot(gy);
            let octant = (gy.atan2(gx) / std::f32::consts::FRAC_PI_4).round() as i32;
            direction.pixel_mut(x, y)[0] = octant.rem_euclid(4) as u8;
        }
    }
    (strength, direction)
}

/// Keeps pixels that are strongest across their edge.
fn thinned(strength: &Raster<f32>, direction: &Raster<u8>) -> Raster<f32> {
    let (width, height) = strength.size();
    let at = |x: isize, y: isize| {
        let inside = (0..width as isize).contains(&x) && (0..height as isize).contains(&y);
        if inside { strength.pixel(x as usize, y as usize)[0] } else { 0.0 }
    };
    Raster::from_fn(width, height, |x, y| {
        let (dx, dy) = [(1, 0), (1, 1), (0, 1), (-1, 1)][usize::from(direction.pixel(x, y)[0])];
        let (x, y) = (x as isize, y as isize);
        let here = at(x, y);
        // On one side equality counts, so that a plateau two pixels wide leaves one.
        let peak = here > at(x - dx, y - dy) && here >= at(x + dx, y + dy);
        [if peak { here } else { 0.0 }]
    })
}

fn hysteresis(thin: &Raster<f32>, low: f32, high: f32) -> Raster<bool> {
    let (width, height) = thin.size();
    let mut edges = Raster::zeros(width, height, 1);
    let mut pending = Vec::new();
    for y in 0..height {
        for x in 0..width {
            if thin.pixel(x, y)[0] >= high {
                pending.push((x, y));
            }
        }
    }
    while let Some((x, y)) = pending.pop() {
        if std::mem::replace(&mut edges.pixel_mut(x, y)[0], true) {
            continue;
        }
        for ny in y.saturating_sub(1)..(y + 2).min(height) {
            for nx in x.saturating_sub(1)..(x + 2).min(width) {
                if thin.pixel(nx, ny)[0] >= low && !edges.pixel(nx, ny)[0] {
                    pending.push((nx, ny));
                }
            }
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges_of(pixel: impl FnMut(usize, usize) -> [u8; 1]) -> Vec<(usize, usize)> {
        let edges = canny_edges(&Raster::from_fn(32, 32, pixel), Canny::default());
        (0..32 * 32).map(|i| (i % 32, i / 32)).filter(|&(x, y)| edges.pixel(x, y)[0] == 0).collect()
    }

    #[test]
    fn a_step_gives_a_line_one_pixel_wide() {
        let edges = edges_of(|x, _| [if x < 16 { 20 } else { 220 }]);
        assert_eq!(edges.len(), 32);
        assert!(edges.iter().all(|&(x, _)| x == edges[0].0 && (15..=16).contains(&x)), "{edges:?}");
    }

    #[test]
    fn flat_and_gently_sloping_images_have_no_edges() {
        assert!(edges_of(|_, _| [99]).is_empty());
        assert!(edges_of(|x, y| [(x + 3 * y) as u8]).is_empty());
    }

    #[test]
    fn weak_edges_count_only_next_to_strong_ones() {
        // The contrast fades from top to bottom; then the faint part alone.
        let fading = edges_of(|x, y| [if x < 16 { 0 } else { 200 - 3 * y as u8 }]);
        let faint = edges_of(|x, _| [if x < 16 { 0 } else { 60 }]);
        assert!(fading.iter().any(|&(_, y)| y == 31));
        assert!(faint.is_empty(), "{faint:?}");
    }

    #[test]
    fn a_square_gives_a_closed_outline() {
        let edges = edges_of(|x, y| [if (8..24).contains(&x) && (8..24).contains(&y) { 230 } else { 10 }]);
        assert!((52..=72).contains(&edges.len()), "{}", edges.len());
    }
}
