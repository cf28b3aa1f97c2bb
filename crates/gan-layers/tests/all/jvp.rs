//! Derivatives along a direction and their gradients, against central differences.
#![allow(clippy::unwrap_used)]

use crate::network::{assert_close, check_gradients, ctx, device, images, key, noise, numbers, weighted};

use candle_core::DType;
use gan_layers::{
    Act, ConvSpec, Ctx, Init, Missing, NormKind, PadMode, ParamStore, Sequence, SequenceBuilder, Weights,
};

const NORMS: [NormKind; 4] = [NormKind::None, NormKind::Instance, NormKind::InstanceAffine, NormKind::Batch];

/// A discriminator's layers, with scales and shifts that differ from one and zero.
fn drawn(norm: NormKind) -> (ParamStore, Sequence) {
    let conv = |in_nc, out_nc| ConvSpec { in_nc, out_nc, kernel: 3, stride: 1, padding: 1, bias: true };
    let (store, net) = ParamStore::build(DType::F64, &device(), |b| {
        let s = SequenceBuilder::new(b.clone()).conv(conv(2, 3))?.act(Act::LeakyRelu).blur_pool(3)?;
        let s = s.conv(conv(3, 4))?.norm(norm, 4)?.act(Act::LeakyRelu);
        Ok(s.conv(conv(4, 3))?.norm(norm, 3)?.act(Act::Relu).conv(conv(3, 1))?.finish())
    })
    .unwrap();
    store.init(&Init { init_gain: 0.5, ..Init::default() }, key()).unwrap();
    let moved = store.state_dict("").unwrap().into_iter().zip(10..).map(|((name, t), seed)| {
        let parameter = t.rank() == 1 && !name.contains("running");
        let t = if parameter { (&t + noise(t.dims(), seed)).unwrap() } else { t };
        (name, t)
    });
    store.load("", &moved.collect::<Vec<_>>(), Missing::Refuse).unwrap();
    (store, net)
}

#[test]
fn derivatives_are_those_of_central_differences() {
    for norm in NORMS {
        let (_, net) = drawn(norm);
        let (x, dx) = (images(2, 1).detach(), images(2, 2).detach());
        let (y, dy) = net.jvp(&x, &dx, &Ctx::translate()).unwrap();
        let at = |h: f64| net.forward(&(&x + (&dx * h).unwrap()).unwrap(), &Ctx::translate()).unwrap();
        assert_close(&numbers(&y), &numbers(&at(0.0)), 1e-12, &format!("{norm:?}"));
        let want = ((at(1e-6) - at(-1e-6)).unwrap() / 2e-6).unwrap();
        assert_close(&numbers(&dy), &numbers(&want), 1e-7, &format!("{norm:?}"));
    }
}

#[test]
fn second_derivatives_are_those_of_central_differences() {
    for norm in NORMS {
        let (store, net) = drawn(norm);
        let dx = images(2, 2).detach();
        check_gradients(&store, &images(2, 1), |x, weights| {
            // Without norms the derivative does not depend on `x`, which then would have no gradient at all.
            (weighted(&net.jvp(x, &dx, &ctx(weights)).unwrap().1, 3) + x.sum_all().unwrap()).unwrap()
        });
        let x = images(2, 1).detach();
        check_gradients(&store, &images(2, 2), |dx, weights| weighted(&net.jvp(&x, dx, &ctx(weights)).unwrap().1, 3));
    }
}

#[test]
fn a_bias_in_front_of_an_instance_norm_has_no_second_derivative() {
    let (store, net) = drawn(NormKind::Instance);
    let (_, dy) = net.jvp(&images(2, 1).detach(), &images(2, 2).detach(), &ctx(Weights::Train)).unwrap();
    weighted(&dy, 3).backward().unwrap();
    let zero = |name: &str| {
        let all = store.grad_dict("").unwrap();
        numbers(&all.iter().find(|(n, _)| n == name).unwrap().1).iter().all(|g| *g == 0.0)
    };
    let biases = [("0.bias", false), ("3.bias", true), ("6.bias", true), ("0.weight", false), ("9.weight", false)];
    for (name, none) in biases {
        assert_eq!(zero(name), none, "{name}");
    }
}

#[test]
fn what_has_no_second_derivatives_is_an_error() {
    let x = images(2, 1).detach();
    let batch = drawn(NormKind::Batch).1;
    assert!(batch.jvp(&x, &x, &Ctx::eval()).unwrap_err().to_string().contains("running"));
    let conv = |padding| ConvSpec { in_nc: 2, out_nc: 2, kernel: 3, stride: 1, padding, bias: true };
    type Layers = fn(SequenceBuilder<'_>, ConvSpec) -> candle_core::Result<SequenceBuilder<'_>>;
    let cases: [(Layers, usize, &str); 3] = [
        (|s, conv| Ok(s.conv(conv)?.act(Act::Tanh)), 1, "Tanh"),
        (|s, conv| s.pad(PadMode::Reflect, 1).conv(conv), 0, "zero padding"),
        (|s, conv| Ok(s.conv(conv)?.dropout(0.5)), 1, "layers of discriminators"),
    ];
    for (layers, padding, why) in cases {
        let build = |b: &gan_layers::Builder<'_>| Ok(layers(SequenceBuilder::new(b.clone()), conv(padding))?.finish());
        let (_, net) = ParamStore::build(DType::F64, &device(), build).unwrap();
        let error = net.jvp(&x, &x, &ctx(Weights::Train)).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}
