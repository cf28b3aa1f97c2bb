//! Random brightness, contrast and saturation.

use gan_rng::Key;
use serde::{Deserialize, Serialize};

/// Which images of an item change their colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JitterOn {
    /// Input and target; of a pair both alike.
    #[default]
    Both,
    /// The input.
    Input,
    /// The target.
    Target,
}

/// What an image is in its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the network gets, and maps of ids, whose colours never change.
    Input,
    /// What it is to make.
    Target,
}

/// How far colours are changed at random.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jitter {
    /// Brightness, contrast and saturation are each multiplied by a factor within this of 1. 0 changes nothing.
    pub strength: f64,
    /// In which images.
    pub on: JitterOn,
}

impl Jitter {
    /// The factors for a part of an item; nothing if its colours stay.
    #[must_use]
    pub fn draw(&self, part: Part, key: Key) -> Option<JitterFactors> {
        let wanted = match self.on {
            JitterOn::Both => true,
            JitterOn::Input => part == Part::Input,
            JitterOn::Target => part == Part::Target,
        };
        if self.strength == 0.0 || !wanted {
            return None;
        }
        let mut stream = key.stream();
        let mut factor = || 1.0 + self.strength * stream.range(-1.0, 1.0);
        Some(JitterFactors { brightness: factor(), contrast: factor(), saturation: factor() })
    }
}

/// Factors of one image, applied in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JitterFactors {
    /// Of all values.
    pub brightness: f64,
    /// Of the distance from the mean grey of the image.
    pub contrast: f64,
    /// Of the distance from the pixel's grey.
    pub saturation: f64,
}

/// ITU-R 601 luma of a pixel of one or three colour channels.
fn grey(colors: &[f64]) -> f64 {
    match colors {
        [r, g, b] => 0.299 * r + 0.587 * g + 0.114 * b,
        [grey] => *grey,
        _ => 0.0,
    }
}

impl JitterFactors {
    /// Changes samples of `channels` interleaved channels in place: values from 0 to `white`, rounded once, at the end. An alpha channel, the
    /// second or fourth, stays.
    pub(crate) fn apply<T: Copy>(
        self,
        samples: &mut [T],
        channels: usize,
        white: f64,
        value: impl Fn(T) -> f64,
        sample: impl Fn(f64) -> T,
    ) {
        let colors = if channels >= 3 { 3 } else { 1 };
        let read = |pixel: &[T]| {
            let mut bright = [0.0; 3];
            bright.iter_mut().zip(&pixel[..colors]).for_each(|(b, v)| *b = (value(*v) * self.brightness).min(white));
            bright
        };
        let pixels = (samples.len() / channels.max(1)).max(1) as f64;
        let mean = samples.chunks_exact(channels).map(|pixel| grey(&read(pixel)[..colors])).sum::<f64>() / pixels;
        for pixel in samples.chunks_exact_mut(channels) {
            let mut changed = read(pixel);
            let changed = &mut changed[..colors];
            changed.iter_mut().for_each(|v| *v = (mean + self.contrast * (*v - mean)).clamp(0.0, white));
            let own = grey(changed);
            for (out, v) in pixel.iter_mut().zip(changed) {
                *out = sample((own + self.saturation * (*v - own)).clamp(0.0, white));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use gan_rng::Purpose;

    use super::*;
    use crate::dynamic_image::Image;
    use crate::ids::IdMap;
    use crate::pixels::Pixels;
    use crate::raster::Raster;

    fn key(index: u64) -> Key {
        Key::new(4, Purpose::Augment).at(index)
    }

    #[test]
    fn factors_are_within_the_strength_and_for_the_parts_that_are_asked_for() {
        let jitter = |strength, on| Jitter { strength, on };
        assert_eq!(jitter(0.0, JitterOn::Both).draw(Part::Input, key(0)), None);
        assert_eq!(jitter(0.5, JitterOn::Target).draw(Part::Input, key(0)), None);
        assert_eq!(jitter(0.5, JitterOn::Input).draw(Part::Target, key(0)), None);
        let both = jitter(0.5, JitterOn::Both);
        assert_eq!(both.draw(Part::Input, key(0)), both.draw(Part::Target, key(0)));
        for index in 0..100 {
            let JitterFactors { brightness, contrast, saturation } = both.draw(Part::Input, key(index)).unwrap();
            assert!([brightness, contrast, saturation].iter().all(|factor| (0.5..1.5).contains(factor)));
        }
    }

    #[test]
    fn colours_follow_their_definitions() {
        let factors = JitterFactors { brightness: 0.8, contrast: 1.3, saturation: 0.4 };
        let raster =
            Raster::from_fn(5, 4, |x, y| [(x * 50) as u8, (y * 60) as u8, 255 - (x * y * 12) as u8, (x + y) as u8]);
        let Image::U8(changed) = Image::U8(raster.clone()).jittered(factors) else { panic!("depth") };
        let bright = |x: usize, y: usize, c: usize| 0.8 * f64::from(raster.pixel(x, y)[c]);
        let luma = |c: [f64; 3]| 0.299 * c[0] + 0.587 * c[1] + 0.114 * c[2];
        let mut mean = 0.0;
        (0..20).for_each(|i| mean += luma([0, 1, 2].map(|c| bright(i % 5, i / 5, c))) / 20.0);
        for i in 0..20 {
            let (x, y) = (i % 5, i / 5);
            let contrasted = [0, 1, 2].map(|c| (mean + 1.3 * (bright(x, y, c) - mean)).clamp(0.0, 255.0));
            let own = luma(contrasted);
            for (c, value) in contrasted.into_iter().enumerate() {
                let want = own + 0.4 * (value - own);
                assert!((f64::from(changed.pixel(x, y)[c]) - want).abs() <= 0.5 + 1e-9);
            }
            assert_eq!(changed.pixel(x, y)[3], raster.pixel(x, y)[3], "alpha");
        }
    }

    #[test]
    fn factors_of_one_and_maps_of_ids_change_nothing() {
        let one = JitterFactors { brightness: 1.0, contrast: 1.0, saturation: 1.0 };
        let image = Image::U16(Raster::from_fn(4, 4, |x, y| [(x * 9000) as u16, (y * 9000) as u16, 777]));
        assert_eq!(image.clone().jittered(one), image);
        let ids = IdMap::new(Raster::from_fn(4, 4, |x, y| [(x * 4 + y) as u32]));
        let dark = JitterFactors { brightness: 0.1, contrast: 0.1, saturation: 0.1 };
        assert_eq!(ids.clone().jittered(dark), ids);
    }
}
