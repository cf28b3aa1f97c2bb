//! From a tensor's description to a tensor.

use std::ops::Neg;

use candle_core::{DType, Device, Tensor, WithDType};
use half::{bf16, f16};

use super::budget::Budget;
use super::pickle::{Element, StorageRef, TensorRef};
use super::refusal::{Checked, Refusal};
use crate::limits::check_shape;
use crate::raw::Built;
use crate::{ElementType, RawTensor};

/// Copies the elements that `tensor` sees of its storage (`data`, all of it) into a contiguous tensor in host memory.
pub(super) fn build(tensor: &TensorRef, storage: &StorageRef<'_>, data: &[u8], budget: &mut Budget) -> Checked<Built> {
    let width = tensor.element.width();
    let visible = visible(storage, data)?;
    let count = check_bounds(tensor, visible.len() / width)?;
    budget.take((count as u64).saturating_mul(width as u64), "a tensor")?;
    // Elements are decoded straight into the vector that becomes the tensor: candle's conversion from bytes would
    // copy once more, and twice where the bytes happen not to be aligned.
    let view = View { tensor, visible, count };
    let built = match tensor.element {
        Element::Of(DType::F32) => view.signed(f32::from_le_bytes),
        Element::Of(DType::F64) => view.signed(f64::from_le_bytes),
        Element::Of(DType::F16) => view.signed(f16::from_le_bytes),
        Element::Of(DType::BF16) => view.signed(bf16::from_le_bytes),
        // PyTorch sets these flags on floats and complex numbers alone.
        _ if tensor.negative
            && !matches!(tensor.element, Element::Raw(ElementType::Complex64 | ElementType::Complex128)) =>
        {
            return Err(Refusal::Damaged(format!("a tensor of {} with the other sign", tensor.element.name())));
        }
        Element::Of(DType::I64) => view.decode(i64::from_le_bytes),
        Element::Of(DType::I32) => view.decode(i32::from_le_bytes),
        Element::Of(DType::U32) => view.decode(u32::from_le_bytes),
        Element::Of(DType::I16) => view.decode(i16::from_le_bytes),
        Element::Of(DType::U8) => view.decode(u8::from_le_bytes),
        Element::Raw(element) => return view.raw(element).map(Built::Raw),
        other => Err(Refusal::Unsupported(
            format!("tensors of {} are not supported", other.name()),
            "convert them to a float type before saving",
        )),
    };
    built.map(Built::Tensor)
}

/// A tensor whose bounds have been checked, over the bytes that it may see.
struct View<'v> {
    tensor: &'v TensorRef,
    visible: &'v [u8],
    count: usize,
}

impl View<'_> {
    /// As [`View::decode`], with the other sign where the tensor has it.
    fn signed<T: WithDType + Neg<Output = T>, const N: usize>(&self, from: impl Fn([u8; N]) -> T) -> Checked<Tensor> {
        if self.tensor.negative { self.decode(|bytes| -from(bytes)) } else { self.decode(from) }
    }

    /// The tensor of the elements that `from` makes of `N` bytes each.
    fn decode<T: WithDType, const N: usize>(&self, from: impl Fn([u8; N]) -> T) -> Checked<Tensor> {
        let (stored, _) = self.visible.as_chunks::<N>();
        let elements = if self.count == 0 {
            Vec::new()
        } else if is_contiguous(self.tensor) {
            let start = self.tensor.offset;
            stored[start..start + self.count].iter().map(|&bytes| from(bytes)).collect()
        } else {
            self.gather(|at| from(stored[at]))
        };
        Tensor::from_vec(elements, self.tensor.size.as_slice(), &Device::Cpu).map_err(Refusal::Candle)
    }

    /// The bytes of the elements of a type that candle lacks, with the signs that the tensor's flags ask for.
    fn raw(&self, element: ElementType) -> Checked<RawTensor> {
        let width = element.width();
        let mut data = if is_contiguous(self.tensor) && self.count > 0 {
            let start = self.tensor.offset;
            self.visible[start * width..(start + self.count) * width].to_vec()
        } else if self.count > 0 {
            let mut data = Vec::with_capacity(self.count * width);
            self.each(|at| data.extend_from_slice(&self.visible[at * width..(at + 1) * width]));
            data
        } else {
            Vec::new()
        };
        if let ElementType::Complex64 | ElementType::Complex128 = element {
            // The sign of a float is the highest bit of its last byte.
            let (real, imaginary) = (self.tensor.negative, self.tensor.negative != self.tensor.conjugate);
            for number in data.chunks_exact_mut(width) {
                number[width / 2 - 1] ^= u8::from(real) << 7;
                number[width - 1] ^= u8::from(imaginary) << 7;
            }
        }
        RawTensor::new(element, self.tensor.size.clone(), data)
            .ok_or_else(|| Refusal::Damaged("a tensor's elements do not fill its shape".into()))
    }

    /// The elements of a strided view in row-major order.
    fn gather<T>(&self, element: impl Fn(usize) -> T) -> Vec<T> {
        let mut gathered = Vec::with_capacity(self.count);
        self.each(|at| gathered.push(element(at)));
        gathered
    }

    /// Calls `f` with the place of each element in the storage, in row-major order.
    fn each(&self, mut f: impl FnMut(usize)) {
        let TensorRef { size, stride, offset, .. } = self.tensor;
        let mut index = vec![0; size.len()];
        let mut at = *offset;
        for _ in 0..self.count {
            f(at);
            // Counts up like an odometer: the last dimension fastest.
            for dimension in (0..index.len()).rev() {
                index[dimension] += 1;
                at += stride[dimension];
                if index[dimension] < size[dimension] {
                    break;
                }
                at -= stride[dimension] * index[dimension];
                index[dimension] = 0;
            }
        }
    }
}

