//! Convolution of one-hot labels without their planes, held against that of the planes.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Device, Tensor};
use gan_kernels::conv::{Conv2d, PadMode};
use gan_kernels::dispatch::{InstructionSet, force_instructions};
#[cfg(feature = "cuda")]
use gan_kernels::elementwise::convert;
use gan_kernels::onehot::{OneHot, OneHotGrads, onehot_conv2d, onehot_conv2d_backward};
use gan_kernels::weight::Weight;
use gan_rng::{Key, Purpose};
use reference::{assert_close, assert_slope, device, dot, f32, normal, slope, values};

struct Case {
    images: usize,
    classes: usize,
    rest: usize,
    channels: usize,
    size: (usize, usize),
    kernel: usize,
    spec: Conv2d,
}

fn spec(stride: usize, padding: usize, pad_mode: PadMode) -> Conv2d {
    Conv2d { stride, padding: [padding; 2], pad_mode, ..Conv2d::default() }
}

/// Strides other than 1 and kernels above 7 are for the CPU.
fn cases() -> Vec<Case> {
    let case = |images, classes, rest, channels, size, kernel, spec| Case {
        images,
        classes,
        rest,
        channels,
        size,
        kernel,
        spec,
    };
    let mut all = vec![
        case(1, 36, 1, 64, (9, 70), 7, spec(1, 3, PadMode::Reflect)),
        case(2, 5, 0, 3, (7, 5), 7, spec(1, 3, PadMode::Reflect)),
        case(1, 12, 4, 48, (33, 40), 7, spec(1, 3, PadMode::Reflect)),
        case(2, 3, 2, 17, (6, 67), 5, spec(1, 2, PadMode::Replicate)),
        case(3, 4, 1, 33, (5, 9), 3, spec(1, 1, PadMode::Zero)),
        case(1, 2, 0, 16, (20, 3), 3, spec(1, 0, PadMode::Zero)),
        case(1, 300, 0, 20, (8, 8), 1, spec(1, 0, PadMode::Zero)),
    ];
    if device().is_cpu() {
        all.push(case(2, 7, 1, 80, (9, 11), 4, spec(2, 2, PadMode::Zero)));
        all.push(case(1, 7, 0, 10, (12, 11), 9, spec(1, 4, PadMode::Reflect)));
    }
    all
}

impl Case {
    /// Labels in patches, with noise.
    fn labels(&self) -> Tensor {
        let (h, w) = self.size;
        let mut stream = Key::new(3, Purpose::Test).stream();
        let ids: Vec<u32> = (0..self.images * h * w)
            .map(|i| {
                let patch = (i / w / 3 * 7 + i % w / 4) % self.classes;
                if stream.uniform() < 0.2 { stream.below(self.classes as u64) as u32 } else { patch as u32 }
            })
            .collect();
        let ids = Tensor::from_vec(ids, (self.images, 1, h, w), &device()).unwrap();
        if self.classes <= 256 { ids.to_dtype(DType::U8).unwrap() } else { ids }
    }

    fn input(&self, dtype: DType) -> OneHot {
        let (h, w) = self.size;
        // Zeros among them, as in planes of edges.
        let rest =
            (self.rest > 0).then(|| normal((self.images, self.rest, h, w), 1).relu().unwrap().to_dtype(dtype).unwrap());
        OneHot::new(&self.labels(), self.classes, rest.as_ref(), dtype).unwrap()
    }

    fn weight(&self) -> Tensor {
        normal((self.channels, self.classes + self.rest, self.kernel, self.kernel), 2)
    }

    fn what(&self, dtype: DType) -> String {
        format!("{} classes + {}, {} channels, {:?} {:?}", self.classes, self.rest, self.channels, self.size, dtype)
    }
}

