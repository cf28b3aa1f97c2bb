//! Painting facades by daylight. The light comes from straight above, so that a mirrored facade is a facade too.

use gan_rng::Key;

use super::canvas::{At, Canvas, Mark, Noise, Painted, Parts, Rect, Rgb, mix, shade};
use super::facade_plan::{Class, Opening, Plan, Style};

const SKY_TOP: Rgb = [0.36, 0.58, 0.86];
const SKY_LOW: Rgb = [0.86, 0.92, 0.97];
const GLASS_TOP: Rgb = [0.62, 0.75, 0.86];
const GLASS_LOW: Rgb = [0.13, 0.18, 0.25];
const WHITE: Rgb = [0.94, 0.93, 0.90];

/// Colours of a style's parts.
struct Paints {
    wall: Rgb,
    joint: Rgb,
    roof: Rgb,
    trim: Rgb,
    frame: Rgb,
    shutter: Rgb,
    door: Rgb,
}

impl Style {
    fn paints(self) -> Paints {
        match self {
            Self::Brick => Paints {
                wall: [0.66, 0.33, 0.25],
                joint: [0.80, 0.72, 0.64],
                roof: [0.27, 0.29, 0.34],
                trim: [0.87, 0.83, 0.75],
                frame: WHITE,
                shutter: [0.2, 0.3, 0.25],
                door: [0.13, 0.30, 0.24],
            },
            Self::Plaster => Paints {
                wall: [0.93, 0.79, 0.54],
                joint: [0.82, 0.66, 0.42],
                roof: [0.72, 0.39, 0.26],
                trim: [0.96, 0.91, 0.80],
                frame: [0.93, 0.90, 0.84],
                shutter: [0.22, 0.45, 0.38],
                door: [0.42, 0.26, 0.16],
            },
            Self::Stone => Paints {
                wall: [0.76, 0.73, 0.67],
                joint: [0.58, 0.55, 0.50],
                roof: [0.45, 0.47, 0.50],
                trim: [0.85, 0.83, 0.78],
                frame: [0.30, 0.27, 0.25],
                shutter: [0.4, 0.4, 0.4],
                door: [0.33, 0.20, 0.13],
            },
            Self::Pastel => Paints {
                wall: [0.62, 0.75, 0.80],
                joint: [0.52, 0.66, 0.72],
                roof: [0.50, 0.30, 0.27],
                trim: [0.97, 0.97, 0.95],
                frame: [0.97, 0.97, 0.96],
                shutter: [0.3, 0.4, 0.6],
                door: [0.20, 0.29, 0.48],
            },
        }
    }
}

fn label(class: Class) -> Mark {
    Mark::label(class as u32)
}

/// Paints the facade of a key by day.
pub(super) fn paint(key: Key, size: usize) -> Painted {
    daylight(&Plan::draw(key), key, size).finish()
}

/// The facade on a canvas, for daylight as it is or for [`super::night`] to darken.
pub(super) fn daylight(plan: &Plan, key: Key, size: usize) -> Canvas {
    let noise = Noise::new(key.at(1));
    let paints = plan.style.paints();
    let mut canvas = Canvas::new(size);
    surroundings(&mut canvas, plan, &noise);
    roof(&mut canvas, plan, &paints);
    walls(&mut canvas, plan, &paints, &noise);
    cornices(&mut canvas, plan, &paints);
    for pillar in &plan.pillars {
        column(&mut canvas, *pillar, &paints);
    }
    for opening in &plan.openings {
        window(&mut canvas, plan.style, opening, &paints);
    }
    for shop in &plan.shops {
        shop_front(&mut canvas, *shop, &paints);
    }
    door(&mut canvas, plan.door, &paints);
    canvas
}

fn surroundings(canvas: &mut Canvas, plan: &Plan, noise: &Noise) {
    // Nothing is painted where the wall will hide it: clouds are the dearest paint.
    let (wall, ground) = (plan.wall, plan.ground);
    let pieces = [Rect(0.0, 0.0, 1.0, wall.1), Rect(0.0, wall.1, wall.0, ground), Rect(wall.2, wall.1, 1.0, ground)];
    for piece in pieces {
        canvas.rect(piece, label(Class::Sky), |at| {
            let cloud = (noise.fractal(at.x * 3.0, at.y * 7.0) * 1.4 - 0.15).clamp(0.0, 0.4);
            let down = at.y / ground;
            mix(mix(SKY_TOP, SKY_LOW, down * (1.25 - 0.25 * down)), [0.98, 0.98, 0.99], cloud)
        });
    }
    canvas.rect(Rect(0.0, plan.ground, 1.0, 1.0), label(Class::Ground), |at| {
        let grain = 1.0 + 0.05 * noise.at(at.x * 150.0, at.y * 150.0);
        if at.v < 0.45 {
            let slab = ((at.x * 14.0).fraction() < 0.05) as u8 as f32;
            shade([0.70, 0.68, 0.65], grain * (1.0 - 0.14 * slab))
        } else if at.v < 0.56 {
            [0.82, 0.81, 0.79]
        } else {
            shade([0.36, 0.36, 0.38], grain * (1.08 - 0.15 * at.v))
        }
    });
    // Shade at the foot of the wall.
    canvas.darken(Rect(plan.wall.0, plan.ground, plan.wall.2, plan.ground + 0.03), |at| 0.72 + 0.28 * at.v);
}

