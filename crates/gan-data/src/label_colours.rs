//! Colours that label maps are shown in.

use candle_core::{DType, Tensor};

use crate::error::Result;
use crate::raster::Raster;

/// The colours of Cityscapes' 35 ids.
const CITYSCAPES: [[u8; 3]; 35] = [
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
    [111, 74, 0],
    [81, 0, 81],
    [128, 64, 128],
    [244, 35, 232],
    [250, 170, 160],
    [230, 150, 140],
    [70, 70, 70],
    [102, 102, 156],
    [190, 153, 153],
    [180, 165, 180],
    [150, 100, 100],
    [150, 120, 90],
    [153, 153, 153],
    [153, 153, 153],
    [250, 170, 30],
    [220, 220, 0],
    [107, 142, 35],
    [152, 251, 152],
    [70, 130, 180],
    [220, 20, 60],
    [255, 0, 0],
    [0, 0, 142],
    [0, 0, 70],
    [0, 60, 100],
    [0, 0, 90],
    [0, 0, 110],
    [0, 80, 100],
    [0, 0, 230],
    [119, 11, 32],
    [0, 0, 142],
];

/// The colour that a label is shown in: Cityscapes' table for 35 classes, otherwise the id's bits spread over the three channels (as in
/// PASCAL VOC's and the reference's colour maps).
#[must_use]
pub fn label_colour(label: u32, classes: usize) -> [u8; 3] {
    if classes == CITYSCAPES.len() {
        return CITYSCAPES.get(label as usize).copied().unwrap_or([0; 3]);
    }
    let mut rgb = [0u8; 3];
    for j in 0..7 {
        let bits = label >> (3 * j);
        for (channel, value) in rgb.iter_mut().enumerate() {
            *value |= ((bits >> channel & 1) as u8) << (7 - j);
        }
    }
    rgb
}

/// The first of the label maps `[N, 1, H, W]` in colours.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) if the tensor has another shape.
pub fn label_colours(labels: &Tensor, classes: usize) -> Result<Raster<u8>> {
    let (_, _, height, width) = labels.dims4()?;
    let ids = labels.narrow(0, 0, 1)?.flatten_all()?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
    Ok(Raster::new(width, height, 3, ids.into_iter().flat_map(|id| label_colour(id, classes)).collect()))
}

#[cfg(test)]
mod tests {
    use super::label_colour;

    #[test]
    fn colours_of_the_reference() {
        assert_eq!(label_colour(7, 35), [128, 64, 128]);
        assert_eq!(label_colour(40, 35), [0, 0, 0]);
        assert_eq!(label_colour(0, 20), [0, 0, 0]);
        assert_eq!(label_colour(1, 20), [128, 0, 0]);
        assert_eq!(label_colour(3, 20), [128, 128, 0]);
        assert_eq!(label_colour(8, 20), [64, 0, 0]);
        assert_eq!(label_colour(12, 20), [64, 0, 128]);
    }
}
