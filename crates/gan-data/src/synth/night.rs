//! Facades by night: the daylight scene darkened, with light behind the windows.

use gan_rng::Key;

use super::canvas::{Canvas, Mark, Noise, Painted, Parts, Rect, Rgb, mix, shade};
use super::facade::daylight;
use super::facade_plan::{Class, Plan};

const SKY_TOP: Rgb = [0.03, 0.05, 0.13];
const SKY_LOW: Rgb = [0.16, 0.17, 0.30];
const MOONLIGHT: Rgb = [0.29, 0.33, 0.48];
const LAMPLIGHT: Rgb = [1.0, 0.78, 0.42];

/// Paints the facade of a key by night; every part is where [`super::facade::paint`] has it.
pub(super) fn paint(key: Key, size: usize) -> Painted {
    let plan = Plan::draw(key);
    let mut canvas = daylight(&plan, key, size);
    darkness(&mut canvas, key);
    for opening in &plan.openings {
        if opening.lit {
            glow(&mut canvas, opening.glass, 0.7);
        }
    }
    for shop in &plan.shops {
        glow(&mut canvas, *shop, 0.9);
    }
    for opening in &plan.openings {
        // What stands before the glass stays dark.
        let mut glass = opening.glass;
        if let Some(front) = opening.balcony {
            glass.3 = front.1;
        }
        window_light(&mut canvas, opening.glass, glass, opening.lit);
    }
    for shop in &plan.shops {
        let pane = Rect(shop.0, shop.1 + shop.height() * 0.24, shop.2, shop.3).inset(shop.width() * 0.05, 0.0);
        canvas.rect(Rect(pane.0, pane.1, pane.2, pane.3 - shop.height() * 0.10), Mark::PAINT, |at| {
            let bar = (at.u - 0.5).abs() < 0.02;
            if bar { [0.16, 0.12, 0.09] } else { mix([1.0, 0.86, 0.55], [0.86, 0.58, 0.28], at.v) }
        });
    }
    canvas.finish()
}

fn darkness(canvas: &mut Canvas, key: Key) {
    let noise = Noise::new(key.at(2));
    let cell = 1.0 / 46.0;
    canvas.regrade(|at, label, colour| {
        if label == Class::Sky as u32 {
            let sky = mix(SKY_TOP, SKY_LOW, at.y * 1.15);
            // A star in few cells of a grid, fainter towards the horizon.
            let (cx, cy) = ((at.x / cell).whole(), (at.y / cell).whole());
            let bright = noise.at(cx * 1.37 + 0.5, cy * 1.71 + 0.5) > 0.62;
            let (dx, dy) = (at.x / cell - cx - 0.5, at.y / cell - cy - 0.5);
            let star = if bright && dx * dx + dy * dy < 0.02 { 0.75 - at.y } else { 0.0 };
            return mix(sky, [1.0, 0.98, 0.9], star);
        }
        let grey = 0.30 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2];
        let faded = mix(colour, [grey; 3], 0.35);
        std::array::from_fn(|i| faded[i] * MOONLIGHT[i] * 1.25)
    });
}

/// Light that falls on the wall around a lit opening.
fn glow(canvas: &mut Canvas, glass: Rect, strength: f32) {
    let (reach_x, reach_y) = (glass.width() * 0.6, glass.height() * 0.45);
    canvas.tint(glass.inset(-reach_x, -reach_y), |at, colour| {
        let dx = ((at.u - 0.5).abs() * 2.0 - 0.45).max(0.0) / 0.55;
        let dy = ((at.v - 0.5).abs() * 2.0 - 0.52).max(0.0) / 0.48;
        let near = (1.0 - (dx * dx + dy * dy).sqrt()).max(0.0);
        let light = strength * near * near;
        std::array::from_fn(|i| colour[i] * (1.0 + light) + 0.30 * light * LAMPLIGHT[i] * colour[i].sqrt())
    });
}

fn window_light(canvas: &mut Canvas, whole: Rect, visible: Rect, lit: bool) {
    let rows = if whole.height() > whole.width() * 1.25 { 3.0 } else { 2.0 };
    let bar = (whole.width() * 0.042).max(canvas.pixel() * 0.55);
    canvas.rect(visible, Mark::PAINT, |at| {
        let (u, v) = ((at.x - whole.0) / whole.width(), (at.y - whole.1) / whole.height());
        let line = |t: f32, n: f32, half: f32| ((t * n) - (t * n).round()).abs() / n < half;
        if line(u, 2.0, bar / whole.width()) || line(v, rows, bar / whole.height()) {
            return if lit { [0.42, 0.29, 0.16] } else { [0.13, 0.14, 0.19] };
        }
        let aside = (((u - 0.5).abs() - 0.29) * 14.0).clamp(0.0, 1.0);
        if lit {
            mix(shade(LAMPLIGHT, 1.05 - 0.32 * (v - 0.35).abs()), [0.86, 0.50, 0.24], aside * 0.6)
        } else {
            mix(mix([0.16, 0.19, 0.30], [0.05, 0.06, 0.10], v), [0.17, 0.18, 0.24], aside * 0.5)
        }
    });
}
