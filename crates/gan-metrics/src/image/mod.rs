//! Full-reference metrics: an image against the image that it should be. 8 bits a sample, data range 255, all arithmetic in f64.

mod differences;
mod gaussian;
mod ms_ssim;
mod pixels;
mod plane;
mod ssim;

pub use differences::{mae, mse, psnr};
pub use ms_ssim::{SMALLEST_MS_SSIM, ms_ssim};
pub use pixels::Pixels;
pub use ssim::{SMALLEST_SSIM, ssim, ssim_channels, ssim_luma};

/// The largest difference of two samples.
const DATA_RANGE: f64 = 255.0;
