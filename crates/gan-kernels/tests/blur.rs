//! Anti-aliased halving and doubling.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::blur::{blur_pool, blur_pool_backward, blur_upsample, blur_upsample_backward};
use gan_kernels::conv::{Conv2d, ConvTranspose2d, PadMode};
use gan_kernels::dispatch::{InstructionSet, force_instructions};
use reference::{assert_close, assert_slope, device, dot, normal, values};

const SHAPES: [(usize, usize, usize, usize); 7] =
    [(1, 1, 2, 2), (2, 3, 2, 3), (1, 2, 3, 2), (2, 1, 5, 4), (1, 3, 9, 10), (2, 2, 16, 17), (1, 64, 33, 40)];

/// A row's products with itself.
fn filter(taps: &[f64], scale: f64) -> Tensor {
    let outer = taps.iter().flat_map(|a| taps.iter().map(move |b| a * b * scale)).collect::<Vec<_>>();
    Tensor::from_vec(outer, (1, 1, taps.len(), taps.len()), &device()).unwrap()
}

/// Every channel as an image of its own.
fn apart(x: &Tensor) -> Tensor {
    let (n, c, h, w) = x.dims4().unwrap();
    x.reshape((n * c, 1, h, w)).unwrap()
}

/// As the reference has it: padding, then a depth-wise convolution.
fn pooled(x: &Tensor) -> Tensor {
    let spec = Conv2d { stride: 2, padding: [1, 1], pad_mode: PadMode::Reflect, ..Conv2d::default() };
    reference::conv2d(&apart(x), &filter(&[1.0, 2.0, 1.0], 1.0 / 16.0), None, &spec)
}

/// As the reference has it: padding, a depth-wise transposed convolution, and the border cut off.
fn upsampled(x: &Tensor) -> Tensor {
    let (_, _, h, w) = x.dims4().unwrap();
    let padded = apart(x).pad_with_same(2, 1, 1).unwrap().pad_with_same(3, 1, 1).unwrap();
    let spec = ConvTranspose2d { stride: 2, padding: 2, ..ConvTranspose2d::default() };
    let y = reference::conv_transpose2d(&padded, &filter(&[1.0, 3.0, 3.0, 1.0], 4.0 / 64.0), None, &spec);
    y.narrow(2, 1, 2 * h).unwrap().narrow(3, 1, 2 * w).unwrap()
}

#[test]
fn halving_is_a_convolution_of_the_reflected_image() {
    for shape in SHAPES {
        let x = normal(shape, 1);
        let y = blur_pool(&x).unwrap();
        assert_eq!(y.dims(), [shape.0, shape.1, shape.2.div_ceil(2), shape.3.div_ceil(2)]);
        assert_close(&apart(&y), &pooled(&x), 1e-14, "blur_pool");
        // Linear, so the backward is the adjoint.
        let (v, dy) = (normal(shape, 2), normal(y.shape(), 3));
        let dx = blur_pool_backward(&dy, (shape.2, shape.3)).unwrap();
        assert_eq!(dx.dims(), x.dims());
        assert_slope(dot(&dx, &v), dot(&dy, &blur_pool(&v).unwrap()), 1e-12, "adjoint");
        assert!(blur_pool_backward(&dy, (shape.2 + 2, shape.3)).is_err());
    }
    assert!(blur_pool(&normal((1, 1, 1, 5), 1)).is_err() && blur_pool(&normal((1, 5, 5), 1)).is_err());
    assert!(blur_pool_backward(&normal((1, 1, 1, 3), 1), (1, 5)).is_err());
}

#[test]
fn doubling_is_a_transposed_convolution_of_the_continued_image() {
    for shape in SHAPES.into_iter().chain([(2, 1, 1, 1), (1, 2, 1, 4)]) {
        let x = normal(shape, 1);
        let y = blur_upsample(&x).unwrap();
        assert_eq!(y.dims(), [shape.0, shape.1, 2 * shape.2, 2 * shape.3]);
        assert_close(&apart(&y), &upsampled(&x), 1e-14, "blur_upsample");
        let (v, dy) = (normal(shape, 2), normal(y.shape(), 3));
        let dx = blur_upsample_backward(&dy).unwrap();
        assert_eq!(dx.dims(), x.dims());
        assert_slope(dot(&dx, &v), dot(&dy, &blur_upsample(&v).unwrap()), 1e-12, "adjoint");
    }
    assert!(blur_upsample_backward(&normal((1, 1, 3, 4), 1)).is_err());
}

/// Every single element of the gradients: an image with one pixel at a time.
#[test]
fn gradients_by_pixels() {
    for (h, w) in [(2, 2), (3, 5), (4, 6)] {
        let at = |i: usize| {
            let mut image = vec![0.0; h * w];
            image[i] = 1.0;
            Tensor::from_vec(image, (1, 1, h, w), &device()).unwrap()
        };
        let column = |f: &dyn Fn(&Tensor) -> Tensor| (0..h * w).map(|i| values(&f(&at(i)))).collect::<Vec<_>>();
        let (pool, up) = (column(&|x| blur_pool(x).unwrap()), column(&|x| blur_upsample(x).unwrap()));
        for (columns, output) in [(pool, (h.div_ceil(2), w.div_ceil(2))), (up, (2 * h, 2 * w))] {
            for o in 0..output.0 * output.1 {
                let mut dy = vec![0.0; output.0 * output.1];
                dy[o] = 1.0;
                let dy = Tensor::from_vec(dy, (1, 1, output.0, output.1), &device()).unwrap();
                let dx = if output.0 > h { blur_upsample_backward(&dy) } else { blur_pool_backward(&dy, (h, w)) };
                let row: Vec<f64> = columns.iter().map(|column| column[o]).collect();
                assert_eq!(values(&dx.unwrap()), row, "{h}x{w}, output {o}");
            }
        }
    }
}

#[test]
fn a_constant_image_stays_constant() {
    let x = Tensor::full(0.7, (1, 2, 6, 5), &device()).unwrap();
    for y in [blur_pool(&x).unwrap(), blur_upsample(&x).unwrap()] {
        assert!(values(&y).iter().all(|v| (v - 0.7).abs() < 1e-15));
    }
}

#[test]
fn f32_follows_f64_on_every_instruction_set() {
    for shape in [(1, 128, 40, 37), (2, 3, 66, 70)] {
        let (x, d) = (normal(shape, 1), normal((shape.0, shape.1, 2 * shape.2, 2 * shape.3), 2));
        let run = |dtype: DType| {
            let (x, d) = (x.to_dtype(dtype).unwrap(), d.to_dtype(dtype).unwrap());
            let half = (shape.2 * 4, shape.3 * 4 - 1);
            [
                blur_pool(&x).unwrap(),
                blur_upsample(&x).unwrap(),
                blur_pool_backward(&d, half).unwrap(),
                blur_upsample_backward(&d).unwrap(),
            ]
        };
        let wide = run(DType::F64);
        for set in [InstructionSet::Portable, InstructionSet::Avx2, InstructionSet::Avx512] {
            let _set = force_instructions(set);
            for (single, wide) in run(DType::F32).iter().zip(&wide) {
                assert_close(single, wide, 1e-6, "F32");
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let x = reference::f32(&normal((2, 5, 30, 31), 1));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let y = blur_pool(&x).unwrap();
            let up = blur_upsample(&x).unwrap();
            let all = [blur_pool_backward(&y, (30, 31)).unwrap(), blur_upsample_backward(&up).unwrap(), y, up];
            all.iter().map(values).collect::<Vec<_>>()
        })
    };
    assert!(run(1) == run(3));
}
