//! The allow-list of names that a pickle may import.

use candle_core::DType;

use super::super::refusal::Refusal;

/// The element type of a storage, as its class names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Element {
    /// Elements of a type that candle has.
    Of(DType),
    /// Booleans, which candle keeps as bytes.
    Bool,
    /// Elements of a type that candle lacks: its name, and its size in bytes. Such a storage may lie beside the weights.
    Other(&'static str, usize),
}

impl Element {
    /// Size of one element in bytes.
    pub(in super::super) fn width(self) -> usize {
        match self {
            Self::Of(dtype) => dtype.size_in_bytes(),
            Self::Bool => 1,
            Self::Other(_, width) => width,
        }
    }

    /// Name of the type, for messages.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Of(dtype) => dtype.as_str(),
            Self::Bool => "bool",
            Self::Other(name, _) => name,
        }
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
    /// `torch._utils._rebuild_parameter_with_state`.
    RebuildParameterWithState,
    /// `torch._tensor._rebuild_from_type_v2`, for tensors of a class of their own.
    RebuildFromType,
    /// `_codecs.encode`, by which protocol 2 spells bytes.
    Encode,
    /// A storage class such as `torch.FloatStorage`.
    Storage(Element),
}

impl Global {
    /// Looks `module.name` up.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensorV2,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch._utils", "_rebuild_parameter_with_state") => Self::RebuildParameterWithState,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("_codecs", "encode") => Self::Encode,
            ("torch", class) => Self::Storage(match class {
                "FloatStorage" => Element::Of(DType::F32),
                "DoubleStorage" => Element::Of(DType::F64),
                "HalfStorage" => Element::Of(DType::F16),
                "BFloat16Storage" => Element::Of(DType::BF16),
                "LongStorage" => Element::Of(DType::I64),
                "IntStorage" => Element::Of(DType::I32),
                "ShortStorage" => Element::Of(DType::I16),
                "ByteStorage" => Element::Of(DType::U8),
                "BoolStorage" => Element::Bool,
                "CharStorage" => Element::Other("int8", 1),
                "ComplexFloatStorage" => Element::Other("complex64", 8),
                "ComplexDoubleStorage" => Element::Other("complex128", 16),
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// The refusal of a pickle that imports `module.name`, which is shown short and without control characters.
pub(super) fn forbidden(module: &str, name: &str) -> Refusal {
    const LONGEST: usize = 120;
    let full = format!("{module}.{name}");
    let mut shown: String = full.chars().map(|c| if c.is_control() { '?' } else { c }).take(LONGEST).collect();
    if full.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    Refusal::Import(shown)
}
