//! What is computed in bands of rows has the bits of the whole.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Device, Tensor};
use gan_kernels::act::Act;
use gan_kernels::bands::{BandedConv, Bands, Window};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, PadMode, conv_transpose2d_act, conv2d_act};
use gan_kernels::dispatch::{ConvAlgorithm, InstructionSet, force, force_instructions};
use gan_kernels::norm::{Group, MomentsOfRows, Norm, norm};
use gan_kernels::onehot::{BandedOneHotConv, OneHot, onehot_conv2d};
use gan_kernels::weight::Weight;
use reference::normal;
use std::ops::Range;

const SETS: [InstructionSet; 3] = [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512];

fn noise(shape: (usize, usize, usize, usize), seed: u64) -> Tensor {
    normal(shape, seed).to_dtype(DType::F32).unwrap().to_device(&Device::Cpu).unwrap()
}

fn bits(t: &Tensor) -> Vec<u32> {
    t.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
}

/// Compares the whole with bands of several heights.
fn assert_same(what: &str, whole: &Tensor, bands: Bands, compute: impl Fn(&Range<usize>) -> Tensor) {
    assert_eq!(bands.height(), whole.dim(2).unwrap(), "{what}");
    for count in [1, 9, 1000] {
        let (mut start, mut parts) = (0, Vec::new());
        while start < bands.height() {
            let rows = start..bands.ceil((start + count).min(bands.height()));
            parts.push(compute(&rows));
            start = rows.end;
        }
        let joined = Tensor::cat(&parts, 2).unwrap();
        assert!(bits(&joined) == bits(whole), "{what}: bands of {count} rows differ");
    }
}

#[test]
fn convolutions() {
    let (zero, reflect, replicate) = (PadMode::Zero, PadMode::Reflect, PadMode::Replicate);
    let mut banded = 0;
    for (ci, co, h, w, kernel, stride, padding, mode) in [
        (3, 8, 37, 29, 7, 1, 3, reflect),
        (24, 3, 33, 17, 7, 1, 3, reflect),
        (70, 9, 41, 15, 5, 1, 2, replicate),
        (32, 33, 31, 22, 3, 1, 1, reflect),
        (40, 32, 29, 18, 3, 1, 1, zero),
        (32, 32, 27, 20, 3, 1, 1, replicate),
        (33, 32, 30, 19, 4, 1, 1, zero),
        (64, 64, 67, 70, 3, 2, 1, zero),
        (64, 64, 66, 69, 4, 2, 1, zero),
        (5, 12, 43, 21, 4, 2, 1, zero),
        (5, 12, 44, 23, 3, 2, 1, reflect),
        (64, 64, 24, 24, 4, 2, 1, zero),
        (33, 64, 9, 9, 3, 1, 1, zero),
        (4, 6, 19, 23, 1, 1, 0, zero),
    ] {
        let spec = Conv2d { stride, padding: [padding; 2], pad_mode: mode, ..Conv2d::default() };
        let (x, bias) = (noise((1, ci, h, w), 1), noise((1, 1, 1, co), 3).flatten_all().unwrap());
        let weight = Weight::constant(noise((co, ci, kernel, kernel), 2));
        for set in SETS {
            let _set = force_instructions(set);
            for act in [Act::Identity, Act::Tanh] {
                let what = format!("{ci} to {co} channels, {h}x{w}, {kernel}x{kernel} by {stride}, {mode:?}, {set:?}");
                let whole = conv2d_act(&x, &weight, Some(&bias), &spec, act).unwrap();
                let conv = BandedConv::conv2d([ci, h, w], weight.tensor(), &spec).unwrap();
                banded += usize::from(conv.bands().ceil(1) < conv.bands().height());
                assert_same(&what, &whole, conv.bands(), |rows| {
                    let seen = conv.reads(rows);
                    let window = x.narrow(2, seen.start, seen.len()).unwrap();
                    let window = Window { rows: &window, first: seen.start };
                    conv.forward(&window, &weight, Some(&bias), act, rows).unwrap()
                });
            }
        }
    }
    assert!(banded > 60, "only {banded} convolutions were cut");
}

