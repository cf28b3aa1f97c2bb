//! Painting streets in perspective, with labels and instances.

use gan_rng::{Key, Stream};

use super::canvas::{At, Canvas, Mark, Noise, Painted, Parts, Rect, Rgb, mix, shade};
use super::street_objects as objects;

/// Labels of streets, in the order of [`super::STREET_CLASSES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Road,
    Sidewalk,
    Building,
    Wall,
    Fence,
    Pole,
    TrafficLight,
    TrafficSign,
    Vegetation,
    Terrain,
    Sky,
    Person,
    Car,
    Bus,
    Bicycle,
    Marking,
}

pub(super) fn label(class: Class) -> Mark {
    Mark::label(class as u32)
}

/// Maps the ground to the image: `x` to the right and `height` upwards in units of the camera's height, `z` away
/// from the camera (1 is the lower edge of the image).
#[derive(Debug, Clone, Copy)]
pub(super) struct Camera {
    vanishing: f32,
    horizon: f32,
}

impl Camera {
    pub(super) fn project(self, x: f32, height: f32, z: f32) -> (f32, f32) {
        let eye = 1.0 - self.horizon;
        (self.vanishing + eye * x / z, self.horizon + eye * (1.0 - height) / z)
    }

    /// The upright rectangle that stands on the ground at (`x`, `z`).
    pub(super) fn upright(self, x: f32, z: f32, width: f32, height: f32) -> Rect {
        let (left, bottom) = self.project(x - width / 2.0, 0.0, z);
        let (right, top) = self.project(x + width / 2.0, height, z);
        Rect(left, top, right, bottom)
    }

    /// Distance and height of the point at (`px`, `py`) on the vertical plane at `x`.
    fn on_side(self, x: f32, px: f32, py: f32) -> (f32, f32) {
        let eye = 1.0 - self.horizon;
        let z = eye * x / (px - self.vanishing);
        (z, 1.0 - (py - self.horizon) * z / eye)
    }

    /// Position of the point at (`px`, `py`) on the ground.
    fn on_ground(self, px: f32, py: f32) -> (f32, f32) {
        let eye = 1.0 - self.horizon;
        let z = eye / (py - self.horizon).max(1e-4);
        ((px - self.vanishing) * z / eye, z)
    }
}

/// Half the width of the road, the outer edge of the sidewalk, and the line of the houses; in camera heights.
const ROAD: f32 = 1.25;
const SIDEWALK: f32 = 1.85;
const HOUSES: f32 = 2.05;
const FAR: f32 = 14.0;

/// Paints the street of a key.
pub(super) fn paint(key: Key, size: usize) -> Painted {
    let mut stream = key.stream();
    let camera = Camera { vanishing: stream.range(0.42, 0.58) as f32, horizon: stream.range(0.42, 0.48) as f32 };
    let noise = Noise::new(key.at(1));
    let mut canvas = Canvas::new(size);
    background(&mut canvas, camera, &noise);
    for side in [-1.0, 1.0] {
        row_of_houses(&mut canvas, camera, side, &noise, &mut stream);
    }
    ground(&mut canvas, camera, &noise);
    for thing in things(&mut stream) {
        thing.paint(&mut canvas, camera, &noise);
    }
    canvas.finish()
}

fn background(canvas: &mut Canvas, camera: Camera, noise: &Noise) {
    canvas.rect(Rect(0.0, 0.0, 1.0, camera.horizon + 0.02), label(Class::Sky), |at| {
        let cloud = (noise.fractal(at.x * 3.0, at.y * 8.0) * 1.5 - 0.1).clamp(0.0, 0.7);
        mix(mix([0.42, 0.62, 0.88], [0.88, 0.92, 0.95], at.y / camera.horizon), [0.97, 0.97, 0.97], cloud)
    });
    // Trees at the end of the street.
    let edge = |at: At| 0.72 + 0.25 * noise.fractal(at.x * 24.0, at.y * 24.0);
    let hill = Rect(camera.vanishing - 0.22, camera.horizon - 0.055, camera.vanishing + 0.22, camera.horizon + 0.06);
    canvas.ellipse(hill, label(Class::Vegetation), edge, |at| {
        shade([0.40, 0.50, 0.38], 1.0 + 0.25 * noise.fractal(at.x * 60.0, at.y * 60.0))
    });
}

