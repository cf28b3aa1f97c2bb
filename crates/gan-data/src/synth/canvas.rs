//! Painting a scene: colour, label and instance at once, in coordinates from 0 to 1.

use gan_rng::Key;

use crate::ids::IdMap;
use crate::raster::Raster;

/// Whole and fractional part without a call into the mathematics library, which is where painting would spend its time
/// otherwise. For magnitudes below 2^31.
pub(super) trait Parts {
    /// The largest whole number that is not larger.
    fn whole(self) -> f32;
    /// What is left of a value without the digits before the point; has the sign of the value.
    fn fraction(self) -> f32;
}

impl Parts for f32 {
    #[inline]
    fn whole(self) -> f32 {
        let truncated = self as i32 as f32;
        if truncated > self { truncated - 1.0 } else { truncated }
    }

    #[inline]
    fn fraction(self) -> f32 {
        self - self as i32 as f32
    }
}

/// Red, green and blue in [0, 1].
pub(super) type Rgb = [f32; 3];

/// Between two colours; `t` = 0 gives the first.
pub(super) fn mix(a: Rgb, b: Rgb, t: f32) -> Rgb {
    let t = t.clamp(0.0, 1.0);
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t)
}

/// Brighter or darker.
pub(super) fn shade(colour: Rgb, factor: f32) -> Rgb {
    colour.map(|v| v * factor)
}

/// An upright rectangle: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rect(pub(super) f32, pub(super) f32, pub(super) f32, pub(super) f32);

impl Rect {
    pub(super) fn centred(x: f32, top: f32, width: f32, height: f32) -> Self {
        Self(x - width / 2.0, top, x + width / 2.0, top + height)
    }

    pub(super) fn width(self) -> f32 {
        self.2 - self.0
    }

    pub(super) fn height(self) -> f32 {
        self.3 - self.1
    }

    /// Smaller by `dx` left and right and `dy` above and below.
    pub(super) fn inset(self, dx: f32, dy: f32) -> Self {
        Self(self.0 + dx, self.1 + dy, self.2 - dx, self.3 - dy)
    }
}

/// Where a painted point lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    /// Across the shape, 0 at the left.
    pub(super) u: f32,
    /// Down the shape, 0 at the top.
    pub(super) v: f32,
    /// Across the scene.
    pub(super) x: f32,
    /// Down the scene.
    pub(super) y: f32,
}

/// What a shape is: its label and instance, or nothing new when it only decorates what is below.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    label: Option<u32>,
    instance: Option<u32>,
}

impl Mark {
    /// Paint only.
    pub(super) const PAINT: Self = Self { label: None, instance: None };

    pub(super) fn label(label: u32) -> Self {
        Self { label: Some(label), instance: Some(label) }
    }

    pub(super) fn object(label: u32, instance: u32) -> Self {
        Self { label: Some(label), instance: Some(instance) }
    }
}

/// Samples a pixel and side: edges of the photograph are smooth.
const OVERSAMPLING: usize = 2;

/// A scene being painted, later shapes over earlier ones.
pub(super) struct Canvas {
    size: usize,
    colour: Vec<Rgb>,
    label: Vec<u32>,
    instance: Vec<u32>,
}

/// A finished scene.
pub(super) struct Painted {
    pub(super) photo: Raster<u8>,
    pub(super) labels: IdMap,
    pub(super) instances: IdMap,
}

impl Canvas {
    /// An empty scene of `size` x `size` pixels.
    pub(super) fn new(size: usize) -> Self {
        let side = size * OVERSAMPLING;
        Self { size, colour: vec![[0.0; 3]; side * side], label: vec![0; side * side], instance: vec![0; side * side] }
    }

    fn side(&self) -> usize {
        self.size * OVERSAMPLING
    }

    /// Length of a pixel.
    pub(super) fn pixel(&self) -> f32 {
        1.0 / self.size as f32
    }

