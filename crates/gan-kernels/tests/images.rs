//! Pooling, upsampling, label and instance maps.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::labels::{instance_edges, instance_mean, one_hot};
use gan_kernels::pool::{avg_pool3s2, avg_pool3s2_backward, max_pool2, max_pool2_backward};
use gan_kernels::upsample::{upsample_nearest, upsample_nearest_backward};
use reference::{assert_close, assert_slope, device, dot, normal, values};

#[test]
fn max_pool_takes_the_first_maximum() {
    let x =
        Tensor::new(&[[[[1f64, 5.0, 2.0, 2.0, 9.0], [5.0, 0.0, 2.0, 2.0, 9.0], [7.0, 7.0, 7.0, 7.0, 7.0]]]], &device())
            .unwrap();
    assert_eq!(values(&max_pool2(&x).unwrap()), [5.0, 2.0]);
    let dy = Tensor::new(&[[[[3f64, 4.0]]]], &device()).unwrap();
    let dx = values(&max_pool2_backward(&x, &dy).unwrap());
    let mut expected = vec![0.0; 15];
    expected[1] = 3.0;
    expected[2] = 4.0;
    assert_eq!(dx, expected);
    assert!(max_pool2(&normal((1, 1, 1, 4), 1)).is_err());
}

#[test]
fn average_pool_does_not_count_padding() {
    for (h, w) in [(1, 1), (2, 3), (5, 4), (9, 10)] {
        let x = normal((2, 3, h, w), 1);
        let y = avg_pool3s2(&x).unwrap();
        let (ho, wo) = (h.div_ceil(2), w.div_ceil(2));
        assert_eq!(y.dims(), [2, 3, ho, wo]);
        let xs = values(&x);
        let expected: Vec<f64> = (0..6 * ho * wo)
            .map(|i| {
                let (ox, oy, plane) = (i % wo, i / wo % ho, i / wo / ho);
                let (mut sum, mut count) = (0.0, 0.0);
                for y in (2 * oy).saturating_sub(1)..=(2 * oy + 1).min(h - 1) {
                    for x in (2 * ox).saturating_sub(1)..=(2 * ox + 1).min(w - 1) {
                        sum += xs[(plane * h + y) * w + x];
                        count += 1.0;
                    }
                }
                sum / count
            })
            .collect();
        assert_close(&y.flatten_all().unwrap(), &Tensor::new(expected.as_slice(), &device()).unwrap(), 1e-12, "pool");
        // Linear, so the backward is the adjoint.
        let (v, dy) = (normal(x.shape(), 2), normal(y.shape(), 3));
        let dx = avg_pool3s2_backward(&dy, (h, w)).unwrap();
        assert_slope(dot(&dx, &v), dot(&dy, &avg_pool3s2(&v).unwrap()), 1e-10, "adjoint");
        assert!(avg_pool3s2_backward(&dy, (h + 2, w)).is_err());
    }
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
