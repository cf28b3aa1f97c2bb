//! Nearest-pixel resizing.

use crate::raster::Raster;

/// Resizes by picking pixels; any sample type, any channel count.
#[must_use]
pub fn resize_nearest<T: Copy + Default>(source: &Raster<T>, width: usize, height: usize) -> Raster<T> {
    let columns = indices(source.width(), width);
    let rows = indices(source.height(), height);
    let channels = source.channels();
    let mut samples = Vec::with_capacity(width * height * channels);
    for &y in &rows {
        let row = source.row(y);
        if channels == 1 {
            samples.extend(columns.iter().map(|&x| row[x]));
        } else {
            columns.iter().for_each(|&x| samples.extend_from_slice(&row[x * channels..][..channels]));
        }
    }
    Raster::new(width, height, channels, samples)
}

/// Which input each output shows. The position is accumulated, not multiplied: the two differ where a position falls
/// exactly between pixels, and Pillow accumulates.
fn indices(from: usize, to: usize) -> Vec<usize> {
    let step = from as f64 / to as f64;
    let mut position = step * 0.5;
    (0..to)
        .map(|_| {
            let index = (position as usize).min(from.saturating_sub(1));
            position += step;
            index
        })
        .collect()
}
