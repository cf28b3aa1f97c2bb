//! The sizes at which image files are translated.

use crate::model_config::Sizes;
use crate::{Error, Result};
use gan_data::{Preprocess, Transform};

/// Resizing and cropping, as the references do it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SizeOptions {
    /// Which steps.
    pub preprocess: Preprocess,
    /// Side, or width, after resizing, in pixels. Without it `crop_size`, or for label maps that of training.
    pub load_size: Option<usize>,
    /// Side after cropping, in pixels. Without it that of training.
    pub crop_size: Option<usize>,
}

impl Sizes {
    /// The transform of training, without augmentation.
    #[must_use]
    pub fn transform(&self) -> Transform {
        Transform {
            preprocess: self.preprocess,
            load_size: self.load_size,
            crop_size: self.crop_size,
            flip: false,
            multiple: self.multiple,
            minimum_height: self.minimum_height,
            ..Transform::default()
        }
    }

    /// The transform of a translation.
    ///
    /// # Errors
    /// [`Error::Data`] for sizes out of range, and for a crop that is larger than what it is cut from.
    pub fn transform_with(&self, options: &SizeOptions) -> Result<Transform> {
        let crop_size = options.crop_size.unwrap_or(self.crop_size);
        // At test time the references of images load at the crop's size, so that nothing is cut off.
        let usual = if self.minimum_height { crop_size } else { self.load_size };
        let load_size = options.load_size.unwrap_or(usual);
        let transform = Transform { preprocess: options.preprocess, load_size, crop_size, ..self.transform() };
        transform.validate().map_err(Error::from)?;
        Ok(transform)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn images_load_at_the_size_of_the_crop_and_label_maps_at_that_of_training() {
        let preprocess = Preprocess::ResizeAndCrop;
        let images = Sizes { preprocess, load_size: 286, crop_size: 256, multiple: 4, minimum_height: true };
        let labels = Sizes { load_size: 1024, crop_size: 512, minimum_height: false, ..images.clone() };
        let sizes = |sizes: &Sizes, load_size, crop_size| {
            let transform = sizes.transform_with(&SizeOptions { preprocess, load_size, crop_size }).unwrap();
            (transform.load_size, transform.crop_size)
        };
        assert_eq!(sizes(&images, None, None), (256, 256));
        assert_eq!(sizes(&images, None, Some(64)), (64, 64));
        assert_eq!(sizes(&images, Some(72), Some(64)), (72, 64));
        assert_eq!(sizes(&labels, None, None), (1024, 512));
        let absurd = SizeOptions { preprocess, load_size: Some(32), crop_size: Some(64) };
        assert!(images.transform_with(&absurd).unwrap_err().to_string().contains("below crop_size 64"));
    }
}