    /// A rectangle. One that carries a label is snapped to whole pixels, so that label and photograph agree.
    pub(super) fn rect(&mut self, rect: Rect, mark: Mark, paint: impl Fn(At) -> Rgb) {
        let snap = |v: f32| {
            let pixels = v * self.size as f32;
            if mark.label.is_some() {
                pixels.round() * OVERSAMPLING as f32
            } else {
                (pixels * OVERSAMPLING as f32).round()
            }
        };
        let bound = |v: f32| v.clamp(0.0, self.side() as f32) as usize;
        let (x0, y0, x1, y1) = (bound(snap(rect.0)), bound(snap(rect.1)), bound(snap(rect.2)), bound(snap(rect.3)));
        self.cover((x0, y0, x1, y1), rect, mark, |_| true, paint);
    }

    /// A polygon, by the even-odd rule.
    pub(super) fn polygon(&mut self, points: &[(f32, f32)], mark: Mark, paint: impl Fn(At) -> Rgb) {
        let bounds = points
            .iter()
            .fold(Rect(1e9, 1e9, -1e9, -1e9), |r, p| Rect(r.0.min(p.0), r.1.min(p.1), r.2.max(p.0), r.3.max(p.1)));
        let inside = |at: At| {
            let mut inside = false;
            for (i, a) in points.iter().enumerate() {
                let b = points[(i + 1) % points.len()];
                if (a.1 > at.y) != (b.1 > at.y) && at.x < (b.0 - a.0) * (at.y - a.1) / (b.1 - a.1) + a.0 {
                    inside = !inside;
                }
            }
            inside
        };
        self.cover(self.cells(bounds), bounds, mark, inside, paint);
    }

    /// An upright ellipse that fills the rectangle; `edge` (distance from the centre, 1 at the rim) may bend the rim.
    pub(super) fn ellipse(&mut self, bounds: Rect, mark: Mark, edge: impl Fn(At) -> f32, paint: impl Fn(At) -> Rgb) {
        let inside = |at: At| {
            let (u, v) = (at.u * 2.0 - 1.0, at.v * 2.0 - 1.0);
            (u * u + v * v).sqrt() <= edge(at)
        };
        self.cover(self.cells(bounds), bounds, mark, inside, paint);
    }

    /// Multiplies what is there by `factor`.
    pub(super) fn darken(&mut self, rect: Rect, factor: impl Fn(At) -> f32) {
        self.tint(rect, |at, colour| shade(colour, factor(at)));
    }

    /// Changes the colours of what is there.
    pub(super) fn tint(&mut self, rect: Rect, change: impl Fn(At, Rgb) -> Rgb) {
        let side = self.side() as f32;
        let (x0, y0, x1, y1) = self.cells(rect);
        for y in y0..y1 {
            for x in x0..x1 {
                let at = at((x as f32 + 0.5) / side, (y as f32 + 0.5) / side, rect);
                let colour = &mut self.colour[y * self.size * OVERSAMPLING + x];
                *colour = change(at, *colour);
            }
        }
    }

    /// Changes every colour by its label.
    pub(super) fn regrade(&mut self, grade: impl Fn(At, u32, Rgb) -> Rgb) {
        let side = self.side();
        for (index, (colour, label)) in self.colour.iter_mut().zip(&self.label).enumerate() {
            let (x, y) = (index % side, index / side);
            let (x, y) = ((x as f32 + 0.5) / side as f32, (y as f32 + 0.5) / side as f32);
            *colour = grade(at(x, y, Rect(0.0, 0.0, 1.0, 1.0)), *label, *colour);
        }
    }

    fn cells(&self, rect: Rect) -> (usize, usize, usize, usize) {
        let side = self.side() as f32;
        let bound = |v: f32| v.clamp(0.0, side) as usize;
        let (x1, y1) = ((rect.2 * side).ceil(), (rect.3 * side).ceil());
        (bound(rect.0 * side), bound(rect.1 * side), bound(x1), bound(y1))
    }