#[test]
fn transposed_convolutions() {
    let mut banded = 0;
    for (ci, co, h, w, kernel, output_padding) in [
        (16, 8, 23, 17, 3, 1),
        (16, 3, 22, 19, 4, 0),
        (64, 64, 37, 41, 3, 1),
        (64, 64, 35, 33, 4, 0),
        (64, 70, 12, 12, 4, 0),
    ] {
        let spec = ConvTranspose2d { stride: 2, padding: 1, output_padding, ..ConvTranspose2d::default() };
        let x = noise((1, ci, h, w), 1);
        let weight = Weight::constant(noise((ci, co, kernel, kernel), 2));
        for set in SETS {
            let _set = force_instructions(set);
            let what = format!("{ci} to {co} channels, {h}x{w}, {kernel}x{kernel}, {set:?}");
            let whole = conv_transpose2d_act(&x, &weight, None, &spec, Act::Relu).unwrap();
            let conv = BandedConv::conv_transpose2d([ci, h, w], weight.tensor(), &spec).unwrap();
            banded += usize::from(conv.bands().ceil(1) < conv.bands().height());
            assert_same(&what, &whole, conv.bands(), |rows| {
                let seen = conv.reads(rows);
                let window = x.narrow(2, seen.start, seen.len()).unwrap();
                let window = Window { rows: &window, first: seen.start };
                conv.forward(&window, &weight, None, Act::Relu, rows).unwrap()
            });
        }
    }
    assert!(banded > 10, "only {banded} convolutions were cut");
}

#[test]
fn forced_algorithms_are_those_of_the_whole() {
    let (x, weight) = (noise((1, 64, 40, 30), 1), Weight::constant(noise((64, 64, 3, 3), 2)));
    let spec = Conv2d { padding: [1; 2], ..Conv2d::default() };
    let mut seen = Vec::new();
    for algorithm in
        [ConvAlgorithm::Portable, ConvAlgorithm::ImplicitGemm, ConvAlgorithm::Im2col, ConvAlgorithm::Winograd]
    {
        let _forced = force(algorithm);
        let whole = conv2d_act(&x, &weight, None, &spec, Act::Identity).unwrap();
        let conv = BandedConv::conv2d([64, 40, 30], weight.tensor(), &spec).unwrap();
        assert_same(&format!("{algorithm:?}"), &whole, conv.bands(), |rows| {
            let window = Window { rows: &x, first: 0 };
            conv.forward(&window, &weight, None, Act::Identity, rows).unwrap()
        });
        seen.push(bits(&whole));
    }
    seen.dedup();
    assert!(seen.len() > 2, "the algorithms round alike: the test tests nothing");
}

#[test]
fn labels() {
    for rest in [None, Some(noise((1, 2, 31, 26), 4))] {
        let ids: Vec<u8> = (0..31 * 26).map(|i| (i * 7 % 12) as u8).collect();
        let ids = Tensor::from_vec(ids, (1, 1, 31, 26), &Device::Cpu).unwrap();
        let x = OneHot::new(&ids, 12, rest.as_ref(), DType::F32).unwrap();
        let weight = Weight::constant(noise((16, x.dims()[1], 7, 7), 2));
        let spec = Conv2d { padding: [3; 2], pad_mode: PadMode::Reflect, ..Conv2d::default() };
        for set in SETS {
            let _set = force_instructions(set);
            let whole = onehot_conv2d(&x, &weight, None, &spec, DType::F32).unwrap();
            let channels = (12, rest.as_ref().map_or(0, |rest| rest.dims()[1]));
            let conv = BandedOneHotConv::new(channels, (31, 26), &weight, &spec).unwrap();
            assert_eq!(conv.output(), [16, 31, 26]);
            assert_same("labels", &whole, conv.bands(), |rows| {
                let seen = conv.reads(rows);
                conv.forward(&x.rows(&seen).unwrap(), seen.start, &weight, None, rows).unwrap()
            });
            // A row too few.
            let (rows, seen) = (0..conv.bands().ceil(9), conv.reads(&(0..conv.bands().ceil(9))));
            let short = x.rows(&(seen.start + 1..seen.end)).unwrap();
            assert!(conv.forward(&short, seen.start + 1, &weight, None, &rows).is_err());
        }
    }
}

