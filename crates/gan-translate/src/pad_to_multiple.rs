//! Images of any size through networks that want multiples.

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
        Arch::Resnet9Blocks | Arch::Resnet6Blocks | Arch::Resnet4Blocks => ends(blocks(9)),
        Arch::Resnet => ends(blocks(config.n_blocks)),
        Arch::Global => ends(blocks(config.n_blocks_global)),
        // The embedded generator sees an image that is halved for each enhancer.
        Arch::Local => (4 << config.n_local_enhancers).max(blocks(config.n_blocks_global)),
    }
}

/// Extends the inputs of a batch at the right and lower border, by mirroring, to the next multiple that is not below `smallest`.
///
/// # Errors
/// [`Error::Shape`] if a part of the batch is not four-dimensional or if the instance map has another size than `batch.a`.
pub(crate) fn padded(batch: &Batch, multiple: usize, smallest: usize) -> Result<Batch> {
    each_part(batch, |t| mirrored(&mirrored(t, 2, multiple, smallest)?, 3, multiple, smallest))
}

/// Puts the inputs of a batch at `offset` (down, right) on larger ones of `size` (height, width), mirrored on all sides.
///
/// # Errors
/// As [`padded`].
pub(crate) fn placed(batch: &Batch, offset: (usize, usize), size: (usize, usize)) -> Result<Batch> {
    each_part(batch, |t| extended(&extended(t, 2, offset.0, size.0)?, 3, offset.1, size.1))
}

