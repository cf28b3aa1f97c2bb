//! What stands on a street: vehicles, people, trees, lights and signs.

use super::canvas::{At, Canvas, Mark, Noise, Rect, Rgb, mix, shade};
use super::street::{Camera, Class, label};

const TYRE: Rgb = [0.10, 0.10, 0.11];
const STEEL: Rgb = [0.48, 0.50, 0.53];

/// A part of `whole`, in fractions of it.
fn part(whole: Rect, left: f32, top: f32, right: f32, bottom: f32) -> Rect {
    let (w, h) = (whole.width(), whole.height());
    Rect(whole.0 + left * w, whole.1 + top * h, whole.0 + right * w, whole.1 + bottom * h)
}

fn shadow(canvas: &mut Canvas, box_: Rect) {
    let under = part(box_, -0.05, 0.94, 1.05, 1.05);
    canvas.darken(under, |at| {
        let (u, v) = (at.u * 2.0 - 1.0, at.v * 2.0 - 1.0);
        if u * u + v * v < 1.0 { 0.55 } else { 1.0 }
    });
}

/// A car from behind.
pub(super) fn car(canvas: &mut Canvas, box_: Rect, mark: Mark, variant: u32) {
    const PAINTS: [Rgb; 5] =
        [[0.72, 0.14, 0.12], [0.18, 0.30, 0.55], [0.78, 0.79, 0.80], [0.16, 0.17, 0.19], [0.86, 0.86, 0.84]];
    let paint = PAINTS[variant as usize % PAINTS.len()];
    shadow(canvas, box_);
    for side in [0.06, 0.76] {
        canvas.rect(part(box_, side, 0.72, side + 0.18, 1.0), mark, |_| TYRE);
    }
    let cabin = [(0.16, 0.42), (0.26, 0.02), (0.74, 0.02), (0.84, 0.42)];
    let at = |(u, v): (f32, f32)| (box_.0 + u * box_.width(), box_.1 + v * box_.height());
    canvas.polygon(&cabin.map(at), mark, |a| shade(paint, 1.15 - 0.2 * a.v));
    let window = [(0.23, 0.38), (0.30, 0.09), (0.70, 0.09), (0.77, 0.38)];
    canvas.polygon(&window.map(at), mark, |a| mix([0.55, 0.66, 0.75], [0.10, 0.13, 0.17], a.v));
    let body = [(0.02, 0.48), (0.10, 0.38), (0.90, 0.38), (0.98, 0.48), (0.98, 0.82), (0.02, 0.82)];
    canvas.polygon(&body.map(at), mark, |a| shade(paint, 1.12 - 0.45 * a.v));
    for side in [0.04, 0.80] {
        canvas.rect(part(box_, side, 0.48, side + 0.16, 0.60), mark, |_| [0.90, 0.16, 0.10]);
    }
    canvas.rect(part(box_, 0.37, 0.56, 0.63, 0.66), mark, |_| [0.92, 0.92, 0.88]);
    canvas.rect(part(box_, 0.04, 0.76, 0.96, 0.84), mark, |_| shade(paint, 0.45));
}

/// A bus from the front.
pub(super) fn bus(canvas: &mut Canvas, box_: Rect, mark: Mark, variant: u32) {
    let paint: Rgb = if variant.is_multiple_of(2) { [0.80, 0.22, 0.16] } else { [0.90, 0.70, 0.20] };
    shadow(canvas, box_);
    for side in [0.05, 0.80] {
        canvas.rect(part(box_, side, 0.86, side + 0.15, 1.0), mark, |_| TYRE);
    }
    canvas.rect(part(box_, 0.0, 0.0, 1.0, 0.92), mark, |a| shade(paint, 1.1 - 0.3 * a.v));
    canvas.rect(part(box_, 0.07, 0.16, 0.93, 0.60), mark, |a| mix([0.62, 0.72, 0.80], [0.12, 0.15, 0.19], a.v));
    canvas.rect(part(box_, 0.25, 0.04, 0.75, 0.12), mark, |_| [0.95, 0.75, 0.25]);
    for side in [0.06, 0.82] {
        canvas.rect(part(box_, side, 0.72, side + 0.12, 0.80), mark, |_| [0.97, 0.95, 0.85]);
    }
}

/// A pedestrian.
pub(super) fn person(canvas: &mut Canvas, box_: Rect, mark: Mark, variant: u32) {
    const COATS: [Rgb; 5] =
        [[0.70, 0.25, 0.22], [0.22, 0.34, 0.52], [0.30, 0.42, 0.28], [0.80, 0.68, 0.38], [0.35, 0.28, 0.38]];
    let coat = COATS[variant as usize % COATS.len()];
    shadow(canvas, box_);
    for (left, right) in [(0.27, 0.47), (0.53, 0.73)] {
        canvas.rect(part(box_, left, 0.55, right, 1.0), mark, |a| shade([0.20, 0.22, 0.30], 1.1 - 0.3 * a.v));
    }
    canvas.ellipse(part(box_, 0.10, 0.17, 0.90, 0.72), mark, |_| 1.0, |a| shade(coat, 1.1 - 0.6 * (a.u - 0.5).abs()));
    canvas.ellipse(
        part(box_, 0.30, 0.0, 0.70, 0.19),
        mark,
        |_| 1.0,
        |a| {
            if a.v < 0.42 { [0.24, 0.17, 0.12] } else { [0.83, 0.65, 0.53] }
        },
    );
}

