//! From an image to the input of the Inception network, as the reference packages do it.
//!
//! Their scores differ from one another, because they resize and normalise differently. Figures of different protocols are never to be
//! compared.

mod antialiased_bicubic;
mod bilinear;

use crate::Result;
use candle_core::{DType, Device, Tensor};
use gan_data::Raster;
use std::fmt;
use std::str::FromStr;

/// Side of the network's input, in pixels.
pub const INPUT_SIZE: usize = 299;

/// Whose way images take into the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// clean-fid, mode `clean`: Pillow's bicubic filter with antialiasing on floats, clipped to [0, 255]; (x - 128) / 128.
    #[default]
    Clean,
    /// pytorch-fid: PyTorch's bilinear interpolation without antialiasing, half-pixel centres; 2x - 1 of x in [0, 1].
    Pytorch,
    /// torch-fidelity: the bilinear interpolation of TensorFlow 1, without a half-pixel shift; (x - 128) / 128.
    TorchFidelity,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Protocol; 3] = [Protocol::Clean, Protocol::Pytorch, Protocol::TorchFidelity];

    /// The name on command lines and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Clean => "clean",
            Protocol::Pytorch => "pytorch",
            Protocol::TorchFidelity => "torch-fidelity",
        }
    }

    /// How images are resized, for reports.
    pub fn resize(self) -> &'static str {
        match self {
            Protocol::Clean => "bicubic with antialiasing (Pillow, float)",
            Protocol::Pytorch => "bilinear without antialiasing, half-pixel centres (PyTorch)",
            Protocol::TorchFidelity => "bilinear without antialiasing, no half-pixel shift (TensorFlow 1)",
        }
    }

    /// The network's input for an image of three channels: `[3, 299, 299]` in [-1, 1], red first.
    ///
    /// # Errors
    /// [`crate::Error::Pixels`] for another number of channels or an empty image.
    pub fn network_input(self, image: &Raster<u8>, dtype: DType) -> Result<Tensor> {
        let (width, height) = image.size();
        if image.channels() != 3 || image.samples().is_empty() {
            let (channels, samples) = (image.channels(), image.samples().len());
            return Err(crate::Error::Pixels { height, width, channels, samples });
        }
        let values = match self {
            Protocol::Clean => planes(&antialiased_bicubic::resized(image), |v| (f64::from(v) - 128.0) / 128.0),
            Protocol::Pytorch => {
                let unit = |v: u8| f64::from(v) / 255.0;
                planes(&bilinear::resized(image, bilinear::Centres::HalfPixel, unit), |v| 2.0 * v - 1.0)
            }
            Protocol::TorchFidelity => {
                planes(&bilinear::resized(image, bilinear::Centres::Corner, f64::from), |v| (v - 128.0) / 128.0)
            }
        };
        Ok(Tensor::from_vec(values, (3, INPUT_SIZE, INPUT_SIZE), &Device::Cpu)?.to_dtype(dtype)?)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|protocol| protocol.name() == name);
        known.ok_or_else(|| format!("no protocol {name}: there are {}", Self::ALL.map(Protocol::name).join(", ")))
    }
}

/// Interleaved samples as planes, `[C][H][W]`.
fn planes<T: Copy + Default>(raster: &Raster<T>, value: impl Fn(T) -> f64) -> Vec<f64> {
    let channels = raster.channels();
    let channel = |c: usize| raster.samples()[c..].iter().step_by(channels).map(|v| value(*v));
    (0..channels).flat_map(channel).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn input(protocol: Protocol, image: &Raster<u8>) -> Vec<f64> {
        protocol.network_input(image, DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn an_image_of_the_networks_size_is_only_normalised() {
        let image = Raster::from_fn(INPUT_SIZE, INPUT_SIZE, |x, y| [(x % 256) as u8, (y % 256) as u8, 255]);
        for protocol in Protocol::ALL {
            let values = input(protocol, &image);
            let (top, zero) = if protocol == Protocol::Pytorch { (1.0, -1.0) } else { (127.0 / 128.0, -1.0) };
            let at = |c: usize, y: usize, x: usize| values[(c * INPUT_SIZE + y) * INPUT_SIZE + x];
            assert!((at(2, 5, 7) - top).abs() < 1e-12 && (at(0, 5, 255) - top).abs() < 1e-12, "{protocol}");
            assert!((at(1, 0, 9) - zero).abs() < 1e-12 && (at(1, 255, 9) - top).abs() < 1e-12, "{protocol}");
        }
    }

    #[test]
    fn only_the_clean_protocol_averages_what_it_leaves_out() {
        // Stripes a pixel wide: an antialiased reduction is grey, but for the border, where the filter is cut off.
        let image = Raster::from_fn(4 * INPUT_SIZE, 4 * INPUT_SIZE, |x, _| [if x % 2 == 0 { 0u8 } else { 255 }; 3]);
        let spread = |protocol| {
            let values = input(protocol, &image);
            values.iter().copied().fold(f64::MIN, f64::max) - values.iter().copied().fold(f64::MAX, f64::min)
        };
        assert!(spread(Protocol::Clean) < 0.2, "{}", spread(Protocol::Clean));
        assert!(spread(Protocol::TorchFidelity) < 1e-9);
        let first = input(Protocol::TorchFidelity, &image)[0];
        assert_eq!(first, -1.0, "the first of four columns is taken as it is");
    }

    #[test]
    fn names_are_read_back() {
        for protocol in Protocol::ALL {
            assert_eq!(protocol.name().parse::<Protocol>(), Ok(protocol));
        }
        assert!("tf".parse::<Protocol>().unwrap_err().contains("torch-fidelity"));
    }

    #[test]
    fn other_channels_are_refused() {
        let grey = Raster::new(2, 2, 1, vec![0u8; 4]);
        assert!(matches!(Protocol::Clean.network_input(&grey, DType::F32), Err(crate::Error::Pixels { .. })));
    }
}