fn each_part(batch: &Batch, pad: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<Batch> {
    let (n, _, h, w) = batch.a.dims4()?;
    if let Some(inst) = &batch.inst
        && inst.dims() != [n, 1, h, w]
    {
        let expected = format!("[{n}, 1, {h}, {w}], the size of the label map,");
        return Err(Error::Shape { what: "the instance map", got: inst.dims().to_vec(), expected });
    }
    Ok(Batch {
        a: pad(&batch.a)?,
        b: batch.b.as_ref().map(&pad).transpose()?,
        inst: batch.inst.as_ref().map(&pad).transpose()?,
        names: batch.names.clone(),
    })
}

/// Extends a dimension to the next multiple that is not below `smallest` by mirroring (back and forth where the image
/// is smaller than the margin).
fn mirrored(t: &Tensor, dim: usize, multiple: usize, smallest: usize) -> candle_core::Result<Tensor> {
    extended(t, dim, 0, t.dim(dim)?.max(smallest).div_ceil(multiple) * multiple)
}

/// Extends a dimension to `wanted`, `before` of it in front, by mirroring back and forth.
fn extended(t: &Tensor, dim: usize, before: usize, wanted: usize) -> candle_core::Result<Tensor> {
    let n = t.dim(dim)?;
    if wanted == n {
        return Ok(t.clone());
    }
    let period = 2 * (n - 1).max(1);
    let first = before.div_ceil(period) * period - before;
    let index = |i: usize| {
        let i = (first + i) % period;
        if n == 1 { 0 } else { i.min(period - i) as u32 }
    };
    let indices = Tensor::from_iter((0..wanted).map(index), &Device::Cpu)?.to_device(t.device())?;
    t.index_select(&indices, dim)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::DType;
    use candle_nn::{VarBuilder, VarMap};
    use gan_layers::Ctx;
    use gan_nets::Generator;

    fn batch(a: Tensor) -> Batch {
        Batch { a, b: None, inst: None, names: vec!["x".into()] }
    }

    #[test]
    fn sides_become_multiples_and_keep_what_was_there() {
        for (h, w) in [(1, 1), (3, 17), (8, 9), (16, 16)] {
            let a = Tensor::arange(0f32, (h * w) as f32, &Device::Cpu).unwrap().reshape((1, 1, h, w)).unwrap();
            let larger = padded(&batch(a.clone()), 8, 8).unwrap().a;
            let (_, _, height, width) = larger.dims4().unwrap();
            assert_eq!((height, width), (h.next_multiple_of(8), w.next_multiple_of(8)));
            let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let back = larger.narrow(2, 0, h).unwrap().narrow(3, 0, w).unwrap();
            assert_eq!(values(&back), values(&a));
        }
    }

    #[test]
    fn instance_maps_have_the_size_of_the_input() {
        let zeros = |h, w| Tensor::zeros((1, 1, h, w), DType::U32, &Device::Cpu).unwrap();
        let other = Batch { inst: Some(zeros(8, 9)), ..batch(zeros(8, 8)) };
        assert!(matches!(padded(&other, 8, 8), Err(Error::Shape { .. })));
    }

    #[test]
    fn mirrors_without_repeating_the_border() {
        let t = Tensor::new(&[0u32, 1, 2], &Device::Cpu).unwrap();
        assert_eq!(mirrored(&t, 0, 8, 8).unwrap().to_vec1::<u32>().unwrap(), [0, 1, 2, 1, 0, 1, 2, 1]);
    }

    #[test]
    fn an_input_lies_where_it_is_put_and_is_mirrored_on_all_sides() {
        let row = Tensor::new(&[[[[0f32, 1., 2., 3.]]]], &Device::Cpu).unwrap();
        let placed = placed(&batch(row), (0, 2), (1, 8)).unwrap().a;
        assert_eq!(placed.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [2., 1., 0., 1., 2., 3., 2., 1.]);
    }

    fn translate(network: &Generator, batch: &Batch) -> candle_core::Result<Tensor> {
        network.forward(&batch.a, &Ctx::translate())
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
            GeneratorConfig { padding: Padding::Replicate, ..resnet.clone() },
            GeneratorConfig { antialias: true, antialias_up: true, ..resnet.clone() },
            GeneratorConfig { antialias: true, n_blocks: 0, ..resnet.clone() },
            GeneratorConfig { down_padding: Padding::Reflect, n_blocks: 0, ..resnet },
            GeneratorConfig { num_downs: 5, down_padding: Padding::Reflect, ..with(Arch::Unet, 0) },
            with(Arch::Global, 1),
            with(Arch::Global, 2),
            GeneratorConfig { n_blocks_global: 0, ..with(Arch::Global, 3) },
            with(Arch::Local, 1),
            with(Arch::Local, 2),
            GeneratorConfig { n_local_enhancers: 2, n_blocks_global: 0, ..with(Arch::Local, 1) },
            GeneratorConfig { num_downs: 5, ..with(Arch::Unet, 0) },
        ] {
            let vb = VarBuilder::from_varmap(&VarMap::new(), DType::F32, &Device::Cpu);
            let network = config.build(vb).unwrap();
            let (multiple, smallest) = (config.size_multiple(), smallest_side(&config));
            let of_size = |h: usize, w: usize| {
                let values: Vec<f32> = (0..3 * h * w).map(|i| (1.3 * i as f32).sin()).collect();
                batch(Tensor::from_vec(values, (1, 3, h, w), &Device::Cpu).unwrap())
            };
            assert!(translate(&network, &of_size(smallest, smallest)).is_ok(), "{config:?}");
            if smallest > multiple {
                let below = smallest - multiple;
                assert!(translate(&network, &of_size(below, smallest)).is_err(), "{config:?} takes {below}, too");
            }
            let values = |y: Tensor| y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (h, w) in [(1, 1), (2, 3), (1, 64), (smallest + 1, smallest - 1)] {
                let cut = |y: Tensor| y.narrow(2, 0, h).unwrap().narrow(3, 0, w).unwrap().contiguous().unwrap();
                let y = cut(translate(&network, &padded(&of_size(h, w), multiple, smallest).unwrap()).unwrap());
                assert_eq!(y.dims4().unwrap(), (1, 3, h, w), "{config:?}");
                // What could be translated without knowing the smallest side is as it was.
                if let Ok(before) = translate(&network, &padded(&of_size(h, w), multiple, multiple).unwrap()) {
                    assert_eq!(values(y), values(cut(before)), "{config:?}, {h}x{w}");
                }
            }
        }
    }
}
