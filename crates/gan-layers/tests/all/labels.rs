//! A network that is given labels computes what it computes from their planes.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Result, Tensor, Var};
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, Input, NormKind, OneHot, PadMode, ParamStore, Precision, Sequence,
    SequenceBuilder, Weights,
};
use network::{ctx, device, gradients, images, key, numbers};

const REST: usize = 2;

fn conv(in_nc: usize, out_nc: usize, kernel: usize) -> ConvSpec {
    ConvSpec { in_nc, out_nc, kernel, stride: 1, padding: 0, bias: true }
}

/// Begins as a generator, or as nothing that labels can serve.
fn layers(at: &Builder<'_>, planes: usize, generator: bool) -> Result<Sequence> {
    let s = SequenceBuilder::new(at.clone());
    let s = if generator { s } else { s.act(Act::LeakyRelu) };
    let s = s.pad(PadMode::Reflect, 3).conv(conv(planes, 5, 7))?.act(Act::Relu);
    Ok(s.conv(conv(5, 4, 3))?.norm(NormKind::Batch, 4)?.act(Act::Tanh).finish())
}

fn labels(classes: usize, rest: &Tensor) -> OneHot {
    let ids: Vec<u8> = (0..96).map(|i| ((i * i / 5) % classes) as u8).collect();
    let ids = Tensor::from_vec(ids, (2, 1, 6, 8), &device()).unwrap();
    OneHot::new(&ids, classes, Some(rest), DType::F64).unwrap()
}

fn close(a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 1e-10, "{a} and {b}"));
}

#[test]
fn labels_are_their_planes() {
    // With 3 classes, and behind an activation, the one-hot tensor is materialized.
    for (classes, generator) in [(9, true), (3, true), (9, false)] {
        let (store, net) =
            ParamStore::build(DType::F64, &device(), |b| layers(&b.pp("net"), classes + REST, generator)).unwrap();
        store.init(&Init::default(), key()).unwrap();
        for weights in [Weights::Train, Weights::Frozen] {
            for tracked in [true, false] {
                let rest: Var = images(REST, 1);
                let x = labels(classes, &if tracked { rest.as_tensor().clone() } else { rest.as_detached_tensor() });
                let walk = |input: Input| {
                    store.zero_grad().unwrap();
                    let y = net.forward(input, &ctx(weights)).unwrap();
                    let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                    (numbers(&y), gradients(&store), grads.get(rest.as_tensor()).map(numbers))
                };
                let (y, dw, dx) = walk((&x).into());
                let (want, want_dw, want_dx) = walk((&x.planes().unwrap()).into());
                close(&y, &want);
                close(&dw, &want_dw);
                assert_eq!(dx.is_some(), tracked);
                close(&dx.unwrap_or_default(), &want_dx.unwrap_or_default());
                assert_eq!(dw.iter().any(|v| *v != 0.0), weights == Weights::Train);
            }
        }
        if device().is_cpu() {
            let bf16 = Ctx { precision: Precision::Bf16, ..Ctx::translate() };
            assert!(net.forward(&labels(classes, &images(REST, 1)), &bf16).is_err());
        }
    }
}