#[test]
fn sums_of_weights_are_the_convolution_of_the_planes() {
    for case in cases() {
        for (dtype, tolerance) in [(DType::F64, 1e-12), (DType::F32, 3e-6)] {
            let (x, what) = (case.input(dtype), case.what(dtype));
            let planes = x.planes().unwrap();
            assert_eq!(planes.dims(), x.dims());
            let weight = Weight::constant(case.weight().to_dtype(dtype).unwrap());
            let bias = normal(case.channels, 4).to_dtype(dtype).unwrap();
            let host = |t: &Tensor| t.to_device(&Device::Cpu).unwrap();
            let expected = reference::conv2d(&host(&planes), weight.tensor(), Some(&bias), &case.spec);
            for _ in 0..2 {
                let y = onehot_conv2d(&x, &weight, Some(&bias), &case.spec, dtype).unwrap();
                assert_close(&y, &expected, tolerance, &what);
            }
            let y = onehot_conv2d(&x, &weight, None, &case.spec, dtype).unwrap();
            let expected = reference::conv2d(&host(&planes), weight.tensor(), None, &case.spec);
            assert_close(&y, &expected, tolerance, &what);
        }
    }
}

#[test]
fn gradients_are_slopes() {
    for case in cases() {
        let (x, what) = (case.input(DType::F64), case.what(DType::F64));
        let (w, bias) = (case.weight(), normal(case.channels, 4));
        let run = |x: &OneHot, w: &Tensor, bias: &Tensor| {
            onehot_conv2d(x, &Weight::constant(w.clone()), Some(bias), &case.spec, DType::F64).unwrap()
        };
        let dy = normal(run(&x, &w, &bias).shape(), 5);
        // Something is there already: gradients are added.
        let (dw, db) = (normal(w.shape(), 6), normal(case.channels, 7));
        let (dw0, db0) = (dw.copy().unwrap(), db.copy().unwrap());
        let grads = OneHotGrads { rest: true, weight: Some(&dw), bias: Some(&db) };
        let drest = onehot_conv2d_backward(&dy, &x, &Weight::constant(w.clone()), &case.spec, grads).unwrap();
        let v = normal(w.shape(), 8);
        let expected = slope(&w, &v, 1e-3, |w| dot(&run(&x, w, &bias), &dy));
        assert_slope(dot(&(dw - dw0).unwrap(), &v), expected, 1e-8, &format!("weight of {what}"));
        let v = normal(case.channels, 9);
        let expected = slope(&bias, &v, 1e-3, |bias| dot(&run(&x, &w, bias), &dy));
        assert_slope(dot(&(db - db0).unwrap(), &v), expected, 1e-8, &format!("bias of {what}"));
        assert_eq!(drest.is_some(), case.rest > 0);
        if let (Some(drest), Some(rest)) = (drest, x.rest()) {
            let v = normal(rest.shape(), 10);
            let with = |rest: &Tensor| OneHot::new(x.labels(), case.classes, Some(rest), DType::F64).unwrap();
            let expected = slope(rest, &v, 1e-3, |rest| dot(&run(&with(rest), &w, &bias), &dy));
            assert_slope(dot(&drest, &v), expected, 1e-8, &format!("planes of {what}"));
        }
    }
}