fn roof(canvas: &mut Canvas, plan: &Plan, paints: &Paints) {
    for chimney in &plan.chimneys {
        canvas.rect(*chimney, label(Class::Roof), |at| shade([0.55, 0.36, 0.30], 1.15 - 0.5 * (at.u - 0.5).abs()));
        let cap = Rect(chimney.0 - 0.006, chimney.1, chimney.2 + 0.006, chimney.1 + 0.014);
        canvas.rect(cap, label(Class::Roof), |_| [0.40, 0.36, 0.34]);
    }
    if plan.roof == 0.0 {
        return;
    }
    let (top, bottom) = (plan.wall.1 - plan.roof, plan.wall.1);
    let (left, right) = (plan.wall.0 - 0.025, plan.wall.2 + 0.025);
    let slope = plan.roof * 0.9;
    let corners = [(left, bottom), (left + slope, top), (right - slope, top), (right, bottom)];
    canvas.polygon(&corners, label(Class::Roof), |at| {
        // Tiles: rows with shaded lower edges, every other row shifted by half a tile.
        let row = at.v * 9.0;
        let tile = (at.x * 42.0 + 0.5 * (row.whole() % 2.0)).fraction();
        let edge = if row.fraction() > 0.8 { 0.82 } else { 1.0 };
        let seam = if tile < 0.09 { 0.9 } else { 1.0 };
        shade(paints.roof, edge * seam * (0.92 + 0.22 * at.v))
    });
}

fn walls(canvas: &mut Canvas, plan: &Plan, paints: &Paints, noise: &Noise) {
    let wall = plan.wall;
    canvas.rect(wall, label(Class::Wall), |at| {
        let light = 1.04 - 0.1 * at.v;
        let (x, y) = (at.x - wall.0, at.y - wall.1);
        let mottled = 1.0 + 0.05 * noise.fractal(at.x * 9.0, at.y * 9.0);
        let colour = match plan.style {
            Style::Brick => {
                let row = y * 62.0;
                let brick = x * 24.0 + 0.5 * (row.whole() % 2.0);
                let joint = row.fraction() < 0.16 || brick.fraction() < 0.07;
                let tone = 1.0 + 0.09 * noise.at(brick.whole() * 1.7 + 0.5, row.whole() * 2.3 + 0.5);
                if joint { mix(paints.wall, paints.joint, 0.45) } else { shade(paints.wall, tone) }
            }
            Style::Stone => {
                let row = y * 17.0;
                let block = x * 8.0 + 0.5 * (row.whole() % 2.0);
                let joint = row.fraction() < 0.09 || block.fraction() < 0.035;
                let tone = 1.0 + 0.04 * noise.at(block.whole() + 0.5, row.whole() + 0.5);
                if joint { mix(paints.wall, paints.joint, 0.7) } else { shade(paints.wall, tone) }
            }
            Style::Plaster | Style::Pastel => paints.wall,
        };
        shade(colour, light * mottled)
    });
    // A plinth of the darker tone, and the shadow that the roof throws.
    let plinth = Rect(wall.0, wall.3 - 0.028, wall.2, wall.3);
    canvas.rect(plinth, Mark::PAINT, |at| shade(paints.joint, 0.86 - 0.1 * at.v));
    canvas.darken(Rect(wall.0, wall.1, wall.2, wall.1 + 0.055), |at| 0.62 + 0.38 * at.v * (1.4 - 0.4 * at.v));
}

fn cornices(canvas: &mut Canvas, plan: &Plan, paints: &Paints) {
    for band in &plan.cornices {
        let shadow = Rect(band.0.max(plan.wall.0), band.3, band.2.min(plan.wall.2), band.3 + 0.018);
        canvas.darken(shadow, |at| 0.70 + 0.30 * at.v);
        canvas.rect(*band, label(Class::Cornice), |at| moulded(paints.trim, at.v));
    }
    let top = plan.cornices[plan.cornices.len() - 1];
    // Dentils under the eaves.
    canvas.rect(top.inset(0.0, top.height() * 0.32), Mark::PAINT, |at| {
        let gap = (at.u * 46.0).fraction() < 0.42;
        shade(paints.trim, if gap { 0.66 } else { 0.97 })
    });
}

