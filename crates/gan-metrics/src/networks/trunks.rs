//! The networks whose maps LPIPS compares: the convolutional parts of torchvision's classifiers, as far as the last tap. The position of
//! a layer is its number in torchvision's `features`.

use candle_core::Result;
use gan_layers::{Act, Builder, ConvSpec, Pool2d, Sequence, SequenceBuilder};

/// AlexNet (Krizhevsky, 2014).
pub(super) fn alex(at: Builder<'_>) -> Result<Sequence> {
    const POOL: Pool2d = Pool2d::new(3, 2);
    let conv = |in_nc, out_nc, kernel, stride, padding| ConvSpec { in_nc, out_nc, kernel, stride, padding, bias: true };
    let s = SequenceBuilder::new(at);
    let s = s.conv(conv(3, 64, 11, 4, 2))?.act(Act::Relu).max_pool(POOL);
    let s = s.conv(conv(64, 192, 5, 1, 2))?.act(Act::Relu).max_pool(POOL);
    let s = s.conv(conv(192, 384, 3, 1, 1))?.act(Act::Relu);
    let s = s.conv(conv(384, 256, 3, 1, 1))?.act(Act::Relu);
    Ok(s.conv(conv(256, 256, 3, 1, 1))?.act(Act::Relu).finish())
}

/// VGG16 (Simonyan & Zisserman, 2015).
pub(super) fn vgg16(at: Builder<'_>) -> Result<Sequence> {
    let (mut s, mut in_nc) = (SequenceBuilder::new(at), 3);
    for (stage, (convs, out_nc)) in [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)].into_iter().enumerate() {
        if stage > 0 {
            s = s.max_pool(Pool2d::new(2, 2));
        }
        for _ in 0..convs {
            s = s.conv(ConvSpec { in_nc, out_nc, kernel: 3, stride: 1, padding: 1, bias: true })?.act(Act::Relu);
            in_nc = out_nc;
        }
    }
    Ok(s.finish())
}

/// SqueezeNet 1.1 (Iandola et al., 2016).
pub(super) fn squeeze(at: Builder<'_>) -> Result<Sequence> {
    const POOL: Pool2d = Pool2d { ceil_mode: true, ..Pool2d::new(3, 2) };
    let first = ConvSpec { in_nc: 3, out_nc: 64, kernel: 3, stride: 2, padding: 0, bias: true };
    let s = SequenceBuilder::new(at).conv(first)?.act(Act::Relu).max_pool(POOL);
    let s = fire(fire(s, "3", 64, 16, 64)?, "4", 128, 16, 64)?.max_pool(POOL);
    let s = fire(fire(s, "6", 128, 32, 128)?, "7", 256, 32, 128)?.max_pool(POOL);
    let s = fire(fire(s, "9", 256, 48, 192)?, "10", 384, 48, 192)?;
    Ok(fire(fire(s, "11", 384, 64, 256)?, "12", 512, 64, 256)?.finish())
}

/// A Fire module: `in_nc` channels to `narrow`, then to `wide` by kernels of one and as many by kernels of three.
fn fire<'a>(
    s: SequenceBuilder<'a>,
    name: &str,
    in_nc: usize,
    narrow: usize,
    wide: usize,
) -> Result<SequenceBuilder<'a>> {
    let conv = |in_nc, out_nc, kernel: usize| {
        let padding = kernel / 2;
        ConvSpec { in_nc, out_nc, kernel, stride: 1, padding, bias: true }
    };
    s.nested(name, |s| {
        s.named("squeeze")
            .conv(conv(in_nc, narrow, 1))?
            .act(Act::Relu)
            .branches([&|s| Ok(s.named("expand1x1").conv(conv(narrow, wide, 1))?.act(Act::Relu)), &|s| {
                Ok(s.named("expand3x3").conv(conv(narrow, wide, 3))?.act(Act::Relu))
            }])
    })
}