fn row_of_houses(canvas: &mut Canvas, camera: Camera, side: f32, noise: &Noise, stream: &mut Stream) {
    const WALLS: [Rgb; 5] =
        [[0.70, 0.42, 0.33], [0.88, 0.80, 0.66], [0.72, 0.71, 0.68], [0.80, 0.68, 0.52], [0.66, 0.72, 0.74]];
    let mut houses = Vec::new();
    let mut z = 0.75;
    while z < FAR {
        let depth = stream.range(0.9, 1.7) as f32 * z.max(1.0);
        let gap = stream.below(7) == 0;
        let floors = 2 + stream.below(3) as usize;
        houses.push((z, z + depth, floors, gap));
        z += depth;
    }
    // The nearest last: it hides the others.
    for &(near, far, floors, gap) in houses.iter().rev() {
        let height = if gap { 0.9 } else { 0.35 + 1.15 * floors as f32 };
        let x = side * HOUSES;
        let corner = |height: f32, z: f32| camera.project(x, height, z);
        let shape = [corner(height, near), corner(height, far), corner(0.0, far), corner(0.0, near)];
        let haze = |z: f32, colour: Rgb| mix(colour, [0.80, 0.86, 0.92], ((z - 2.0) / 26.0).clamp(0.0, 0.5));
        if gap {
            let class = if floors == 2 { Class::Wall } else { Class::Fence };
            canvas.polygon(&shape, label(class), |at| {
                let (z, h) = camera.on_side(x, at.x, at.y);
                let stripe =
                    if class == Class::Fence { (z * 9.0).fraction() < 0.5 } else { (h * 6.0).fraction() < 0.12 };
                let base = if class == Class::Fence { [0.46, 0.35, 0.26] } else { [0.66, 0.64, 0.60] };
                haze(z, shade(base, if stripe { 0.75 } else { 1.0 }))
            });
            continue;
        }
        // A house tells its colour by its height.
        let wall = WALLS[(floors - 2 + if side < 0.0 { 0 } else { 2 }) % WALLS.len()];
        canvas.polygon(&shape, label(Class::Building), |at| {
            let (z, h) = camera.on_side(x, at.x, at.y);
            let floor = (h - 0.35) / 1.15;
            let (along, up) = (((z - near) / 0.62).fraction(), floor.fraction());
            let light = 1.0 + 0.05 * noise.fractal(z * 6.0, h * 6.0) - 0.10 * (1.0 - h / height);
            let colour = if h > height - 0.12 {
                shade(wall, 0.72)
            } else if h < 0.35 {
                shade(wall, 0.60)
            } else if (0.28..0.74).contains(&along) && (0.22..0.78).contains(&up) {
                let frame =
                    !(0.32..0.70).contains(&along) || !(0.27..0.73).contains(&up) || (along - 0.51).abs() < 0.02;
                if frame { [0.93, 0.92, 0.90] } else { mix([0.16, 0.20, 0.26], [0.60, 0.70, 0.80], up) }
            } else {
                wall
            };
            haze(z, shade(colour, light * if side < 0.0 { 0.92 } else { 1.0 }))
        });
    }
}

fn ground(canvas: &mut Canvas, camera: Camera, noise: &Noise) {
    let strip = |from: f32, to: f32| {
        let at = |x: f32, z: f32| camera.project(x, 0.0, z);
        [at(from, 0.7), at(from, 60.0), at(to, 60.0), at(to, 0.7)]
    };
    let grain = |x: f32, z: f32| 1.0 + 0.07 * noise.fractal(x * 7.0, z * 7.0);
    for (from, to) in [(-40.0, -SIDEWALK), (SIDEWALK, 40.0)] {
        let near_house = |at: At| camera.on_ground(at.x, at.y).0.abs() < HOUSES;
        let shape = if from < 0.0 { strip(-HOUSES, to) } else { strip(from, HOUSES) };
        canvas.polygon(&shape, label(Class::Terrain), |at| {
            let (x, z) = camera.on_ground(at.x, at.y);
            let tone = if near_house(at) { 1.0 } else { 0.9 };
            shade([0.44, 0.54, 0.30], tone * (1.0 + 0.22 * noise.fractal(x * 16.0, z * 16.0)))
        });
    }
    canvas.polygon(&strip(-SIDEWALK, SIDEWALK), label(Class::Sidewalk), |at| {
        let (x, z) = camera.on_ground(at.x, at.y);
        let joint = (z * 1.6).fraction() < 0.06 || (x * 3.2).fraction() < 0.04;
        let kerb = x.abs() < ROAD + 0.09;
        shade(if kerb { [0.78, 0.77, 0.75] } else { [0.66, 0.63, 0.60] }, grain(x, z) * if joint { 0.85 } else { 1.0 })
    });
    canvas.polygon(&strip(-ROAD, ROAD), label(Class::Road), |at| {
        let (x, z) = camera.on_ground(at.x, at.y);
        let worn = 1.0 + 0.05 * (x * 5.0).cos();
        mix(shade([0.34, 0.34, 0.36], grain(x, z) * worn), [0.62, 0.65, 0.68], ((z - 2.0) / 24.0).clamp(0.0, 0.5))
    });
    let dashes = (0..14).map(|i| 0.9 + i as f32 * 0.85);
    for z in dashes {
        let at = |x: f32, z: f32| camera.project(x, 0.0, z);
        let dash = [at(-0.035, z), at(-0.035, z + 0.45), at(0.035, z + 0.45), at(0.035, z)];
        canvas.polygon(&dash, label(Class::Marking), |_| [0.90, 0.89, 0.85]);
    }
}

