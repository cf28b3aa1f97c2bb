//! Pillow's bicubic filter on images of mode F, as clean-fid calls it (Parmar, Zhang and Zhu, "On aliased resizing and surprising
//! subtleties in GAN evaluation", CVPR 2022).

use super::INPUT_SIZE;
use gan_data::{Filter, Raster, resize_f32};

/// The image at the network's size, levels within [0, 255].
pub(super) fn resized(image: &Raster<u8>) -> Raster<f32> {
    let (width, height) = image.size();
    let samples = image.samples().iter().map(|v| f32::from(*v)).collect();
    let mut raster = Raster::new(width, height, image.channels(), samples);
    // The first pass is rounded to f32, so its order shows in the last bit. For a square result Pillow 13 begins with the height
    // where that loses more than twice as many pixels as the width; older versions always begin with the width.
    if height > INPUT_SIZE && height + 2 * INPUT_SIZE > 2 * width + INPUT_SIZE {
        raster = resize_f32(&raster, width, INPUT_SIZE, Filter::Bicubic);
    }
    raster = resize_f32(&raster, INPUT_SIZE, INPUT_SIZE, Filter::Bicubic);
    raster.samples_mut().iter_mut().for_each(|v| *v = v.clamp(0.0, 255.0));
    raster
}
