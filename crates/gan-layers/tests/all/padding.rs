//! Padding layers: part of the convolution behind them, or tensors of their own.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Device, Tensor};
use gan_layers::{Act, Builder, ConvSpec, Init, PadMode, ParamStore, Sequence, SequenceBuilder, Summary, Weights};
use network::{assert_close, check_gradients, ctx, device, images, key, noise, numbers, weighted};

const MODES: [PadMode; 3] = [PadMode::Zero, PadMode::Reflect, PadMode::Replicate];

fn alone(mode: PadMode, size: usize) -> Sequence {
    SequenceBuilder::new(Builder::shapes_only()).pad(mode, size).finish()
}

/// Element by element, from the definition of each mode.
fn naive(x: &Tensor, mode: PadMode, p: usize) -> Vec<f64> {
    let (n, c, h, w) = x.dims4().unwrap();
    let values = numbers(x);
    let source = |i: usize, size: usize| {
        let i = i as isize - p as isize;
        let last = size as isize - 1;
        match mode {
            PadMode::Zero => (0..=last).contains(&i).then_some(i),
            PadMode::Reflect => Some(if i < 0 {
                -i
            } else if i > last {
                2 * last - i
            } else {
                i
            }),
            PadMode::Replicate => Some(i.clamp(0, last)),
        }
    };
    let mut out = Vec::new();
    for plane in 0..n * c {
        for i in 0..h + 2 * p {
            for j in 0..w + 2 * p {
                let at = source(i, h).zip(source(j, w));
                out.push(at.map_or(0.0, |(i, j)| values[(plane * h + i as usize) * w + j as usize]));
            }
        }
    }
    out
}

#[test]
fn a_padding_that_no_convolution_takes_is_done() {
    let x = noise(&[2, 3, 4, 5], 1);
    for mode in MODES {
        for size in 0..4 {
            let y = alone(mode, size).forward(&x, &ctx(Weights::Frozen)).unwrap();
            assert_eq!(y.dims(), [2, 3, 4 + 2 * size, 5 + 2 * size]);
            assert_eq!(numbers(&y), naive(&x, mode, size), "{mode:?} {size}");
        }
    }
    assert!(alone(PadMode::Reflect, 4).forward(&x, &ctx(Weights::Frozen)).is_err());
    assert!(alone(PadMode::Zero, 1).forward(&noise(&[3, 4], 1), &ctx(Weights::Frozen)).is_err());
}

#[test]
fn its_gradient_is_that_of_central_differences() {
    for mode in MODES {
        for size in [1, 3] {
            let (store, net) = ParamStore::build(DType::F64, &device(), |b| {
                let conv = ConvSpec { in_nc: 2, out_nc: 2, kernel: 3, stride: 1, padding: 1, bias: true };
                Ok(SequenceBuilder::new(b.clone()).conv(conv)?.pad(mode, size).finish())
            })
            .unwrap();
            store.init(&Init { init_gain: 0.5, ..Init::default() }, key()).unwrap();
            check_gradients(&store, &images(2, 1), |x, weights| weighted(&net.forward(x, &ctx(weights)).unwrap(), 4));
        }
    }
}

#[test]
fn a_padding_is_never_lost_and_never_moved() {
    let conv = |padding| ConvSpec { in_nc: 2, out_nc: 3, kernel: 3, stride: 2, padding, bias: true };
    let x = images(2, 1).detach();
    let padded = |mode, size| alone(mode, size).forward(&x, &ctx(Weights::Frozen)).unwrap();
    type Build = fn(SequenceBuilder<'_>, ConvSpec) -> candle_core::Result<SequenceBuilder<'_>>;
    let builds: [(&str, usize, Build); 5] = [
        ("in front of a convolution", 0, |s, c| s.pad(PadMode::Reflect, 2).conv(c)),
        ("in front of a nested one", 0, |s, c| s.pad(PadMode::Reflect, 2).nested("inner", |s| s.conv(c))),
        ("in front of an activation", 0, |s, c| s.pad(PadMode::Reflect, 2).act(Act::Identity).conv(c)),
        ("in front of one that pads itself", 1, |s, c| s.pad(PadMode::Reflect, 2).conv(c)),
        ("twice", 0, |s, c| s.pad(PadMode::Reflect, 1).pad(PadMode::Reflect, 0).pad(PadMode::Reflect, 1).conv(c)),
    ];
    for (what, padding, build) in builds {
        let (store, net) = ParamStore::build(DType::F64, &device(), |b| {
            Ok(build(SequenceBuilder::new(b.clone()), conv(padding))?.finish())
        })
        .unwrap();
        store.init(&Init { init_gain: 0.5, ..Init::default() }, key().at(padding as u64)).unwrap();
        let on_cpu = |t: Tensor| t.to_device(&Device::Cpu).unwrap();
        let weights: Vec<Tensor> = store.state_dict("").unwrap().into_iter().map(|(_, t)| on_cpu(t)).collect();
        let input = if what == "twice" {
            let once = padded(PadMode::Reflect, 1);
            alone(PadMode::Reflect, 1).forward(&once, &ctx(Weights::Frozen)).unwrap()
        } else {
            padded(PadMode::Reflect, 2)
        };
        let want = on_cpu(input).conv2d(&weights[0], padding, 2, 1, 1).unwrap();
        let want = want.broadcast_add(&weights[1].reshape((1, 3, 1, 1)).unwrap()).unwrap();
        let have = net.forward(&x, &ctx(Weights::Frozen)).unwrap();
        assert_eq!(have.dims(), want.dims(), "{what}");
        assert_close(&numbers(&have), &numbers(&want), 1e-12, what);
        let mut summary = Summary::default();
        assert_eq!(summary.add(&net, (2, 6, 8)).unwrap(), (3, want.dims()[2], want.dims()[3]), "{what}");
    }
}