/// Light above, dark below: a profile that sticks out.
fn moulded(colour: Rgb, v: f32) -> Rgb {
    shade(colour, if v < 0.25 { 1.06 } else { 1.0 - 0.30 * (v - 0.25) })
}

fn column(canvas: &mut Canvas, shaft: Rect, paints: &Paints) {
    canvas.darken(Rect(shaft.0 - 0.006, shaft.1, shaft.2 + 0.006, shaft.3), |_| 0.86);
    let height = shaft.height();
    canvas.rect(shaft, label(Class::Pillar), |at| {
        let across = (at.u * 2.0 - 1.0).abs();
        let ends = at.v * height;
        let block = ends < 0.02 || height - ends < 0.02;
        let flute = if block { 0.0 } else { 0.07 * (at.u * 5.0 * std::f32::consts::PI).sin().abs() };
        shade(paints.trim, 1.05 - 0.26 * across * across - flute)
    });
}

fn window(canvas: &mut Canvas, style: Style, opening: &Opening, paints: &Paints) {
    let glass = opening.glass;
    let (w, h) = (glass.width(), glass.height());
    match style {
        Style::Plaster => {
            for side in [glass.0 - w * 0.40, glass.2 + w * 0.04] {
                let leaf = Rect(side, glass.1, side + w * 0.36, glass.3);
                canvas.darken(Rect(leaf.0 - 0.002, leaf.1, leaf.2 + 0.002, leaf.3 + 0.008), |_| 0.80);
                canvas.rect(leaf, label(Class::Shutter), |at| {
                    let rim = !(0.14..=0.86).contains(&at.u)
                        || !(0.06..=0.94).contains(&at.v)
                        || (0.48..0.53).contains(&at.v);
                    let slat = (at.v * 22.0).fraction();
                    shade(paints.shutter, if rim { 1.08 } else { 0.78 + 0.38 * (1.0 - slat) })
                });
            }
        }
        Style::Pastel => {
            let (left, right, base) = (glass.0 - w * 0.16, glass.2 + w * 0.16, glass.1 - h * 0.06);
            let peak = ((left + right) / 2.0, base - w * 0.30);
            canvas.polygon(&[(left, base), peak, (right, base)], label(Class::Decoration), |at| {
                shade(paints.trim, 1.0 - 0.14 * at.v)
            });
            let rail = Rect(left, base - 0.001, right, base + h * 0.035);
            canvas.rect(rail, label(Class::Decoration), |at| moulded(paints.trim, at.v));
            canvas.darken(Rect(left, rail.3, right, rail.3 + 0.008), |_| 0.78);
        }
        Style::Brick => {
            let lintel = Rect(glass.0 - w * 0.10, glass.1 - h * 0.13, glass.2 + w * 0.10, glass.1);
            canvas.rect(lintel, label(Class::Decoration), |at| {
                // Bricks set on end around a keystone.
                let joint = (at.u * 11.0).fraction() < 0.14;
                let key = (at.u - 0.5).abs() < 0.08;
                if key { shade(paints.trim, 1.02) } else { shade(paints.trim, if joint { 0.68 } else { 0.88 }) }
            });
        }
        Style::Stone => {}
    }
    glazing(canvas, glass, Class::Window, paints, (2, if h > w * 1.25 { 3 } else { 2 }));
    if opening.balcony.is_none() {
        let sill = Rect(glass.0 - w * 0.12, glass.3, glass.2 + w * 0.12, glass.3 + h * 0.08);
        canvas.rect(sill, label(Class::Sill), |at| moulded(paints.trim, at.v));
        canvas.darken(Rect(sill.0, sill.3, sill.2, sill.3 + 0.013), |at| 0.70 + 0.30 * at.v);
    }
    if let Some(front) = opening.balcony {
        balcony(canvas, front, paints);
    }
}

/// Glass that mirrors the sky above and shows a dark room below, in a frame with `columns` x `rows` panes.
fn glazing(canvas: &mut Canvas, glass: Rect, class: Class, paints: &Paints, (columns, rows): (u32, u32)) {
    let bar = (glass.width() * 0.07).max(canvas.pixel() * 0.9);
    let (bar_u, bar_v) = (bar / glass.width(), bar / glass.height());
    canvas.rect(glass, label(class), |at| {
        let near = |t: f32, n: u32, half: f32| {
            let steps = t * n as f32;
            (steps - steps.round()).abs() / (n as f32) < half
        };
        if near(at.u, columns, bar_u * 0.6) || near(at.v, rows, bar_v * 0.6) {
            return paints.frame;
        }
        pane(at)
    });
    // The reveal throws a shadow on frame and glass.
    canvas.darken(Rect(glass.0, glass.1, glass.2, glass.1 + glass.height() * 0.12), |at| 0.55 + 0.40 * at.v);
}