/// Every instruction set, and bits that neither it nor the number of threads changes.
#[test]
fn f32_gradients_agree() {
    for case in cases() {
        let what = case.what(DType::F32);
        let (x, exact) = (case.input(DType::F32), case.input(DType::F64));
        let w = case.weight();
        let dy = normal(
            onehot_conv2d(&exact, &Weight::constant(w.clone()), None, &case.spec, DType::F64).unwrap().shape(),
            5,
        );
        let gradient = |x: &OneHot, dy: &Tensor, dtype| {
            let into = Tensor::zeros(w.shape(), dtype, &device()).unwrap();
            let grads = OneHotGrads { weight: Some(&into), ..OneHotGrads::default() };
            let weight = Weight::constant(w.to_dtype(dtype).unwrap());
            assert!(onehot_conv2d_backward(dy, x, &weight, &case.spec, grads).unwrap().is_none());
            into
        };
        let expected = gradient(&exact, &dy, DType::F64);
        let dy = f32(&dy);
        let got = gradient(&x, &dy, DType::F32);
        assert_close(&got, &expected, 3e-6, &what);
        let bits = |t: &Tensor| values(t).iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&gradient(&x, &dy, DType::F32)), bits(&got), "{what}: not reproducible");
        if case.rest > 0 || !device().is_cpu() {
            continue;
        }
        let y = onehot_conv2d(&x, &Weight::constant(f32(&w)), None, &case.spec, DType::F32).unwrap();
        for set in [InstructionSet::Portable, InstructionSet::Avx2] {
            let _guard = force_instructions(set);
            assert_eq!(bits(&gradient(&x, &dy, DType::F32)), bits(&got), "{what}: {set:?}");
            let again = onehot_conv2d(&x, &Weight::constant(f32(&w)), None, &case.spec, DType::F32).unwrap();
            assert_eq!(bits(&again), bits(&y), "{what}: {set:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let labels = Tensor::new(&[[[[0u8, 1, 2], [0, 0, 1]]]], &device()).unwrap();
    let x = OneHot::new(&labels, 3, None, DType::F64).unwrap();
    assert_eq!(x.dims(), [1, 3, 2, 3]);
    if device().is_cpu() {
        let reason = OneHot::new(&labels, 2, None, DType::F64).unwrap_err().to_string();
        assert!(reason.contains("label 2 at image 0, row 0, column 2"), "{reason}");
    }
    assert!(OneHot::new(&labels, 3, Some(&normal((1, 1, 3, 3), 1)), DType::F64).is_err());
    assert!(x.with(&normal((1, 1, 3, 3), 1)).is_err());
    assert!(x.with(&f32(&normal((1, 1, 2, 3), 1))).is_err());
    let more = x.with(&normal((1, 2, 2, 3), 1)).unwrap().with(&normal((1, 1, 2, 3), 1)).unwrap();
    assert_eq!(more.dims(), [1, 6, 2, 3]);
    let spec = spec(1, 1, PadMode::Zero);
    let weight = Weight::constant(normal((4, 4, 3, 3), 1));
    assert!(onehot_conv2d(&x, &weight, None, &spec, DType::F64).is_err());
    let weight = Weight::constant(normal((4, 3, 3, 3), 1));
    assert!(onehot_conv2d(&x, &weight, None, &spec, DType::F32).is_err());
    let dy = normal((1, 4, 2, 2), 1);
    assert!(onehot_conv2d_backward(&dy, &x, &weight, &spec, OneHotGrads::default()).is_err());
}

/// Labels become BF16, with the channels last, by sums in F32.
#[cfg(feature = "cuda")]
#[test]
fn bf16_is_the_rounded_result() {
    if device().is_cpu() {
        return;
    }
    for case in cases() {
        let (x, what) = (case.input(DType::F32), case.what(DType::BF16));
        let weight = Weight::constant(f32(&case.weight()));
        let y = onehot_conv2d(&x, &weight, None, &case.spec, DType::BF16).unwrap();
        assert!(y.dtype() == DType::BF16 && y.permute((0, 2, 3, 1)).unwrap().is_contiguous(), "{what}");
        let expected = onehot_conv2d(&x, &weight, None, &case.spec, DType::F32).unwrap();
        assert_close(&y.contiguous().unwrap(), &expected, 4e-3, &what);
        let dy = convert(&f32(&normal(y.shape(), 5)), DType::BF16).unwrap();
        let gradients = [DType::BF16, DType::F32].map(|dtype| {
            let into = Tensor::zeros(weight.tensor().shape(), DType::F32, &device()).unwrap();
            let grads = OneHotGrads { rest: true, weight: Some(&into), bias: None };
            let dy = convert(&dy, dtype).unwrap();
            let rest = onehot_conv2d_backward(&dy, &x, &weight, &case.spec, grads).unwrap();
            (into, rest.map(|r| convert(&r, DType::F32).unwrap()))
        });
        let [(got, rest), (expected, exact)] = gradients;
        assert_close(&got, &expected, 1e-2, &what);
        if let (Some(rest), Some(exact)) = (rest, exact) {
            assert_close(&rest, &exact, 1e-2, &what);
        }
    }
}
