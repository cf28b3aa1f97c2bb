//! Pictures of any size through networks that want multiples.

use crate::method::Translator;
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use gan_data::Batch;
use gan_nets::{Arch, GeneratorConfig, Padding};

/// The smallest side of an input, in pixels and a multiple of [`GeneratorConfig::size_multiple`], that a generator
/// translates: its padding layers mirror pixels, of which there have to be more than they mirror.
pub fn smallest_side(config: &GeneratorConfig) -> usize {
    let multiple = config.size_multiple();
    // A residual block mirrors one pixel of its input, which is `multiple` times smaller than the network's.
    let blocks = |count: usize| if count > 0 { 2 * multiple } else { multiple };
    // The first and the last convolution of a ResNet mirror three pixels.
    let ends = |side: usize| 4usize.max(side);
    match config.arch {
        Arch::Unet256 | Arch::Unet128 | Arch::Unet => multiple,
        _ if config.padding != Padding::Reflect && !matches!(config.arch, Arch::Global | Arch::Local) => ends(multiple),
        Arch::Resnet9Blocks | Arch::Resnet6Blocks => ends(blocks(9)),
        Arch::Resnet => ends(blocks(config.n_blocks)),
        Arch::Global => ends(blocks(config.n_blocks_global)),
        // The embedded generator sees an image that is halved for each enhancer.
        Arch::Local => (4 << config.n_local_enhancers).max(blocks(config.n_blocks_global)),
    }
}

/// Translates a batch of any size: mirrors it at the right and lower border up to the network's multiple (and its
/// smallest size), translates, and cuts the result back to the size of the input.
///
/// # Errors
/// [`Error::Shape`] if the instance map has another size than `batch.a`; those of [`Translator::translate`].
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
    let (multiple, smallest) = (translator.size_multiple(), translator.smallest_side());
    let pad = |t: &Tensor| mirrored(&mirrored(t, 2, multiple, smallest)?, 3, multiple, smallest);
    let padded = Batch {
        a: pad(&batch.a)?,
        b: batch.b.as_ref().map(pad).transpose()?,
        inst: batch.inst.as_ref().map(pad).transpose()?,
        names: batch.names.clone(),
    };
    Ok(translator.translate(&padded)?.narrow(2, 0, h)?.narrow(3, 0, w)?.contiguous()?)
}

/// Extends a dimension to the next multiple that is not below `smallest` by mirroring (back and forth where the picture
/// is smaller than the margin).
fn mirrored(t: &Tensor, dim: usize, multiple: usize, smallest: usize) -> Result<Tensor> {
    let n = t.dim(dim)?;
    let wanted = n.max(smallest).div_ceil(multiple) * multiple;
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
    use candle_nn::{VarBuilder, VarMap};
    use gan_layers::Ctx;
    use gan_nets::Generator;

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
        assert_eq!(mirrored(&t, 0, 8, 8).unwrap().to_vec1::<u32>().unwrap(), [0, 1, 2, 1, 0, 1, 2, 1]);
    }

    /// A generator on the CPU.
    struct Network(Generator);
    impl Translator for Network {
        fn translate(&self, batch: &Batch) -> Result<Tensor> {
            Ok(self.0.forward(&batch.a, &Ctx::translate())?)
        }
        fn size_multiple(&self) -> usize {
            self.0.config().size_multiple()
        }
        fn smallest_side(&self) -> usize {
            smallest_side(self.0.config())
        }
    }

    /// The same without knowing how small an input may be.
    struct Unaware<'a>(&'a Network);
    impl Translator for Unaware<'_> {
        fn translate(&self, batch: &Batch) -> Result<Tensor> {
            self.0.translate(batch)
        }
        fn size_multiple(&self) -> usize {
            self.0.size_multiple()
        }
    }

    #[test]
    fn the_smallest_side_is_the_smallest_that_works() {
        let base = GeneratorConfig { ngf: 1, n_blocks: 1, n_blocks_global: 1, n_blocks_local: 1, ..Default::default() };
        let with = |arch, n_downsample_global| GeneratorConfig { arch, n_downsample_global, ..base.clone() };
        let resnet = with(Arch::Resnet, 4);
        for config in [
            resnet.clone(),
            GeneratorConfig { n_blocks: 0, ..resnet.clone() },
            GeneratorConfig { padding: Padding::Zero, ..resnet.clone() },
            GeneratorConfig { padding: Padding::Replicate, ..resnet },
            with(Arch::Global, 1),
            with(Arch::Global, 2),
            GeneratorConfig { n_blocks_global: 0, ..with(Arch::Global, 3) },
            with(Arch::Local, 1),
            with(Arch::Local, 2),
            GeneratorConfig { n_local_enhancers: 2, n_blocks_global: 0, ..with(Arch::Local, 1) },
            GeneratorConfig { num_downs: 5, ..with(Arch::Unet, 0) },
        ] {
            let vb = VarBuilder::from_varmap(&VarMap::new(), DType::F32, &Device::Cpu);
            let network = Network(config.build(vb).unwrap());
            let (multiple, smallest) = (network.size_multiple(), network.smallest_side());
            let batch = |h: usize, w: usize| {
                let values: Vec<f32> = (0..3 * h * w).map(|i| (1.3 * i as f32).sin()).collect();
                let a = Tensor::from_vec(values, (1, 3, h, w), &Device::Cpu).unwrap();
                Batch { a, b: None, inst: None, names: vec!["x".into()] }
            };
            assert!(network.translate(&batch(smallest, smallest)).is_ok(), "{config:?}");
            if smallest > multiple {
                let below = smallest - multiple;
                assert!(network.translate(&batch(below, smallest)).is_err(), "{config:?} takes {below}, too");
            }
            let values = |y: Tensor| y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (h, w) in [(1, 1), (2, 3), (1, 64), (smallest + 1, smallest - 1)] {
                let y = translate_fitted(&network, &batch(h, w)).unwrap();
                assert_eq!(y.dims4().unwrap(), (1, 3, h, w), "{config:?}");
                // What could be translated without knowing the smallest side is as it was.
                if let Ok(before) = translate_fitted(&Unaware(&network), &batch(h, w)) {
                    assert_eq!(values(y), values(before), "{config:?}, {h}x{w}");
                }
            }
        }
    }
}
