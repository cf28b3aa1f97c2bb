//! Colours of label maps in previews.

use crate::Result;
use candle_core::{DType, Tensor};
use gan_data::label_colour;

/// Label ids `[N, 1, H, W]` as an image `[N, 3, H, W]` in [-1, 1].
pub(super) fn colours(labels: &Tensor, classes: usize) -> Result<Tensor> {
    let (n, _, h, w) = labels.dims4()?;
    let ids = labels.to_dtype(DType::U32)?.flatten_all()?.to_vec1::<u32>()?;
    let mut out = vec![0f32; 3 * ids.len()];
    for (i, &id) in ids.iter().enumerate() {
        let (image, pixel) = (i / (h * w), i % (h * w));
        for (c, value) in label_colour(id, classes).into_iter().enumerate() {
            out[(image * 3 + c) * h * w + pixel] = f32::from(value) / 127.5 - 1.0;
        }
    }
    Ok(Tensor::from_vec(out, (n, 3, h, w), labels.device())?)
}
