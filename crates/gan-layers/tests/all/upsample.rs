//! Nearest upsampling as a layer.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::DType;
use gan_layers::{ConvSpec, Init, PadMode, ParamStore, SequenceBuilder, Summary, Weights};
use network::{check_gradients, ctx, device, images, key, noise, numbers, weighted};

#[test]
fn every_pixel_is_repeated() {
    let net = SequenceBuilder::new(gan_layers::Builder::shapes_only()).upsample_nearest(3).finish();
    let x = noise(&[2, 2, 3, 4], 1);
    let y = net.forward(&x, &ctx(Weights::Frozen)).unwrap();
    assert_eq!(y.dims(), [2, 2, 9, 12]);
    let (x, y) = (numbers(&x), numbers(&y));
    for (at, value) in y.iter().enumerate() {
        let (plane, row, column) = (at / 108, at / 12 % 9, at % 12);
        assert_eq!(*value, x[plane * 12 + row / 3 * 4 + column / 3]);
    }
    let mut summary = Summary::default();
    assert_eq!(summary.add(&net, (2, 3, 4)).unwrap(), (2, 9, 12));
    assert_eq!(summary.rows[0].kind, "Upsample x3");
}

/// A resize-convolution: what pads in front of the convolution and what enlarges in front of the padding are backpropagated.
#[test]
fn its_gradient_is_that_of_central_differences() {
    let (store, net) = ParamStore::build(DType::F64, &device(), |b| {
        let conv = |padding| ConvSpec { in_nc: 2, out_nc: 2, kernel: 3, stride: 1, padding, bias: true };
        let s = SequenceBuilder::new(b.clone()).conv(conv(1))?.upsample_nearest(2);
        Ok(s.pad(PadMode::Reflect, 1).conv(conv(0))?.finish())
    })
    .unwrap();
    store.init(&Init { init_gain: 0.5, ..Init::default() }, key()).unwrap();
    check_gradients(&store, &images(2, 1), |x, weights| weighted(&net.forward(x, &ctx(weights)).unwrap(), 4));
}
