//! Anti-aliased halving and doubling as layers, and their constant filters.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, Missing, NormKind, ParamStore, Sequence, SequenceBuilder, Summary, Weights,
};
use network::{check_gradients, ctx, device, images, key, numbers, score};

fn conv(in_nc: usize, out_nc: usize) -> ConvSpec {
    ConvSpec { in_nc, out_nc, kernel: 3, stride: 1, padding: 1, bias: true }
}

/// Down and up again, 2 channels to 2.
fn layers(at: &Builder<'_>) -> Result<Sequence> {
    let s = SequenceBuilder::new(at.pp("model")).conv(conv(2, 3))?.norm(NormKind::Instance, 3)?.act(Act::Relu);
    let s = s.blur_pool(3)?.conv(conv(3, 4))?.norm(NormKind::Batch, 4)?.act(Act::LeakyRelu);
    Ok(s.blur_upsample(4)?.conv(conv(4, 2))?.act(Act::Tanh).finish())
}

fn drawn() -> (ParamStore, Sequence) {
    let (store, net) = ParamStore::build(DType::F64, &device(), |b| layers(&b.pp("net"))).unwrap();
    store.init(&Init { init_gain: 0.3, ..Init::default() }, key()).unwrap();
    (store, net)
}

#[test]
fn gradients_are_those_of_central_differences() {
    let (store, net) = drawn();
    check_gradients(&store, &images(2, 1), |x, weights| score(&net.forward(x, &ctx(weights)).unwrap()));
}

#[test]
fn state_dicts_hold_the_filters() {
    let (store, _) = drawn();
    let state = store.state_dict("net.").unwrap();
    let find = |key: &str| state.iter().find(|(k, _)| k == key).map(|(_, t)| t.clone()).unwrap();
    let pool = find("model.3.filt");
    assert_eq!((pool.dims(), pool.dtype()), (&[3, 1, 3, 3][..], DType::F64));
    assert_eq!(numbers(&pool)[..9], [1., 2., 1., 2., 4., 2., 1., 2., 1.].map(|v| v / 16.0));
    let up = find("model.7.filt");
    assert_eq!(up.dims(), [4, 1, 4, 4]);
    assert_eq!(numbers(&up)[48..56], [1., 3., 3., 1., 3., 9., 9., 3.].map(|v| v / 16.0));
    // They are no parameters.
    assert_eq!(store.len(), 3 * 2 * 9 + 3 + 4 * 3 * 9 + 4 + 8 + 2 * 4 * 9 + 2);
    assert!(store.grad_dict("").unwrap().iter().all(|(key, _)| !key.ends_with("filt")));
}

#[test]
fn other_filters_are_refused_and_nothing_is_changed() {
    let (store, net) = drawn();
    let x = images(2, 1).detach();
    let before = numbers(&net.forward(&x, &ctx(Weights::Frozen)).unwrap());
    let state = store.state_dict("net.").unwrap();
    let with = |change: &dyn Fn(&Tensor) -> Option<Tensor>| -> Vec<(String, Tensor)> {
        let changed = |(key, t): &(String, Tensor)| {
            if key == "model.3.filt" {
                Some((key.clone(), change(t)?))
            } else {
                Some((key.clone(), (t * 2.0).unwrap()))
            }
        };
        state.iter().filter(|(key, _)| !key.ends_with("tracked") && key != "model.7.filt").filter_map(changed).collect()
    };
    let other = with(&|t| Some((t * 1.01).unwrap()));
    let error = store.load("net.", &other, Missing::Refuse).unwrap_err().to_string();
    assert!(error.starts_with("model.3.filt: another filter"), "{error}");
    assert_eq!(numbers(&net.forward(&x, &ctx(Weights::Frozen)).unwrap()), before);
    assert_eq!(store.load("net.", &other, Missing::Skip).unwrap(), ["model.3.filt: another filter"]);
    assert!(store.load("net.", &with(&|t| Some(t.narrow(0, 0, 2).unwrap())), Missing::Refuse).is_err());
    // A file may lack them: they say nothing that is not known. BF16 holds them exactly.
    store.load("net.", &with(&|_| None), Missing::Refuse).unwrap();
    store.load("net.", &with(&|t| Some(t.to_dtype(DType::BF16).unwrap())), Missing::Refuse).unwrap();
}

#[test]
fn a_network_for_translation_asks_for_its_filters() {
    let (store, net) = drawn();
    let mut state = store.state_dict("net.").unwrap();
    let build = |state: &[(String, Tensor)]| {
        let tensors = state.iter().cloned().collect();
        layers(&Builder::from(VarBuilder::from_tensors(tensors, DType::F64, &device())))
    };
    let x = images(2, 1).detach();
    let same = build(&state).unwrap();
    assert_eq!(numbers(&same.forward(&x, &Ctx::eval()).unwrap()), numbers(&net.forward(&x, &Ctx::eval()).unwrap()));
    state.retain(|(key, _)| key != "model.7.filt");
    assert!(build(&state).unwrap_err().to_string().contains("model.7.filt"));
}

#[test]
fn sizes_of_summaries_are_those_of_outputs() {
    let (_, net) = drawn();
    let x = images(2, 1).detach();
    let mut summary = Summary::default();
    let (c, h, w) = summary.add(&net, (2, 6, 8)).unwrap();
    assert_eq!(net.forward(&x, &ctx(Weights::Frozen)).unwrap().dims(), [2, c, h, w]);
    assert_eq!(summary.add(&net, (2, 5, 3)).unwrap(), (2, 6, 4));
    assert!(summary.add(&net, (2, 1, 8)).is_err());
}
