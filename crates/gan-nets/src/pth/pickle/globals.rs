//! The allow-list of names that a pickle may import.

use candle_core::DType;

use super::super::refusal::{Checked, Refusal};

/// The element type of a storage, as its class names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Element {
    /// The type of the tensors made of it.
    pub(in super::super) dtype: DType,
    /// Whether the elements are booleans, which candle keeps as bytes.
    pub(in super::super) boolean: bool,
}

impl Element {
    /// Size of one element in bytes.
    pub(in super::super) fn width(self) -> usize {
        self.dtype.size_in_bytes()
    }

    const fn of(dtype: DType) -> Self {
        Self { dtype, boolean: false }
    }
}

/// What an allowed name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `torch._utils._rebuild_tensor`, of PyTorch before 0.4.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensorV2,
    /// `torch._utils._rebuild_parameter`.
    RebuildParameter,
    /// A storage class such as `torch.FloatStorage`.
    Storage(Element),
}

impl Global {
    /// Looks `module.name` up; a name that is not on the list refuses the file.
    pub(super) fn named(module: &str, name: &str) -> Checked<Self> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(Element::of(DType::F32)),
            ("torch", "DoubleStorage") => Self::Storage(Element::of(DType::F64)),
            ("torch", "HalfStorage") => Self::Storage(Element::of(DType::F16)),
            ("torch", "BFloat16Storage") => Self::Storage(Element::of(DType::BF16)),
            ("torch", "LongStorage") => Self::Storage(Element::of(DType::I64)),
            ("torch", "IntStorage") => Self::Storage(Element::of(DType::I32)),
            ("torch", "ShortStorage") => Self::Storage(Element::of(DType::I16)),
            ("torch", "ByteStorage") => Self::Storage(Element::of(DType::U8)),
            ("torch", "BoolStorage") => Self::Storage(Element { dtype: DType::U8, boolean: true }),
            _ => return Err(Refusal::Import(printable(module, name))),
        })
    }
}

/// `module.name` fit for an error message: short and without control characters.
fn printable(module: &str, name: &str) -> String {
    const LONGEST: usize = 120;
    let full = format!("{module}.{name}");
    let mut shown: String = full.chars().map(|c| if c.is_control() { '?' } else { c }).take(LONGEST).collect();
    if full.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