#[test]
fn statistics() {
    let (h, w) = (131, 97);
    let x = noise((1, 3, h, w), 1);
    for set in SETS {
        let _set = force_instructions(set);
        for group in [Group::Instance, Group::Batch] {
            let spec = Norm { group, eps: 1e-5, act: Act::Identity };
            let (_, whole) = norm(&x, &spec, None, None).unwrap();
            for count in [1, 40, 43, 131] {
                let mut moments = MomentsOfRows::new(3);
                for first in (0..h).step_by(count) {
                    moments.add(&x.narrow(2, first, count.min(h - first)).unwrap()).unwrap();
                }
                let moments = moments.finish().unwrap();
                assert_eq!(bits(&moments.mean), bits(&whole.mean), "mean of {count} rows at a time");
                assert_eq!(bits(&moments.var), bits(&whole.var), "variance of {count} rows at a time");
            }
        }
    }
    assert!(MomentsOfRows::new(2).add(&x).is_err());
}

#[test]
fn rows_that_are_lacking_are_an_error() {
    let (x, weight) = (noise((1, 4, 20, 10), 1), Weight::constant(noise((4, 4, 3, 3), 2)));
    let conv = BandedConv::conv2d([4, 20, 10], weight.tensor(), &Conv2d::default()).unwrap();
    let window = x.narrow(2, 1, 19).unwrap();
    let window = Window { rows: &window, first: 1 };
    let rows = 0..conv.bands().ceil(1);
    let error = conv.forward(&window, &weight, None, Act::Identity, &rows).unwrap_err().to_string();
    assert!(error.contains("are not those of 4 channels by 10"), "{error}");
    let error = conv.forward(&window, &weight, None, Act::Identity, &(3..3)).unwrap_err().to_string();
    assert!(error.contains("no whole bands"), "{error}");
}

/// Bands of these many rows by the operators of a device, held against the whole.
fn assert_near(what: &str, whole: &Tensor, compute: impl Fn(&Range<usize>) -> Tensor) {
    let height = whole.dim(2).unwrap();
    for count in [1, 5, height] {
        let bands = (0..height).step_by(count).map(|start| start..(start + count).min(height));
        let parts: Vec<Tensor> = bands.map(|rows| compute(&rows)).collect();
        let far = (Tensor::cat(&parts, 2).unwrap() - whole).unwrap().abs().unwrap().flatten_all().unwrap();
        let (far, range) = (far.max(0).unwrap(), whole.abs().unwrap().flatten_all().unwrap().max(0).unwrap());
        let (far, range) = (far.to_scalar::<f32>().unwrap(), range.to_scalar::<f32>().unwrap());
        assert!(far <= 1e-5 * range, "{what}: bands of {count} rows differ by {far} of {range}");
    }
}

