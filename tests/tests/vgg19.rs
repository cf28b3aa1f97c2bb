//! VGG19 against an independent implementation, the one of candle-transformers.
//!
//! That one returns a thousand logits of a 224x224 image and nothing in between. Its layers behind relu5_1 are
//! therefore made transparent: identity convolutions, and a classifier that picks a thousand features of the pooled map.
#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, ModuleT, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::vgg::{Models, Vgg};
use gan_layers::{Builder, ParamStore};
use gan_losses::Vgg19;
use gan_rng::{Key, Purpose};
use std::collections::HashMap;

const LOGITS: usize = 1000;
const HIDDEN: usize = 4096;
const FEATURES: usize = 512 * 7 * 7;

/// A matrix of zeros with a one at each `(row, column)`. The zeros cost no memory until they are read.
fn ones_at(shape: &[usize], at: impl Iterator<Item = usize>) -> Tensor {
    let mut values = vec![0f32; shape.iter().product()];
    at.for_each(|i| values[i] = 1.0);
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// He-distributed weights for the layers up to relu5_1, by torchvision's keys.
fn weights() -> HashMap<String, Tensor> {
    let (store, _) = ParamStore::build(DType::F32, &Device::Cpu, |b: &Builder<'_>| Vgg19::build(b.clone())).unwrap();
    let key = Key::new(19, Purpose::Test);
    let draw = |(name, t): (String, Tensor)| {
        let std = if t.rank() == 4 { (2.0 / (t.elem_count() / t.dims()[0]) as f32).sqrt() } else { 0.1 };
        let mut values = vec![0f32; t.elem_count()];
        key.at_name(&name).fill_normal(0, &mut values);
        values.iter_mut().for_each(|v| *v *= std);
        (name, Tensor::from_vec(values, t.shape(), &Device::Cpu).unwrap())
    };
    store.state_dict("").unwrap().into_iter().map(draw).collect()
}

/// Logit `k` is feature `pick(k)` of the pooled relu5_1, counted in `[512, 7, 7]`.
fn transparent_tail(weights: &mut HashMap<String, Tensor>, pick: impl Fn(usize) -> usize) {
    let mut put = |name: &str, part: &str, t: Tensor| weights.insert(format!("{name}.{part}"), t);
    let zeros = |n: usize| Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap();
    for index in [30, 32, 34] {
        let name = format!("features.{index}");
        put(&name, "weight", ones_at(&[512, 512, 3, 3], (0..512).map(|c| (c * 512 + c) * 9 + 4)));
        put(&name, "bias", zeros(512));
    }
    let first = (0..LOGITS).map(|k| k * FEATURES + pick(k));
    put("pre_logits.fc1", "weight", ones_at(&[HIDDEN, 512, 7, 7], first));
    put("pre_logits.fc1", "bias", zeros(HIDDEN));
    put("pre_logits.fc2", "weight", ones_at(&[HIDDEN, HIDDEN, 1, 1], (0..LOGITS).map(|k| k * HIDDEN + k)));
    put("pre_logits.fc2", "bias", zeros(HIDDEN));
    put("head.fc", "weight", ones_at(&[LOGITS, HIDDEN], (0..LOGITS).map(|k| k * HIDDEN + k)));
    put("head.fc", "bias", zeros(LOGITS));
}

#[test]
fn pooled_relu5_1_agrees() {
    let mut weights = weights();
    let ours = Vgg19::build(VarBuilder::from_tensors(weights.clone(), DType::F32, &Device::Cpu)).unwrap();
    let mut image = vec![0f32; 3 * 224 * 224];
    let mut stream = Key::new(20, Purpose::Test).stream();
    image.iter_mut().for_each(|v| *v = stream.range(-1.0, 1.0) as f32);
    let image = Tensor::from_vec(image, (3, 224, 224), &Device::Cpu).unwrap();

    // All channels and all positions occur: 25 and 49 have no common divisor.
    let pick = |k: usize| k * 25 % FEATURES;
    transparent_tail(&mut weights, pick);
    let theirs = Vgg::new(VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu), Models::Vgg19).unwrap();
    let logits: Vec<f32> = theirs.forward_t(&image, false).unwrap().flatten_all().unwrap().to_vec1().unwrap();

    let features = ours.forward(&image.unsqueeze(0).unwrap()).unwrap();
    let shapes: Vec<_> = features.iter().map(|f| f.dims().to_vec()).collect();
    let want = [[1, 64, 224, 224], [1, 128, 112, 112], [1, 256, 56, 56], [1, 512, 28, 28], [1, 512, 14, 14]];
    assert_eq!(shapes, want);
    let pooled: Vec<f32> = features[4].max_pool2d(2).unwrap().flatten_all().unwrap().to_vec1().unwrap();

    assert_eq!(logits.len(), LOGITS);
    let largest = pooled.iter().fold(0f32, |m, v| m.max(v.abs()));
    let alive = (0..LOGITS).filter(|&k| pooled[pick(k)] > 0.0).count();
    assert!(largest > 0.1 && alive > LOGITS / 2, "{alive} features up to {largest}");
    for (k, logit) in logits.iter().enumerate() {
        let error = (logit - pooled[pick(k)]).abs() / largest;
        assert!(error < 2e-4, "feature {}: {logit} and {}", pick(k), pooled[pick(k)]);
    }
}
