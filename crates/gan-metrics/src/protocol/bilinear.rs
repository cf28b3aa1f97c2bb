//! Bilinear interpolation of two neighbours an axis, without antialiasing.

use super::INPUT_SIZE;
use gan_data::Raster;

/// Where the samples of the input lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Centres {
    /// At the centres of pixels: PyTorch with `align_corners=False`.
    HalfPixel,
    /// At the corners of pixels, with the scale in float32: TensorFlow 1, as torch-fidelity repeats it.
    Corner,
}

/// Two neighbours, and the weight of the second.
#[derive(Debug, Clone, Copy)]
struct Neighbours {
    low: usize,
    high: usize,
    weight: f64,
}

impl Centres {
    fn neighbours(self, from: usize) -> Vec<Neighbours> {
        let scale = from as f64 / INPUT_SIZE as f64;
        let at = |i: usize| {
            let place = match self {
                Centres::HalfPixel => ((i as f64 + 0.5) * scale - 0.5).max(0.0),
                Centres::Corner => i as f64 * f64::from(scale as f32),
            };
            let low = (place as usize).min(from - 1);
            Neighbours { low, high: (low + 1).min(from - 1), weight: place - low as f64 }
        };
        (0..INPUT_SIZE).map(at).collect()
    }
}

/// The image at the network's size; `value` makes a number of each sample first.
pub(super) fn resized(image: &Raster<u8>, centres: Centres, value: impl Fn(u8) -> f64) -> Raster<f64> {
    let channels = image.channels();
    let columns = centres.neighbours(image.width());
    let mut samples = Vec::with_capacity(INPUT_SIZE * INPUT_SIZE * channels);
    for row in centres.neighbours(image.height()) {
        let (above, below) = (image.row(row.low), image.row(row.high));
        for column in &columns {
            for channel in 0..channels {
                let across = |line: &[u8]| {
                    let (low, high) =
                        (value(line[column.low * channels + channel]), value(line[column.high * channels + channel]));
                    low + (high - low) * column.weight
                };
                let (above, below) = (across(above), across(below));
                samples.push(above + (below - above) * row.weight);
            }
        }
    }
    Raster::new(INPUT_SIZE, INPUT_SIZE, channels, samples)
}