/// Something that stands on the ground.
struct Thing {
    kind: Class,
    x: f32,
    z: f32,
    variant: u32,
    instance: u32,
}

impl Thing {
    fn paint(&self, canvas: &mut Canvas, camera: Camera, noise: &Noise) {
        let mark = Mark::object(self.kind as u32, self.instance);
        match self.kind {
            Class::Car => objects::car(canvas, camera.upright(self.x, self.z, 0.88, 0.70), mark, self.variant),
            Class::Bus => objects::bus(canvas, camera.upright(self.x, self.z, 1.05, 1.45), mark, self.variant),
            Class::Person => objects::person(canvas, camera.upright(self.x, self.z, 0.30, 0.92), mark, self.variant),
            Class::Bicycle => objects::bicycle(canvas, camera.upright(self.x, self.z, 0.62, 0.46), mark),
            Class::Vegetation => objects::tree(canvas, camera, self.x, self.z, noise),
            Class::TrafficLight => objects::traffic_light(canvas, camera, self.x, self.z, self.variant),
            _ => objects::sign(canvas, camera, self.x, self.z, self.variant),
        }
    }
}

/// What stands on the street, the farthest first.
fn things(stream: &mut Stream) -> Vec<Thing> {
    let mut things = Vec::new();
    let mut add = |stream: &mut Stream, kind: Class, x: f32, z: (f64, f64), count: u64, wobble: f64| {
        for _ in 0..count {
            let z = 1.0 / stream.range(1.0 / z.1, 1.0 / z.0) as f32;
            let x = x + stream.range(-wobble, wobble) as f32;
            let variant = stream.next_u32();
            things.push(Thing { kind, x, z, variant, instance: kind as u32 });
        }
    };
    for side in [-1.0f32, 1.0] {
        let some = |stream: &mut Stream, least: u64, most: u64| least + stream.below(most - least + 1);
        let count = some(stream, 0, 2);
        add(stream, Class::Car, side * 0.60, (1.7, 7.0), count, 0.06);
        let count = stream.below(4) / 3;
        add(stream, Class::Bus, side * 0.66, (3.0, 7.0), count, 0.03);
        let count = some(stream, 0, 3);
        add(stream, Class::Person, side * 1.55, (1.6, 6.0), count, 0.16);
        let count = stream.below(3) / 2;
        add(stream, Class::Bicycle, side * 1.42, (1.7, 4.5), count, 0.06);
        let count = some(stream, 1, 3);
        add(stream, Class::Vegetation, side * 1.90, (1.8, 8.0), count, 0.04);
        let count = stream.below(2);
        add(stream, Class::TrafficLight, side * 1.34, (2.2, 5.0), count, 0.02);
        let count = stream.below(2);
        add(stream, Class::TrafficSign, side * 1.36, (1.9, 5.0), count, 0.02);
    }
    things.sort_by(|a, b| b.z.total_cmp(&a.z));
    let mut counts = [0u32; 16];
    for thing in &mut things {
        if matches!(thing.kind, Class::Car | Class::Bus | Class::Person | Class::Bicycle) {
            let kind = thing.kind as u32;
            thing.instance = kind * 1000 + counts[kind as usize];
            counts[kind as usize] += 1;
        }
    }
    things
}
