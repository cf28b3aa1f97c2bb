//! Branches, pools, kernels that are not square and named layers, against what they are made of.
#![allow(clippy::unwrap_used, dead_code)]

use crate::network;

use candle_core::{DType, Result, Tensor, Var};
use gan_layers::layers::branches::Branches;
use gan_layers::layers::nested::Nested;
use gan_layers::{
    Act, Builder, ConvSpec, Ctx, Init, ParamStore, Pool2d, RectConvSpec, Sequence, SequenceBuilder, Summary, Weights,
};
use network::{assert_close, check_gradients, ctx, device, key, noise, numbers, weighted};

const KEEP: Pool2d = Pool2d { padding: 1, ..Pool2d::new(3, 1) };
const HALVE: Pool2d = Pool2d::new(3, 2);

fn rect(in_nc: usize, out_nc: usize, kernel: [usize; 2]) -> RectConvSpec {
    RectConvSpec { in_nc, out_nc, kernel, stride: 1, padding: kernel.map(|k| k / 2), bias: true }
}

/// 2 channels to 3, then a block of branches that keep the size, one of which branches again, then one that halves it.
fn layers(at: &Builder<'_>) -> Result<Sequence> {
    let s = SequenceBuilder::new(at.clone()).named("stem").conv(rect(2, 3, [1, 3]))?.act(Act::LeakyRelu);
    let s = s.nested("block", |s| {
        s.branches([
            &|s| Ok(s.named("one").conv(rect(3, 2, [1, 1]))?.act(Act::Relu)),
            &|s| {
                s.named("seven_1")
                    .conv(rect(3, 2, [1, 7]))?
                    .act(Act::LeakyRelu)
                    .branches([&|s| s.named("seven_2a").conv(rect(2, 1, [7, 1])), &|s| {
                        s.named("seven_2b").conv(rect(2, 2, [3, 1]))
                    }])
            },
            &|s| Ok(s),
            &|s| Ok(s.avg_pool(KEEP)),
            &|s| s.max_pool(KEEP).named("pool").conv(rect(3, 1, [1, 1])),
        ])
    })?;
    let halving = ConvSpec { in_nc: 12, out_nc: 2, kernel: 3, stride: 2, padding: 0, bias: true };
    Ok(s.branches([&|s| s.conv(halving), &|s| Ok(s.max_pool(HALVE))])?.finish())
}

fn drawn() -> (ParamStore, Sequence) {
    let (store, net) = ParamStore::build(DType::F64, &device(), layers).unwrap();
    store.init(&Init { init_gain: 0.4, ..Init::default() }, key()).unwrap();
    (store, net)
}

fn input(images: usize) -> Var {
    Var::from_tensor(&noise(&[images, 2, 9, 7], 1)).unwrap()
}

/// The sequences of the branches at node `i`, or inside the nested sequence there.
fn branches(net: &Sequence, i: usize) -> &[Sequence] {
    let layer = &net.nodes()[i].layer;
    match layer.get::<Nested>() {
        Some(Nested(inner)) => branches(inner, 0),
        None => &layer.get::<Branches>().unwrap().0,
    }
}

#[test]
fn outputs_are_those_of_the_branches_side_by_side() {
    let (_, net) = drawn();
    let frozen = ctx(Weights::Frozen);
    let mut want = net.split(2).unwrap().0.forward(&input(2), &frozen).unwrap();
    for i in [2, 3] {
        let parts: Vec<Tensor> = branches(&net, i).iter().map(|b| b.forward(&want, &frozen).unwrap()).collect();
        want = Tensor::cat(&parts, 1).unwrap();
    }
    assert_eq!(want.dims(), [2, 14, 4, 3]);
    for weights in [Weights::Train, Weights::Frozen] {
        let (y, taps) = net.forward_with_taps(&input(2), &ctx(weights), &[2]).unwrap();
        assert_close(&numbers(&y), &numbers(&want), 1e-12, "output");
        assert_eq!(taps[0].dims(), [2, 12, 9, 7]);
        assert_close(&numbers(&net.forward(&input(2), &ctx(weights)).unwrap()), &numbers(&want), 1e-12, "untapped");
    }
}

/// Gradients of one image are views into one tensor, those of several are not.
#[test]
fn gradients_equal_differences() {
    for images in [1, 2] {
        let (store, net) = drawn();
        check_gradients(&store, &input(images), |x, weights| weighted(&net.forward(x, &ctx(weights)).unwrap(), 5));
    }
}

#[test]
fn names_stand_where_modules_have_them() {
    let (store, net) = drawn();
    let state = store.state_dict("").unwrap();
    let names: Vec<&str> = state.iter().map(|(name, _)| name.as_str()).filter(|n| n.ends_with("weight")).collect();
    let block = ["block.one", "block.seven_1", "block.seven_2a", "block.seven_2b", "block.pool"];
    let want: Vec<String> =
        ["stem"].iter().chain(&block).chain(&["0"]).map(|layer| format!("{layer}.weight")).collect();
    assert_eq!(names, want);
    assert_eq!(state.iter().find(|(n, _)| n == "block.seven_1.weight").unwrap().1.dims(), [2, 3, 1, 7]);
    let mut summary = Summary::default();
    assert_eq!(summary.add(&net, (2, 9, 7)).unwrap(), (14, 4, 3));
    let rows: Vec<_> = summary.rows.iter().map(|row| (row.kind.as_str(), row.output)).collect();
    for row in [
        ("Conv 1x7 s1", (2, 9, 7)),
        ("AvgPool 3x3 s1", (3, 9, 7)),
        ("Concat", (12, 9, 7)),
        ("MaxPool 3x3 s2", (12, 4, 3)),
    ] {
        assert!(rows.contains(&row), "{row:?} is not among {rows:?}");
    }
    assert_eq!(summary.params(), state.iter().map(|(_, t)| t.elem_count()).sum::<usize>());
}

#[test]
fn branches_of_several_sizes_are_refused() {
    let net = SequenceBuilder::new(Builder::shapes_only()).branches([&|s| Ok(s), &|s| Ok(s.max_pool(HALVE))]);
    let net = net.unwrap().finish();
    let error = Summary::default().add(&net, (2, 9, 7)).unwrap_err().to_string();
    assert!(error.contains("9 x 7") && error.contains("4 x 3"), "{error}");
    assert!(net.forward(&noise(&[1, 2, 9, 7], 1), &Ctx::eval()).is_err());
}
