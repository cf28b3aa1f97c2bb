//! Pictures of any size through networks that want multiples.

use crate::method::Translator;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use gan_data::Batch;

/// Translates a batch of any size: mirrors it at the right and lower border up to the network's multiple, translates,
/// and cuts the result back to the size of the input.
pub fn translate_fitted(translator: &dyn Translator, batch: &Batch) -> Result<Tensor> {
    let (_, _, h, w) = batch.a.dims4()?;
    if let Some(inst) = &batch.inst
        && inst.dims4()? != (batch.a.dim(0)?, 1, h, w)
    {
        return Err(Error::Shape {
            what: format!("instance map of {}", batch.names.join(", ")),
            got: format!("{:?}", inst.dims()),
            expected: "the label map's size",
        });
    }
    let multiple = translator.size_multiple();
    let pad = |t: &Tensor| mirrored(&mirrored(t, 2, multiple)?, 3, multiple);
    let padded = Batch {
        a: pad(&batch.a)?,
        b: batch.b.as_ref().map(pad).transpose()?,
        inst: batch.inst.as_ref().map(pad).transpose()?,
        names: batch.names.clone(),
    };
    Ok(translator.translate(&padded)?.narrow(2, 0, h)?.narrow(3, 0, w)?.contiguous()?)
}

/// Extends a dimension to the next multiple by mirroring (back and forth where the picture is smaller than the margin).
fn mirrored(t: &Tensor, dim: usize, multiple: usize) -> Result<Tensor> {
    let n = t.dim(dim)?;
    let wanted = n.div_ceil(multiple) * multiple;
    if wanted == n {
        return Ok(t.clone());
    }
    let period = 2 * (n - 1).max(1);
    let index = |i: usize| {
        let i = i % period;
        if n == 1 { 0 } else { i.min(period - i) as u32 }
    };
    let indices = Tensor::from_iter((0..wanted).map(index), &Device::Cpu)?.to_device(t.device())?;
    Ok(t.index_select(&indices, dim)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::DType;

    struct Doubler;
    impl Translator for Doubler {
        fn translate(&self, batch: &Batch) -> Result<Tensor> {
            let (_, _, h, w) = batch.a.dims4()?;
            assert_eq!((h % 8, w % 8), (0, 0));
            Ok((&batch.a * 2.0)?)
        }
        fn size_multiple(&self) -> usize {
            8
        }
    }

    #[test]
    fn any_size_comes_back_at_its_size() {
        for (h, w) in [(1, 1), (3, 17), (8, 9), (16, 16)] {
            let a = Tensor::arange(0f32, (h * w) as f32, &Device::Cpu).unwrap().reshape((1, 1, h, w)).unwrap();
            let batch = Batch { a: a.clone(), b: None, inst: None, names: vec!["x".into()] };
            let y = translate_fitted(&Doubler, &batch).unwrap();
            let same = y
                .eq(&(a * 2.0).unwrap())
                .unwrap()
                .to_dtype(DType::U32)
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<u32>()
                .unwrap();
            assert_eq!(same as usize, h * w);
        }
    }

    #[test]
    fn mirrors_without_repeating_the_border() {
        let t = Tensor::new(&[0u32, 1, 2], &Device::Cpu).unwrap();
        assert_eq!(mirrored(&t, 0, 8).unwrap().to_vec1::<u32>().unwrap(), [0, 1, 2, 1, 0, 1, 2, 1]);
    }
}