    fn cover(
        &mut self,
        (x0, y0, x1, y1): (usize, usize, usize, usize),
        shape: Rect,
        mark: Mark,
        inside: impl Fn(At) -> bool,
        paint: impl Fn(At) -> Rgb,
    ) {
        let side = self.side();
        for y in y0..y1 {
            for x in x0..x1 {
                let at = at((x as f32 + 0.5) / side as f32, (y as f32 + 0.5) / side as f32, shape);
                if !inside(at) {
                    continue;
                }
                let index = y * side + x;
                self.colour[index] = paint(at);
                self.label[index] = mark.label.unwrap_or(self.label[index]);
                self.instance[index] = mark.instance.unwrap_or(self.instance[index]);
            }
        }
    }

    /// The scene at its size: colours averaged, ids taken from one sample of each pixel.
    pub(super) fn finish(self) -> Painted {
        let (size, side) = (self.size, self.side());
        let photo = Raster::from_fn(size, size, |x, y| {
            let mut sum = [0.0f32; 3];
            for dy in 0..OVERSAMPLING {
                for dx in 0..OVERSAMPLING {
                    let colour = self.colour[(y * OVERSAMPLING + dy) * side + x * OVERSAMPLING + dx];
                    (0..3).for_each(|i| sum[i] += colour[i].clamp(0.0, 1.0));
                }
            }
            sum.map(|s| (s / (OVERSAMPLING * OVERSAMPLING) as f32 * 255.0 + 0.5) as u8)
        });
        let pick = |ids: &[u32]| {
            let at = |x: usize, y: usize| [ids[y * OVERSAMPLING * side + x * OVERSAMPLING]];
            IdMap::new(Raster::from_fn(size, size, at))
        };
        Painted { photo, labels: pick(&self.label), instances: pick(&self.instance) }
    }
}

fn at(x: f32, y: f32, shape: Rect) -> At {
    At { u: (x - shape.0) / shape.width().max(1e-9), v: (y - shape.1) / shape.height().max(1e-9), x, y }
}

/// Smooth random texture that repeats every [`Noise::PERIOD`] units.
pub(super) struct Noise {
    lattice: Vec<f32>,
}

impl Noise {
    const PERIOD: usize = 64;

    pub(super) fn new(key: Key) -> Self {
        let mut stream = key.stream();
        let lattice = (0..Self::PERIOD * Self::PERIOD).map(|_| stream.range(-1.0, 1.0) as f32).collect();
        Self { lattice }
    }

    #[inline]
    fn knot(&self, x: i32, y: i32) -> f32 {
        // The period is a power of two: masking wraps negative positions as well.
        let wrap = |v: i32| v as usize & (Self::PERIOD - 1);
        self.lattice[wrap(y) * Self::PERIOD + wrap(x)]
    }

    /// Value in [-1, 1] that changes over distances of about 1.
    #[inline]
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        let (fx, fy) = (x.whole(), y.whole());
        let ease = |t: f32| t * t * (3.0 - 2.0 * t);
        let (tx, ty) = (ease(x - fx), ease(y - fy));
        let (ix, iy) = (fx as i32, fy as i32);
        let top = self.knot(ix, iy) * (1.0 - tx) + self.knot(ix + 1, iy) * tx;
        let bottom = self.knot(ix, iy + 1) * (1.0 - tx) + self.knot(ix + 1, iy + 1) * tx;
        top * (1.0 - ty) + bottom * ty
    }

    /// Three octaves of [`Noise::at`].
    pub(super) fn fractal(&self, x: f32, y: f32) -> f32 {
        let (coarse, middle) = (self.at(x, y), self.at(x * 2.0 + 17.0, y * 2.0));
        coarse * 0.5 + middle * 0.25 + self.at(x * 4.0 + 34.0, y * 4.0) * 0.125
    }
}
