//! What a facade is made of, before any pixel: drawn once, painted by day or by night.

use gan_rng::Key;

use super::canvas::Rect;

/// Labels of facades, in the order of [`super::FACADE_CLASSES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Sky,
    Ground,
    Wall,
    Roof,
    Cornice,
    Window,
    Sill,
    Shutter,
    Door,
    Balcony,
    Pillar,
    Shop,
    Decoration,
}

/// Building material. Every style has parts that the others lack, so that a label map tells its style: brick has
/// lintels above its windows, plaster has shutters, stone has pillars, pastel has pediments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Brick,
    Plaster,
    Stone,
    Pastel,
}

/// An opening of an upper floor, or a window of the ground floor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening {
    pub(super) glass: Rect,
    /// Balcony in front of it.
    pub(super) balcony: Option<Rect>,
    /// Whether somebody is at home: matters at night only.
    pub(super) lit: bool,
}

/// A facade.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) style: Style,
    pub(super) wall: Rect,
    pub(super) ground: f32,
    /// Height of the roof above the wall; 0 for a flat one.
    pub(super) roof: f32,
    pub(super) chimneys: Vec<Rect>,
    pub(super) openings: Vec<Opening>,
    pub(super) door: Rect,
    pub(super) shops: Vec<Rect>,
    pub(super) pillars: Vec<Rect>,
    /// Bands between floors, the uppermost below the roof.
    pub(super) cornices: Vec<Rect>,
}

impl Plan {
    /// The facade of a key; the same at every size.
    pub(super) fn draw(key: Key) -> Self {
        let mut stream = key.stream();
        let mut range = |low: f32, high: f32| stream.range(f64::from(low), f64::from(high)) as f32;
        let pick = |value: f32, n: usize| ((value * n as f32) as usize).min(n - 1);
        let style = [Style::Brick, Style::Plaster, Style::Stone, Style::Pastel][pick(range(0.0, 1.0), 4)];
        let floors = 2 + pick(range(0.0, 1.0), 3);
        let bays = 3 + pick(range(0.0, 1.0), 3);
        let ground = range(0.88, 0.92);
        let top = range(0.17, 0.21) + 0.08 * (4 - floors) as f32;
        let wall = Rect(range(0.05, 0.12), top, range(0.88, 0.95), ground);
        let roof = if style == Style::Stone { 0.0 } else { range(0.08, 0.12) };

        let bay = wall.width() / bays as f32;
        // The ground floor is taller than the others.
        let storey = wall.height() / (floors as f32 + 0.2);
        let ground_top = wall.3 - 1.2 * storey;
        let band = 0.085 * storey;

        let mut cornices: Vec<Rect> = (1..floors - 1)
            .map(|f| wall.1 + f as f32 * storey)
            .map(|y| Rect(wall.0, y - band / 2.0, wall.2, y + band / 2.0))
            .collect();
        if style == Style::Brick {
            cornices.clear();
        }
        cornices.push(Rect(wall.0, ground_top - band / 2.0, wall.2, ground_top + band / 2.0));
        cornices.push(Rect(wall.0 - 0.02, wall.1 - band, wall.2 + 0.02, wall.1 + band));

        let balcony_floor = pick(range(0.0, 1.0), floors - 1);
        let has_balcony = matches!(style, Style::Plaster | Style::Pastel) && range(0.0, 1.0) < 0.75;
        let width = bay * range(0.40, 0.48);
        let mut openings = Vec::new();
        for floor in 0..floors - 1 {
            let y = wall.1 + floor as f32 * storey;
            for index in 0..bays {
                let x = wall.0 + (index as f32 + 0.5) * bay;
                let with_balcony =
                    has_balcony && floor == balcony_floor && (bays == 3 || (index > 0 && index + 1 < bays));
                let (down, height) = if with_balcony { (0.22, 0.72) } else { (0.26, 0.54) };
                let glass = Rect::centred(x, y + down * storey, width, height * storey);
                let front = Rect::centred(x, glass.3 - 0.27 * storey, bay * 0.86, 0.27 * storey);
                openings.push(Opening { glass, balcony: with_balcony.then_some(front), lit: range(0.0, 1.0) < 0.7 });
            }
        }

        let door_bay = pick(range(0.0, 1.0), bays);
        let has_shops = style != Style::Plaster && range(0.0, 1.0) < 0.6;
        let door =
            Rect::centred(wall.0 + (door_bay as f32 + 0.5) * bay, ground - 0.88 * storey, bay * 0.46, 0.88 * storey);
        let mut shops = Vec::new();
        for index in (0..bays).filter(|&index| index != door_bay) {
            let x = wall.0 + (index as f32 + 0.5) * bay;
            if has_shops {
                shops.push(Rect::centred(x, ground_top + 0.22 * storey, bay * 0.84, 0.86 * storey));
            } else {
                let glass = Rect::centred(x, ground_top + 0.30 * storey, width, 0.56 * storey);
                openings.push(Opening { glass, balcony: None, lit: range(0.0, 1.0) < 0.5 });
            }
        }

        let pillars = if style == Style::Stone {
            let column = |index: usize| {
                Rect::centred(wall.0 + index as f32 * bay, wall.1 + band, bay * 0.17, ground_top - wall.1 - 1.5 * band)
            };
            (1..bays).map(column).collect()
        } else {
            Vec::new()
        };
        let mut chimneys = Vec::new();
        if roof > 0.0 {
            for side in 0..2 {
                if range(0.0, 1.0) < 0.6 {
                    let x = wall.0 + wall.width() * (0.22 + 0.56 * side as f32);
                    chimneys.push(Rect::centred(x, wall.1 - roof - 0.035, 0.045, 0.08));
                }
            }
        }
        Self { style, wall, ground, roof, chimneys, openings, door, shops, pillars, cornices }
    }
}
