//! The allow-list of names that a pickle may import.

use candle_core::DType;

use super::super::refusal::Refusal;
use crate::ElementType;

/// The element type of a storage, as its class names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Element {
    /// Elements of a type that candle has.
    Of(DType),
    /// Elements of a type that candle lacks.
    Raw(ElementType),
    /// Quantized elements of so many bytes. They mean nothing without their scale, so such a storage only lies beside the
    /// weights.
    Quantized(u8),
}

impl Element {
    /// Size of one element in bytes.
    pub(in super::super) fn width(self) -> usize {
        match self {
            Self::Of(dtype) => dtype.size_in_bytes(),
            Self::Raw(element) => element.width(),
            Self::Quantized(width) => width.into(),
        }
    }

    /// Name of the type, for messages.
    pub(in super::super) fn name(self) -> &'static str {
        match self {
            Self::Of(dtype) => dtype.as_str(),
            Self::Raw(element) => element.name(),
            Self::Quantized(_) => "quantized elements",
        }
    }

    /// The type that PyTorch calls `torch.{name}`, if its tensors can be read.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(Self::Of(match name {
            "float32" => DType::F32,
            "float64" => DType::F64,
            "float16" => DType::F16,
            "bfloat16" => DType::BF16,
            "int64" => DType::I64,
            "int32" => DType::I32,
            "int16" => DType::I16,
            "uint8" => DType::U8,
            "uint32" => DType::U32,
            other => return ElementType::named(other).map(Self::Raw),
        }))
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
    /// `torch._utils._rebuild_tensor_v3`, over untyped storages.
    RebuildTensorV3,
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
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch._utils", "_rebuild_parameter_with_state") => Self::RebuildParameterWithState,
            ("torch._tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("_codecs", "encode") => Self::Encode,
            ("torch.storage" | "torch", "UntypedStorage") => Self::Storage(Element::Of(DType::U8)),
            ("torch", class) => Self::Storage(match class {
                "FloatStorage" => Element::Of(DType::F32),
                "DoubleStorage" => Element::Of(DType::F64),
                "HalfStorage" => Element::Of(DType::F16),
                "BFloat16Storage" => Element::Of(DType::BF16),
                "LongStorage" => Element::Of(DType::I64),
                "IntStorage" => Element::Of(DType::I32),
                "ShortStorage" => Element::Of(DType::I16),
                "ByteStorage" => Element::Of(DType::U8),
                "QInt8Storage" | "QUInt8Storage" => Element::Quantized(1),
                "QInt32Storage" => Element::Quantized(4),
                other => Element::Raw(ElementType::of_storage(other)?),
            }),
            _ => return None,
        })
    }
}

/// The refusal of a pickle that imports `module.name`, which is shown short and without control characters.
pub(in super::super) fn forbidden(module: &str, name: &str) -> Refusal {
    const LONGEST: usize = 120;
    let full = format!("{module}.{name}");
    let mut shown: String = full.chars().map(|c| if c.is_control() { '?' } else { c }).take(LONGEST).collect();
    if full.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    Refusal::Import(shown)
}
