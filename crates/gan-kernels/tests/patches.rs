//! Random positions, and features at single pixels.
#![allow(clippy::unwrap_used)]
mod reference;
use candle_core::{DType, Tensor};
use gan_kernels::dropout::MaskKey;
use gan_kernels::patches::{gather, gather_backward, mirrored, mirrored_images, positions};
use gan_rng::{Key, Purpose};
use reference::{assert_slope, device, dot, normal, values};

fn at(positions: &[u32]) -> Tensor {
    Tensor::new(positions, &device()).unwrap()
}

fn numbers(t: &Tensor) -> Vec<u32> {
    t.to_vec1().unwrap()
}

#[test]
fn positions_are_different_ones_and_a_function_of_their_key() {
    let key = Key::new(3, Purpose::Dropout);
    for pixels in [1, 5, 64, 1000, 70_000] {
        let drawn = numbers(&positions(&device(), key, pixels, 256).unwrap());
        assert_eq!(drawn.len(), pixels.min(256));
        let mut sorted = drawn.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), drawn.len());
        assert!(drawn.iter().all(|&p| (p as usize) < pixels));
        let want: Vec<u32> = (0..drawn.len() as u32).map(|i| key.permuted(i, pixels as u32)).collect();
        assert_eq!(drawn, want);
    }
    let named = |name| numbers(&positions(&device(), MaskKey::named(key, name), 4096, 16).unwrap());
    assert_eq!(named("a"), named("a"));
    assert_ne!(named("a"), named("b"));
    assert!(positions(&device(), key, 0, 4).is_err() && positions(&device(), key, 1 << 31, 4).is_err());
}

#[test]
fn mirrored_positions_show_what_the_mirrored_image_shows() {
    let x = normal((2, 3, 4, 5), 1);
    let columns = Tensor::new(&[4u32, 3, 2, 1, 0], &device()).unwrap();
    let flipped = x.index_select(&columns, 3).unwrap();
    assert_eq!(values(&mirrored_images(&x).unwrap()), values(&flipped));
    let p = at(&[0, 4, 7, 12, 19]);
    let have = gather(&x, &mirrored(&p, 5).unwrap()).unwrap();
    assert_eq!(values(&have), values(&gather(&flipped, &p).unwrap()));
    assert_eq!(numbers(&mirrored(&mirrored(&p, 5).unwrap(), 5).unwrap()), numbers(&p));
    assert!(mirrored(&p, 0).is_err());
}

#[test]
fn rows_are_the_features_of_one_image_after_the_other() {
    let x = normal((2, 3, 4, 5), 1);
    let p = at(&[7, 0, 19]);
    let rows = gather(&x, &p).unwrap();
    assert_eq!(rows.dims(), [6, 3]);
    let xs = values(&x);
    let want: Vec<f64> = (0..18)
        .map(|i| {
            let (channel, place, image) = (i % 3, [7, 0, 19][i / 3 % 3], i / 9);
            xs[(image * 3 + channel) * 20 + place]
        })
        .collect();
    assert_eq!(values(&rows), want);
    assert_eq!(values(&gather(&reference::f32(&x), &p).unwrap()), values(&reference::f32(&rows)));
}

#[test]
fn the_gradient_is_added_where_the_rows_come_from() {
    for dtype in [DType::F64, DType::F32] {
        let (x, v) = (normal((2, 3, 4, 5), 1), normal((2, 3, 4, 5), 2));
        let p = at(&[3, 11, 18, 2]);
        let rows = normal((8, 3), 4).to_dtype(dtype).unwrap();
        let into = x.to_dtype(dtype).unwrap().copy().unwrap();
        gather_backward(&rows, &p, &into).unwrap();
        let added =
            (into.to_dtype(DType::F64).unwrap() - x.to_dtype(dtype).unwrap().to_dtype(DType::F64).unwrap()).unwrap();
        assert_slope(dot(&added, &v), dot(&rows, &gather(&v, &p).unwrap()), 1e-5, "adjoint");
        assert_eq!(values(&added).iter().filter(|v| **v != 0.0).count(), 24);
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = normal((1, 2, 3, 3), 1);
    let rows = normal((2, 2), 1);
    assert!(gather(&x, &at(&[])).is_err());
    assert!(gather(&x, &at(&[0]).to_dtype(DType::F32).unwrap()).is_err());
    assert!(gather_backward(&rows, &at(&[0]), &x).is_err());
    if device().is_cpu() {
        let reason = gather(&x, &at(&[3, 9])).unwrap_err().to_string();
        assert!(reason.contains("position 9 in an image of 9 pixels"), "{reason}");
        assert!(gather_backward(&rows, &at(&[0, 9]), &x).is_err());
    }
}
