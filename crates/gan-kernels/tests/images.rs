//! Pooling, upsampling, label and instance maps.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::labels::{instance_edges, instance_mean, one_hot};
use gan_kernels::pool::{Pool2d, avg_pool, avg_pool_backward, max_pool, max_pool_backward};
use gan_kernels::upsample::{upsample_nearest, upsample_nearest_backward};
use reference::{assert_close, assert_slope, device, dot, normal, slope, values};

/// Windows that overlap, that do not, that reach over the border, that are padded.
const POOLS: &[Pool2d] = &[
    Pool2d::new(1, 1),
    Pool2d::new(2, 2),
    Pool2d::new(3, 2),
    Pool2d::new(2, 3),
    Pool2d { ceil_mode: true, ..Pool2d::new(2, 2) },
    Pool2d { ceil_mode: true, ..Pool2d::new(3, 2) },
    Pool2d { padding: 1, ..Pool2d::new(3, 1) },
    Pool2d { padding: 1, ..Pool2d::new(3, 2) },
    Pool2d { padding: 2, ceil_mode: true, ..Pool2d::new(5, 3) },
];

const SIZES: [(usize, usize); 6] = [(1, 1), (2, 3), (3, 2), (5, 4), (7, 8), (9, 10)];

/// Calls `f` with the windows of every pooling that fits, and `(n, c, h, w)`.
fn each_pool(f: impl Fn(&Pool2d, (usize, usize, usize, usize))) {
    let mut done = 0;
    for p in POOLS {
        for (h, w) in SIZES.into_iter().filter(|&hw| p.output_hw(hw).is_ok()) {
            f(p, (2, 3, h, w));
            done += 1;
        }
    }
    assert!(done > 40, "{done}");
}

/// `of` the pixels of each window that lie in the image.
fn pooled(x: &Tensor, p: &Pool2d, of: fn(&[f64]) -> f64) -> Tensor {
    let (n, c, h, w) = x.dims4().unwrap();
    let (ho, wo) = p.output_hw((h, w)).unwrap();
    let xs = values(x);
    let inside = |o: usize, k: usize, size: usize| (o * p.stride + k).checked_sub(p.padding).filter(|&at| at < size);
    let out: Vec<f64> = (0..n * c * ho * wo)
        .map(|i| {
            let (ox, oy, plane) = (i % wo, i / wo % ho, i / wo / ho);
            let mut window = Vec::new();
            for (ky, kx) in (0..p.kernel).flat_map(|ky| (0..p.kernel).map(move |kx| (ky, kx))) {
                if let (Some(y), Some(x)) = (inside(oy, ky, h), inside(ox, kx, w)) {
                    window.push(xs[(plane * h + y) * w + x]);
                }
            }
            of(&window)
        })
        .collect();
    Tensor::from_vec(out, (n, c, ho, wo), &device()).unwrap()
}

fn maximum(window: &[f64]) -> f64 {
    window.iter().copied().reduce(f64::max).unwrap()
}

fn average(window: &[f64]) -> f64 {
    window.iter().sum::<f64>() / window.len() as f64
}

#[test]
fn pools_equal_their_definition() {
    each_pool(|p, shape| {
        let x = normal(shape, 1);
        let single = x.to_dtype(DType::F32).unwrap();
        let what = format!("{p:?} {shape:?}");
        assert_close(&max_pool(&x, p).unwrap(), &pooled(&x, p, maximum), 0.0, &what);
        assert_close(&max_pool(&single, p).unwrap(), &pooled(&single, p, maximum), 0.0, &what);
        assert_close(&avg_pool(&x, p).unwrap(), &pooled(&x, p, average), 1e-14, &what);
        assert_close(&avg_pool(&single, p).unwrap(), &pooled(&single, p, average), 1e-6, &what);
    });
}

