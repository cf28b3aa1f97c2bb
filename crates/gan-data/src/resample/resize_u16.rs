//! Resizing of 16-bit images: the same filter in floating point, rounded once at the end.

use super::{Filter, resize_f32, resize_nearest};
use crate::raster::Raster;

/// Resizes a 16-bit image; unlike the 8-bit path nothing is rounded between the two passes.
#[must_use]
pub fn resize_u16(source: &Raster<u16>, width: usize, height: usize, filter: Filter) -> Raster<u16> {
    if filter == Filter::Nearest {
        return resize_nearest(source, width, height);
    }
    let samples = source.samples().iter().map(|&s| f32::from(s)).collect();
    let raster = Raster::new(source.width(), source.height(), source.channels(), samples);
    let raster = resize_f32(&raster, width, height, filter);
    // `as` saturates: overshoot of the cubic stays within the levels.
    let samples = raster.samples().iter().map(|s| (s + 0.5) as u16).collect();
    Raster::new(width, height, source.channels(), samples)
}