fn pane(at: At) -> Rgb {
    let reflection = mix(GLASS_TOP, GLASS_LOW, at.v * 1.25);
    // Curtains drawn aside.
    let aside = (at.u - 0.5).abs();
    let curtain = ((aside - 0.29 - 0.04 * at.v) * 14.0).clamp(0.0, 1.0) * 0.62;
    let fold = 0.93 + 0.07 * (at.u * 60.0).sin();
    mix(reflection, shade([0.90, 0.88, 0.83], fold), curtain)
}

fn balcony(canvas: &mut Canvas, front: Rect, paints: &Paints) {
    let slab = front.height() * 0.20;
    canvas.darken(Rect(front.0, front.3, front.2, front.3 + 0.035), |at| 0.58 + 0.42 * at.v);
    canvas.rect(front, label(Class::Balcony), |at| {
        let from_bottom = (1.0 - at.v) * front.height();
        if from_bottom < slab {
            return moulded(paints.trim, 1.0 - from_bottom / slab);
        }
        let bars = (front.width() / 0.0135).round();
        let bar = (at.u * bars).fraction();
        let rail = at.v < 0.11 || (0.70..0.76).contains(&at.v);
        let iron = [0.13, 0.14, 0.16];
        if rail || bar < 0.42 { iron } else { mix(paints.wall, [0.30, 0.30, 0.32], 0.45) }
    });
}

fn shop_front(canvas: &mut Canvas, shop: Rect, paints: &Paints) {
    let awning = shop.height() * 0.24;
    canvas.rect(shop, label(Class::Shop), |at| {
        if !(0.05..=0.95).contains(&at.u) || at.v > 0.90 {
            return shade(paints.door, 0.9);
        }
        if (at.u - 0.5).abs() < 0.018 {
            return shade(paints.door, 1.1);
        }
        // Warm light on goods at the back of the window.
        let goods = if at.v > 0.66 { 0.25 * ((at.u * 19.0).sin() * (at.u * 7.0).cos()).abs() } else { 0.0 };
        mix(mix([0.55, 0.62, 0.66], [0.84, 0.72, 0.50], at.v), [0.45, 0.30, 0.22], goods)
    });
    let cover = Rect(shop.0 - 0.006, shop.1, shop.2 + 0.006, shop.1 + awning);
    canvas.rect(cover, label(Class::Shop), |at| {
        let stripe = (at.u * 4.5 + 0.25).fraction() < 0.5;
        let colour = if stripe { paints.door } else { WHITE };
        shade(colour, if at.v > 0.82 { 0.72 } else { 1.05 - 0.18 * at.v })
    });
    canvas.darken(Rect(shop.0, cover.3, shop.2, cover.3 + shop.height() * 0.16), |at| 0.55 + 0.45 * at.v);
}

fn door(canvas: &mut Canvas, door: Rect, paints: &Paints) {
    let surround =
        Rect(door.0 - door.width() * 0.13, door.1 - door.height() * 0.07, door.2 + door.width() * 0.13, door.3);
    canvas.rect(surround, label(Class::Decoration), |at| moulded(paints.trim, at.v * 0.6));
    canvas.rect(door, label(Class::Door), |at| {
        if at.v < 0.22 {
            // Fanlight.
            let rays = ((at.u - 0.5).atan2(0.24 - at.v) * 6.0).sin().abs() < 0.14;
            return if rays || at.v > 0.19 { paints.frame } else { mix(GLASS_TOP, GLASS_LOW, at.v * 4.0) };
        }
        let side = (at.u * 2.0).fraction();
        let leaf = (at.v - 0.22) / 0.78;
        let panel = (leaf * 2.0).fraction();
        let inner = (0.16..0.84).contains(&side) && (0.12..0.88).contains(&panel);
        let rim = inner && !((0.24..0.76).contains(&side) && (0.18..0.82).contains(&panel));
        let knob = (leaf - 0.55).abs() < 0.025 && (at.u - 0.5).abs() < 0.07;
        if knob {
            return [0.85, 0.70, 0.35];
        }
        if (at.u - 0.5).abs() < 0.015 {
            return shade(paints.door, 0.5);
        }
        shade(
            paints.door,
            if rim {
                0.66
            } else if inner {
                1.12
            } else {
                0.95
            },
        )
    });
    canvas.darken(Rect(door.0, door.1, door.2, door.1 + door.height() * 0.09), |at| 0.5 + 0.5 * at.v);
    // Two steps.
    let step =
        |inset: f32, rise: f32| Rect(surround.0 - inset, door.3 - rise, surround.2 + inset, door.3 - rise + 0.014);
    canvas.rect(step(0.004, 0.014), Mark::PAINT, |at| shade([0.72, 0.71, 0.69], 1.05 - 0.35 * at.v));
}