#[test]
fn gradients_of_pools_equal_differences() {
    each_pool(|p, shape| {
        let (_, _, h, w) = shape;
        let x = normal(shape, 1);
        let dy = normal(max_pool(&x, p).unwrap().shape(), 2);
        for seed in 3..6 {
            let v = normal(shape, seed);
            let what = format!("{p:?} {shape:?}");
            // No two values are near enough for their order to change.
            let expected = slope(&x, &v, 1e-6, |x| dot(&dy, &pooled(x, p, maximum)));
            assert_slope(dot(&max_pool_backward(&x, &dy, p).unwrap(), &v), expected, 1e-7, &what);
            let expected = dot(&dy, &pooled(&v, p, average));
            assert_slope(dot(&avg_pool_backward(&dy, (h, w), p).unwrap(), &v), expected, 1e-12, &what);
        }
        let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        let (have, exact) = (max_pool_backward(&single(&x), &single(&dy), p), max_pool_backward(&x, &dy, p));
        assert_close(&have.unwrap(), &exact.unwrap(), 1e-6, "F32 maximum");
        let (have, exact) = (avg_pool_backward(&single(&dy), (h, w), p), avg_pool_backward(&dy, (h, w), p));
        assert_close(&have.unwrap(), &exact.unwrap(), 1e-6, "F32 average");
    });
}

#[test]
fn the_first_maximum_of_a_window_takes_the_gradient() {
    let x =
        Tensor::new(&[[[[1f64, 5.0, 2.0, 2.0, 9.0], [5.0, 0.0, 2.0, 2.0, 9.0], [7.0, 7.0, 7.0, 7.0, 7.0]]]], &device())
            .unwrap();
    let pairs = Pool2d::new(2, 2);
    assert_eq!(values(&max_pool(&x, &pairs).unwrap()), [5.0, 2.0]);
    let dy = Tensor::new(&[[[[3f64, 4.0]]]], &device()).unwrap();
    let dx = values(&max_pool_backward(&x, &dy, &pairs).unwrap());
    let mut expected = vec![0.0; 15];
    expected[1] = 3.0;
    expected[2] = 4.0;
    assert_eq!(dx, expected);
    // Windows that overlap: the seven on the left is the first of one, the nine of the other.
    let overlapping = Pool2d::new(3, 2);
    assert_eq!(values(&max_pool(&x, &overlapping).unwrap()), [7.0, 9.0]);
    let dx = values(&max_pool_backward(&x, &dy, &overlapping).unwrap());
    let mut expected = vec![0.0; 15];
    expected[10] = 3.0;
    expected[4] = 4.0;
    assert_eq!(dx, expected);
}

/// NaN counts as larger than all numbers, forward and backward.
#[test]
fn what_is_no_number_comes_out_of_a_pool() {
    for p in [Pool2d::new(2, 2), Pool2d::new(3, 2), Pool2d { padding: 1, ..Pool2d::new(3, 1) }] {
        for dtype in [DType::F32, DType::F64] {
            let mut xs = vec![1.0; 49];
            xs[24] = f64::NAN;
            let x = Tensor::from_vec(xs, (1, 1, 7, 7), &device()).unwrap().to_dtype(dtype).unwrap();
            let y = values(&max_pool(&x, &p).unwrap());
            let bad = y.iter().filter(|v| v.is_nan()).count();
            assert!(bad > 0 && bad < y.len() && y.iter().all(|&v| v.is_nan() || v == 1.0), "{p:?} {y:?}");
            let dy = max_pool(&x.ones_like().unwrap(), &p).unwrap();
            assert_eq!(values(&max_pool_backward(&x, &dy, &p).unwrap())[24], bad as f64, "{p:?}");
            assert!(values(&avg_pool(&x, &p).unwrap()).iter().any(|v| v.is_nan()));
        }
    }
}