/// The part of a storage that its tensors may refer to.
fn visible<'d>(storage: &StorageRef<'_>, data: &'d [u8]) -> Checked<&'d [u8]> {
    let width = storage.element.width();
    let whole = &data[..data.len().min(storage.count.saturating_mul(width))];
    let Some((start, length)) = storage.view else { return Ok(whole) };
    let range = start.checked_add(length).and_then(|end| Some(start.checked_mul(width)?..end.checked_mul(width)?));
    range
        .and_then(|range| whole.get(range))
        .ok_or_else(|| Refusal::Damaged("a storage view reaches beyond its storage".into()))
}

/// The number of elements of `tensor`, all of which lie within `available`.
fn check_bounds(tensor: &TensorRef, available: usize) -> Checked<usize> {
    if tensor.size.contains(&0) {
        // Nothing is read, but the sizes are computed with.
        check_shape(&tensor.size).map_err(|error| Refusal::Damaged(format!("a tensor: {error}")))?;
        return Ok(0);
    }
    let outside = || Refusal::Damaged(format!("a tensor of size {:?} reaches beyond its storage", tensor.size));
    let mut count = 1_usize;
    let mut last = tensor.offset;
    for (&size, &stride) in tensor.size.iter().zip(&tensor.stride) {
        count = count.checked_mul(size).ok_or_else(outside)?;
        last = (size - 1).checked_mul(stride).and_then(|step| last.checked_add(step)).ok_or_else(outside)?;
    }
    if last < available { Ok(count) } else { Err(outside()) }
}

fn is_contiguous(tensor: &TensorRef) -> bool {
    let mut expected = 1;
    for (&size, &stride) in tensor.size.iter().zip(&tensor.stride).rev() {
        if size != 1 && stride != expected {
            return false;
        }
        expected *= size;
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Two complex numbers of these flags: a conjugate has the other sign of its imaginary part, a negative tensor that of both, and
    /// both together that of the real part.
    #[test]
    fn the_signs_of_complex_numbers() {
        let numbers = [1f32, 2.0, -3.0, 4.0];
        let data: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let element = Element::Raw(ElementType::Complex64);
        let storage = StorageRef { key: "0", element, count: 2, view: None };
        let signs = [(false, false, [1, 1]), (false, true, [1, -1]), (true, false, [-1, -1]), (true, true, [-1, 1])];
        for (negative, conjugate, [real, imaginary]) in signs {
            for (size, stride) in [(vec![2], vec![1]), (vec![1, 2], vec![7, 1])] {
                let tensor = TensorRef { storage: 0, element, negative, conjugate, offset: 0, size, stride };
                let built = build(&tensor, &storage, &data, &mut Budget::for_file(0)).unwrap();
                let Built::Raw(built) = built else { panic!("{built:?}") };
                let read: Vec<f32> =
                    built.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
                let expected: Vec<f32> =
                    numbers.chunks(2).flat_map(|n| [n[0] * real as f32, n[1] * imaginary as f32]).collect();
                assert_eq!(read, expected, "negative {negative}, conjugate {conjugate}");
            }
        }
    }
}
