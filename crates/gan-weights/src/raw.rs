//! Tensors of element types that candle lacks.

use candle_core::Tensor;
use safetensors::Dtype;

/// An element type that candle has no tensors of, or that it would widen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ElementType {
    /// Booleans, one byte each.
    Bool,
    /// Signed bytes.
    I8,
    /// Unsigned integers of 16 bits.
    U16,
    /// Unsigned integers of 64 bits.
    U64,
    /// `float8_e4m3fn`.
    F8E4M3,
    /// `float8_e5m2`.
    F8E5M2,
    /// `float8_e4m3fnuz`.
    F8E4M3Fnuz,
    /// `float8_e5m2fnuz`.
    F8E5M2Fnuz,
    /// Pairs of F32: real and imaginary part.
    Complex64,
    /// Pairs of F64.
    Complex128,
}

/// What is known of a type: PyTorch's name, bytes of an element, its storage class in module `torch` (without one, files
/// of PyTorch name the type beside an untyped storage), its type in safetensors files.
struct Row(ElementType, &'static str, usize, Option<&'static str>, Option<(&'static str, Dtype)>);

const TABLE: [Row; 10] = [
    Row(ElementType::Bool, "bool", 1, Some("BoolStorage"), Some(("BOOL", Dtype::BOOL))),
    Row(ElementType::I8, "int8", 1, Some("CharStorage"), Some(("I8", Dtype::I8))),
    Row(ElementType::U16, "uint16", 2, None, Some(("U16", Dtype::U16))),
    Row(ElementType::U64, "uint64", 8, None, Some(("U64", Dtype::U64))),
    Row(ElementType::F8E4M3, "float8_e4m3fn", 1, None, Some(("F8_E4M3", Dtype::F8_E4M3))),
    Row(ElementType::F8E5M2, "float8_e5m2", 1, None, Some(("F8_E5M2", Dtype::F8_E5M2))),
    Row(ElementType::F8E4M3Fnuz, "float8_e4m3fnuz", 1, None, Some(("F8_E4M3FNUZ", Dtype::F8_E4M3FNUZ))),
    Row(ElementType::F8E5M2Fnuz, "float8_e5m2fnuz", 1, None, Some(("F8_E5M2FNUZ", Dtype::F8_E5M2FNUZ))),
    Row(ElementType::Complex64, "complex64", 8, Some("ComplexFloatStorage"), Some(("C64", Dtype::C64))),
    Row(ElementType::Complex128, "complex128", 16, Some("ComplexDoubleStorage"), None),
];

impl ElementType {
    fn row(self) -> &'static Row {
        // The table holds every type; its first row would only stand in for one that was forgotten.
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[0])
    }

    /// PyTorch's name of the type.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Bytes of an element.
    #[must_use]
    pub fn width(self) -> usize {
        self.row().2
    }

    /// The class of its storages in module `torch`; `None` for types whose files have untyped storages.
    pub(crate) fn storage_class(self) -> Option<&'static str> {
        self.row().3
    }

    /// Its name in safetensors files, if they can hold it.
    pub(crate) fn safetensors_name(self) -> Option<&'static str> {
        self.row().4.map(|(name, _)| name)
    }

    /// The type of this name in PyTorch.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The type of storages of this class in module `torch`.
    pub(crate) fn of_storage(class: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.3 == Some(class)).map(|row| row.0)
    }

    /// The type of this element type of safetensors files.
    pub(crate) fn of_safetensors(dtype: Dtype) -> Option<Self> {
        TABLE.iter().find(|row| row.4.is_some_and(|(_, known)| known == dtype)).map(|row| row.0)
    }
}

/// A tensor of an element type that candle lacks: its bytes, row by row, little-endian. Such tensors are read, listed and
/// written; no network is built from them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTensor {
    element: ElementType,
    dims: Vec<usize>,
    data: Vec<u8>,
}

impl RawTensor {
    /// A tensor of these dimensions; `None` where `data` is not as long as they say.
    #[must_use]
    pub fn new(element: ElementType, dims: Vec<usize>, data: Vec<u8>) -> Option<Self> {
        let bytes = dims.iter().try_fold(element.width(), |bytes, &size| bytes.checked_mul(size))?;
        (bytes == data.len()).then_some(Self { element, dims, data })
    }

    /// Its element type.
    #[must_use]
    pub fn element(&self) -> ElementType {
        self.element
    }

    /// Its shape.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Its elements, row by row, little-endian.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The number of its elements.
    #[must_use]
    pub fn elem_count(&self) -> usize {
        self.data.len() / self.element.width()
    }
}

/// A tensor that was read.
#[derive(Debug)]
pub(crate) enum Built {
    Tensor(Tensor),
    Raw(RawTensor),
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_type_is_found_by_its_names() {
        for Row(element, name, width, class, safe) in &TABLE {
            assert_eq!(ElementType::named(name), Some(*element));
            assert_eq!((element.name(), element.width(), element.storage_class()), (*name, *width, *class));
            assert_eq!(class.map(|class| ElementType::of_storage(class).unwrap()), class.map(|_| *element));
            assert_eq!(safe.map(|(_, dtype)| ElementType::of_safetensors(dtype).unwrap()), safe.map(|_| *element));
        }
        assert_eq!(ElementType::named("float32"), None);
        assert_eq!(ElementType::of_safetensors(Dtype::F32), None);
    }

    #[test]
    fn bytes_have_to_fill_the_shape() {
        assert_eq!(RawTensor::new(ElementType::U16, vec![2, 3], vec![0; 12]).unwrap().elem_count(), 6);
        assert!(RawTensor::new(ElementType::U16, vec![2, 3], vec![0; 6]).is_none());
        assert!(RawTensor::new(ElementType::U64, vec![usize::MAX, 2], Vec::new()).is_none());
    }
}
