//! A convolution that reads its input's parts and activates them on the way has the bits of one that reads the tensor made of them.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Device, Tensor};
use gan_kernels::act::{Act, act};
use gan_kernels::concat::cat_channels;
use gan_kernels::conv::{
    Conv2d, ConvTranspose2d, Joined, PadMode, conv_transpose2d_act, conv_transpose2d_joined, conv2d_act, conv2d_joined,
};
use gan_kernels::dispatch::{ConvAlgorithm, InstructionSet, force, force_instructions};
use gan_kernels::weight::Weight;
use reference::normal;

fn noise(shape: (usize, usize, usize, usize), seed: u64) -> Tensor {
    normal(shape, seed).to_dtype(DType::F32).unwrap().to_device(&Device::Cpu).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Runs `f` with every algorithm and instruction set, and with what is chosen.
fn each_kernel(f: impl Fn(&str)) {
    use ConvAlgorithm::{Im2col, ImplicitGemm, Portable, Winograd};
    for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
        let _set = force_instructions(set);
        f(&format!("the chosen algorithm, {set:?}"));
        for algorithm in [Portable, ImplicitGemm, Im2col, Winograd] {
            let _algorithm = force(algorithm);
            f(&format!("{algorithm:?}, {set:?}"));
        }
    }
}

/// Calls `f` with inputs `[n, channels, side, side]` in one part and in two.
fn each_input(n: usize, channels: usize, side: usize, f: impl Fn(&Joined<'_>, &Tensor, &str)) {
    let first = noise((n, channels / 3, side, side), 1);
    let second = noise((n, channels - channels / 3, side, side), 2);
    let whole = cat_channels(&[&first, &second]).unwrap();
    assert_eq!(bits(&whole), bits(&Tensor::cat(&[&first, &second], 1).unwrap()));
    for a in [Act::Identity, Act::Relu, Act::LeakyRelu] {
        let made = if a == Act::Identity { whole.clone() } else { act(&whole, a).unwrap() };
        for parts in [&[&whole][..], &[&first, &second]] {
            f(&Joined { parts, act: a }, &made, &format!("{n} images, {} parts, {a:?}", parts.len()));
        }
    }
}

#[test]
fn convolutions() {
    for (n, ci, co, side, kernel, stride, padding, pad_mode) in [
        (1, 6, 9, 13, 4, 2, 1, PadMode::Zero),
        (2, 6, 9, 13, 4, 2, 1, PadMode::Zero),
        (1, 33, 34, 12, 3, 1, 1, PadMode::Reflect),
        (1, 64, 65, 34, 4, 2, 1, PadMode::Zero),
        (1, 66, 64, 24, 4, 2, 1, PadMode::Zero),
        (1, 40, 24, 4, 4, 2, 1, PadMode::Zero),
        (1, 5, 3, 20, 7, 1, 3, PadMode::Replicate),
    ] {
        let spec = Conv2d { stride, padding: [padding; 2], pad_mode, ..Conv2d::default() };
        let weight = Weight::constant(noise((co, ci, kernel, kernel), 3));
        let bias = noise((1, 1, 1, co), 4).flatten_all().unwrap();
        each_kernel(|kernel| {
            each_input(n, ci, side, |x, made, input| {
                let want = conv2d_act(made, &weight, Some(&bias), &spec, Act::Relu).unwrap();
                let have = conv2d_joined(x, &weight, Some(&bias), &spec, Act::Relu).unwrap();
                assert!(bits(&have) == bits(&want), "{ci} to {co} at {side}, {spec:?}, {input}, {kernel}");
            });
        });
    }
}

#[test]
fn transposed_convolutions() {
    for (n, ci, co, side) in
        [(1, 7, 6, 9), (2, 7, 6, 9), (1, 68, 64, 16), (1, 66, 64, 31), (1, 24, 32, 1), (1, 96, 20, 4)]
    {
        let spec = ConvTranspose2d { stride: 2, padding: 1, ..ConvTranspose2d::default() };
        let weight = Weight::constant(noise((ci, co, 4, 4), 3));
        each_kernel(|kernel| {
            each_input(n, ci, side, |x, made, input| {
                let want = conv_transpose2d_act(made, &weight, None, &spec, Act::Tanh).unwrap();
                let have = conv_transpose2d_joined(x, &weight, None, &spec, Act::Tanh).unwrap();
                assert!(bits(&have) == bits(&want), "{ci} to {co} at {side}, {input}, {kernel}");
            });
        });
    }
}

#[test]
fn doubles() {
    let parts = [normal((1, 2, 6, 5), 1), normal((1, 3, 6, 5), 2)].map(|t| t.to_device(&Device::Cpu).unwrap());
    let weight = Weight::constant(normal((4, 5, 3, 3), 3).to_device(&Device::Cpu).unwrap());
    let spec = Conv2d { padding: [1; 2], ..Conv2d::default() };
    let x = Joined { parts: &[&parts[0], &parts[1]], act: Act::LeakyRelu };
    let made = act(&Tensor::cat(&parts, 1).unwrap(), Act::LeakyRelu).unwrap();
    let want = conv2d_act(&made, &weight, None, &spec, Act::Identity).unwrap();
    let have = conv2d_joined(&x, &weight, None, &spec, Act::Identity).unwrap();
    let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    assert_eq!(values(&have), values(&want));
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let (x, other) = (noise((1, 2, 6, 5), 1), noise((1, 2, 5, 6), 2));
    let weight = Weight::constant(noise((4, 4, 3, 3), 3));
    let join = |parts: &[&Tensor]| {
        let x = Joined { parts, act: Act::Identity };
        conv2d_joined(&x, &weight, None, &Conv2d::default(), Act::Identity).unwrap_err().to_string()
    };
    assert!(join(&[&x, &other]).contains("cannot be joined"));
    assert!(join(&[]).contains("no input"));
    assert!(cat_channels(&[&x, &other]).unwrap_err().to_string().contains("more than their channels"));
    assert!(cat_channels(&[]).is_err());
}