#[test]
fn impossible_pools_are_errors() {
    let x = normal((1, 1, 1, 4), 1);
    assert!(max_pool(&x, &Pool2d::new(2, 2)).is_err() && avg_pool(&x, &Pool2d::new(2, 2)).is_err());
    let p = Pool2d { padding: 1, ..Pool2d::new(3, 2) };
    let dy = normal((1, 1, 1, 2), 2);
    assert!(avg_pool_backward(&dy, (1, 4), &p).is_ok() && avg_pool_backward(&dy, (3, 4), &p).is_err());
    assert!(max_pool_backward(&x, &dy, &p).is_ok());
    assert!(max_pool_backward(&x, &normal((1, 1, 1, 3), 2), &p).is_err());
    assert!(max_pool_backward(&x, &normal((2, 1, 1, 2), 2), &p).is_err());
    assert!(max_pool(&normal((3, 4), 1), &p).is_err());
}

#[test]
fn upsampling_repeats_and_its_backward_sums() {
    let x = normal((2, 3, 3, 5), 1);
    for factor in [1, 2, 3] {
        let y = upsample_nearest(&x, factor).unwrap();
        assert_eq!(values(&y), values(&x.upsample_nearest2d(3 * factor, 5 * factor).unwrap()));
        let dy = normal(y.shape(), 2);
        let dx = upsample_nearest_backward(&dy, factor).unwrap();
        let v = normal(x.shape(), 3);
        assert_slope(dot(&dx, &v), dot(&dy, &upsample_nearest(&v, factor).unwrap()), 1e-10, "adjoint");
    }
    assert!(upsample_nearest(&x, 0).is_err());
    assert!(upsample_nearest_backward(&x, 2).is_err());
}

#[test]
fn one_hot_planes() {
    let labels = Tensor::new(&[[[[0u8, 2], [1, 2]]], [[[2, 2], [0, 0]]]], &device()).unwrap();
    for labels in [labels.clone(), labels.to_dtype(DType::U32).unwrap()] {
        let planes = one_hot(&labels, 3, DType::F32).unwrap();
        assert_eq!(planes.dims(), [2, 3, 2, 2]);
        let expected = [1, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0].map(f64::from);
        assert_eq!(values(&planes), expected);
        if device().is_cpu() {
            let reason = one_hot(&labels, 2, DType::F32).unwrap_err().to_string();
            assert!(reason.contains("label 2 at image 0, row 0, column 1"), "{reason}");
        } else {
            // Nobody looks at ids on the device: one that is too large leaves zeros.
            let planes = one_hot(&labels, 2, DType::F32).unwrap();
            assert_eq!(values(&planes)[..8], [1., 0., 0., 0., 0., 0., 1., 0.]);
        }
    }
}

#[test]
fn edges_lie_on_both_sides_of_a_boundary() {
    let inst = Tensor::new(&[[[[1u32, 1, 2, 2], [1, 1, 2, 2], [3, 1, 2, 2]]]], &device()).unwrap();
    let edges = instance_edges(&inst, DType::F32).unwrap();
    assert_eq!(values(&edges), [0., 1., 1., 0., 1., 1., 1., 0., 1., 1., 1., 0.]);
}

#[test]
fn instance_means_stay_inside_their_image() {
    let inst = Tensor::new(&[[[[7u32, 9, 7]]], [[[9, 9, 70_000]]]], &device()).unwrap();
    let x = Tensor::new(&[[[[1f64, 2.0, 3.0]], [[4.0, 5.0, 8.0]]], [[[1.0, 3.0, 5.0]], [[0.0, 1.0, 7.0]]]], &device())
        .unwrap();
    let y = instance_mean(&x, &inst).unwrap();
    assert_eq!(values(&y), [2., 2., 2., 6., 5., 6., 2., 2., 5., 0.5, 0.5, 7.]);
    let (a, b) = (normal(x.shape(), 1), normal(x.shape(), 2));
    let left = dot(&instance_mean(&a, &inst).unwrap(), &b);
    assert_slope(left, dot(&a, &instance_mean(&b, &inst).unwrap()), 1e-12, "symmetric");
}