#[test]
fn composed_bands_are_those_of_the_whole_but_for_rounding() {
    let device = gan_kernels::device::test_device().unwrap();
    let there = |t: Tensor| t.to_device(&device).unwrap();
    let (zero, reflect, replicate) = (PadMode::Zero, PadMode::Reflect, PadMode::Replicate);
    for (ci, co, h, w, kernel, stride, padding, mode) in [
        (3, 8, 17, 13, 7, 1, 3, reflect),
        (3, 4, 9, 12, 5, 1, 4, reflect),
        (5, 4, 11, 9, 3, 1, 1, replicate),
        (32, 32, 14, 12, 3, 1, 1, zero),
        (4, 6, 12, 10, 4, 1, 2, reflect),
        (4, 6, 13, 10, 4, 2, 1, zero),
        (4, 6, 14, 11, 3, 2, 1, zero),
        (4, 6, 12, 11, 4, 2, 1, reflect),
        (4, 6, 9, 7, 1, 1, 0, zero),
    ] {
        let spec = Conv2d { stride, padding: [padding; 2], pad_mode: mode, ..Conv2d::default() };
        let (x, bias) = (there(noise((1, ci, h, w), 1)), there(noise((1, 1, 1, co), 3).flatten_all().unwrap()));
        let weight = Weight::constant(there(noise((co, ci, kernel, kernel), 2)));
        let whole = conv2d_act(&x, &weight, Some(&bias), &spec, Act::Relu).unwrap();
        let conv = BandedConv::conv2d([ci, h, w], weight.tensor(), &spec).unwrap().composed();
        assert_eq!((conv.bands(), conv.packed_bytes()), (Bands::every(1, whole.dim(2).unwrap()), 0));
        assert_near(&format!("{kernel}x{kernel} by {stride} of {h}x{w}, {mode:?}"), &whole, |rows| {
            let seen = conv.reads(rows);
            let rows_seen = x.narrow(2, seen.start, seen.len()).unwrap();
            let window = Window { rows: &rows_seen, first: seen.start };
            conv.forward(&window, &weight, Some(&bias), Act::Relu, rows).unwrap()
        });
    }
    for (ci, co, h, w, kernel, stride, padding, output_padding) in [
        (6, 4, 9, 7, 3, 2, 1, 1),
        (6, 4, 8, 7, 4, 2, 1, 0),
        (6, 4, 8, 5, 3, 2, 1, 0),
        (3, 5, 7, 6, 3, 1, 1, 0),
        (3, 5, 6, 6, 2, 2, 0, 0),
    ] {
        let spec = ConvTranspose2d { stride, padding, output_padding, ..ConvTranspose2d::default() };
        let x = there(noise((1, ci, h, w), 1));
        let weight = Weight::constant(there(noise((ci, co, kernel, kernel), 2)));
        let whole = conv_transpose2d_act(&x, &weight, None, &spec, Act::Identity).unwrap();
        let conv = BandedConv::conv_transpose2d([ci, h, w], weight.tensor(), &spec).unwrap().composed();
        assert_near(&format!("transposed {kernel}x{kernel} by {stride} of {h}x{w}"), &whole, |rows| {
            let seen = conv.reads(rows);
            let rows_seen = x.narrow(2, seen.start, seen.len()).unwrap();
            let window = Window { rows: &rows_seen, first: seen.start };
            conv.forward(&window, &weight, None, Act::Identity, rows).unwrap()
        });
    }
    // Statistics of bands that are merged, of values far from zero.
    let x = there((noise((1, 3, 50, 41), 1) + 100.0).unwrap());
    let spec = Norm { group: Group::Instance, eps: 1e-5, act: Act::Identity };
    let (_, whole) = norm(&x, &spec, None, None).unwrap();
    let mut moments = MomentsOfRows::merged(3);
    for first in (0..50).step_by(7) {
        moments.add(&x.narrow(2, first, 7.min(50 - first)).unwrap().contiguous().unwrap()).unwrap();
    }
    let moments = moments.finish().unwrap();
    for (merged, whole) in [(&moments.mean, &whole.mean), (&moments.var, &whole.var)] {
        for (a, b) in merged.to_vec1::<f32>().unwrap().iter().zip(whole.to_vec1::<f32>().unwrap()) {
            assert!((a - b).abs() <= 1e-5 * b.abs(), "{a} {b}");
        }
    }
}
