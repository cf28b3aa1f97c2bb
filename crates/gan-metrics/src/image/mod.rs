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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Error;
    use gan_data::Raster;

    fn scene(width: usize, height: usize) -> Raster<u8> {
        Raster::from_fn(width, height, |x, y| [(x * 7 + y * y) as u8, (x * y + 3 * x) as u8, (50 + x + 2 * y) as u8])
    }

    fn noisy(raster: &Raster<u8>) -> Raster<u8> {
        let samples = raster.samples().iter().enumerate().map(|(i, v)| v / 2 + ((i * i) % 61) as u8);
        Raster::new(raster.width(), raster.height(), raster.channels(), samples.collect())
    }

    #[test]
    fn equal_images_have_the_best_value_of_every_metric() {
        let image = scene(170, 161);
        let pixels = Pixels::try_from(&image).unwrap();
        assert_eq!((mae(&pixels, &pixels).unwrap(), mse(&pixels, &pixels).unwrap()), (0.0, 0.0));
        assert_eq!(psnr(&pixels, &pixels).unwrap(), f64::INFINITY);
        assert_eq!(ssim_channels(&pixels, &pixels).unwrap(), [1.0; 3]);
        assert_eq!((ssim_luma(&pixels, &pixels).unwrap(), ms_ssim(&pixels, &pixels).unwrap()), (1.0, 1.0));
    }

    #[test]
    fn metrics_are_symmetric_and_the_same_on_every_number_of_threads() {
        let (a, b) = (scene(190, 165), noisy(&scene(190, 165)));
        let all = |a: &Raster<u8>, b: &Raster<u8>| {
            let (a, b) = (Pixels::try_from(a).unwrap(), Pixels::try_from(b).unwrap());
            [mae(&a, &b), psnr(&a, &b), ssim(&a, &b), ssim_luma(&a, &b), ms_ssim(&a, &b)].map(|v| v.unwrap().to_bits())
        };
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| all(&a, &b));
        let many = rayon::ThreadPoolBuilder::new().num_threads(5).build().unwrap();
        assert_eq!(alone, many.install(|| all(&a, &b)));
        for (one, other) in alone.iter().zip(many.install(|| all(&b, &a))) {
            assert!((f64::from_bits(*one) - f64::from_bits(other)).abs() < 1e-12);
        }
    }

    #[test]
    fn luma_weighs_red_green_and_blue() {
        let only = |channel: usize| {
            let image = scene(24, 24);
            Raster::from_fn(24, 24, |x, y| [0, 1, 2].map(|c| if c == channel { image.pixel(x, y)[c] } else { 90 }))
        };
        let grey = |channel: usize, weight: f64| {
            let rest = 90.0 * (1.0 - weight);
            let luma = |v: u8| weight * f64::from(v) + rest;
            plane::Plane::luma(&Pixels::try_from(&only(channel)).unwrap())
                .values
                .iter()
                .zip(only(channel).samples().chunks_exact(3))
                .all(|(have, pixel)| (have - luma(pixel[channel])).abs() < 1e-12)
        };
        assert!(grey(0, 0.299) && grey(1, 0.587) && grey(2, 0.114));
        assert!(!grey(0, 0.114), "swapped channels show");
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        let (small, other) = (scene(10, 30), scene(30, 10));
        let (a, b) = (Pixels::try_from(&small).unwrap(), Pixels::try_from(&other).unwrap());
        assert!(matches!(mae(&a, &b), Err(Error::Shapes { .. })));
        assert!(matches!(ssim(&a, &a), Err(Error::TooSmall { smallest: 11, width: 10, .. })));
        let large = scene(200, 160);
        let large = Pixels::try_from(&large).unwrap();
        assert!(ssim(&large, &large).is_ok());
        assert!(matches!(ms_ssim(&large, &large), Err(Error::TooSmall { smallest: 161, height: 160, .. })));
        assert!(matches!(Pixels::new(2, 2, 3, &[0; 11]), Err(Error::Pixels { samples: 11, .. })));
        assert!(matches!(Pixels::new(0, 2, 3, &[]), Err(Error::Pixels { .. })));
        assert!(matches!(Pixels::new(usize::MAX, 2, 3, &[0]), Err(Error::Pixels { .. })));
    }

    #[test]
    fn halving_extends_odd_sides_in_front() {
        let image = Raster::from_fn(3, 2, |x, y| [(10 * y + x) as u8 * 4]);
        let halved = plane::Plane::channels(&Pixels::try_from(&image).unwrap())[0].halved();
        assert_eq!(
            (halved.height, halved.width, halved.values),
            (1, 2, vec![(0.0 + 40.0) / 4.0, (4.0 + 8.0 + 44.0 + 48.0) / 4.0])
        );
    }
}