/// A bicycle from the side.
pub(super) fn bicycle(canvas: &mut Canvas, box_: Rect, mark: Mark) {
    let ring = |at: At| {
        let (u, v) = (at.u * 2.0 - 1.0, at.v * 2.0 - 1.0);
        let rim = (u * u + v * v).sqrt();
        if rim > 0.68 { 1.0 } else { 0.0 }
    };
    for side in [0.0, 0.54] {
        canvas.ellipse(part(box_, side, 0.42, side + 0.46, 1.0), mark, ring, |_| TYRE);
    }
    let at = |(u, v): (f32, f32)| (box_.0 + u * box_.width(), box_.1 + v * box_.height());
    let frame = [
        (0.20, 0.74),
        (0.34, 0.26),
        (0.72, 0.24),
        (0.80, 0.74),
        (0.72, 0.74),
        (0.68, 0.36),
        (0.42, 0.38),
        (0.30, 0.76),
    ];
    canvas.polygon(&frame.map(at), mark, |_| [0.15, 0.42, 0.45]);
    canvas.rect(part(box_, 0.26, 0.16, 0.46, 0.27), mark, |_| TYRE);
    canvas.rect(part(box_, 0.66, 0.06, 0.86, 0.16), mark, |_| TYRE);
}

/// A tree; its trunk counts as vegetation too.
pub(super) fn tree(canvas: &mut Canvas, camera: Camera, x: f32, z: f32, noise: &Noise) {
    let trunk = camera.upright(x, z, 0.15, 1.2);
    canvas.rect(trunk, label(Class::Vegetation), |a| shade([0.36, 0.27, 0.20], 1.2 - 0.8 * (a.u - 0.4).abs()));
    let (left, bottom) = camera.project(x - 0.66, 0.85, z);
    let (right, top) = camera.project(x + 0.66, 2.55, z);
    let crown = Rect(left, top, right, bottom);
    let scale = 3.5;
    let edge = |at: At| 0.80 + 0.30 * noise.fractal(at.u * scale + x * 9.0, at.v * scale + z);
    canvas.ellipse(crown, label(Class::Vegetation), edge, |a| {
        let leaves = noise.fractal(a.u * 12.0 + z, a.v * 12.0);
        shade([0.30, 0.48, 0.20], 1.28 - 0.62 * a.v + 0.45 * leaves)
    });
}

fn mast(canvas: &mut Canvas, camera: Camera, x: f32, z: f32, height: f32) {
    let mut pole = camera.upright(x, z, 0.07, height);
    // Never thinner than a pixel.
    let thin = (canvas.pixel() - pole.width()).max(0.0) / 2.0;
    pole = pole.inset(-thin, 0.0);
    canvas.rect(pole, label(Class::Pole), |a| shade(STEEL, 1.2 - 0.7 * (a.u - 0.35).abs()));
}

fn raised(camera: Camera, x: f32, z: f32, width: f32, (low, high): (f32, f32)) -> Rect {
    let (left, bottom) = camera.project(x - width / 2.0, low, z);
    let (right, top) = camera.project(x + width / 2.0, high, z);
    Rect(left, top, right, bottom)
}

/// A traffic light; which lamp is on, is not to be seen in the labels.
pub(super) fn traffic_light(canvas: &mut Canvas, camera: Camera, x: f32, z: f32, variant: u32) {
    mast(canvas, camera, x, z, 1.7);
    let head = raised(camera, x, z, 0.24, (1.55, 2.15));
    canvas.rect(head, label(Class::TrafficLight), |_| [0.13, 0.14, 0.14]);
    let lamps: [Rgb; 3] = [[0.95, 0.18, 0.12], [0.97, 0.75, 0.15], [0.20, 0.85, 0.42]];
    let on = [0, 2][variant as usize % 2];
    for (index, lamp) in lamps.into_iter().enumerate() {
        let top = 0.06 + 0.31 * index as f32;
        let colour = if index == on { lamp } else { shade(lamp, 0.28) };
        canvas.ellipse(part(head, 0.18, top, 0.82, top + 0.26), Mark::PAINT, |_| 1.0, |_| colour);
    }
}

/// A sign on a pole: round, or a triangle.
pub(super) fn sign(canvas: &mut Canvas, camera: Camera, x: f32, z: f32, variant: u32) {
    mast(canvas, camera, x, z, 1.5);
    let plate = raised(camera, x, z, 0.42, (1.35, 1.77));
    if variant.is_multiple_of(2) {
        canvas.ellipse(plate, label(Class::TrafficSign), |_| 1.0, |_| [0.80, 0.13, 0.12]);
        canvas.rect(part(plate, 0.18, 0.42, 0.82, 0.58), Mark::PAINT, |_| [0.95, 0.95, 0.93]);
    } else {
        let at = |(u, v): (f32, f32)| (plate.0 + u * plate.width(), plate.1 + v * plate.height());
        canvas.polygon(&[(0.0, 0.95), (0.5, 0.02), (1.0, 0.95)].map(at), label(Class::TrafficSign), |_| {
            [0.80, 0.13, 0.12]
        });
        canvas.polygon(&[(0.2, 0.83), (0.5, 0.27), (0.8, 0.83)].map(at), Mark::PAINT, |_| [0.96, 0.95, 0.92]);
    }
}
