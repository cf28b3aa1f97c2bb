//! Classes of which training loops keep objects beside the weights: options, scores, dates, paths.
//!
//! They are recognised by name and never built. Whatever a pickle does with one of them makes a placeholder that holds
//! nothing but the name, so that the state dict beside it can be read. The list is short on purpose: a function that does
//! anything when called (`eval`, `getattr`, `torch.load`) is not on it and refuses the file, as does an unknown class.

/// Whether `module.name` may stand in a pickle as a placeholder.
pub(super) fn is_inert(module: &str, name: &str) -> bool {
    match module {
        "argparse" => name == "Namespace",
        "types" => name == "SimpleNamespace",
        "builtins" | "__builtin__" => BUILTINS.contains(&name),
        "collections" => ["Counter", "defaultdict", "deque"].contains(&name),
        "datetime" => ["date", "datetime", "time", "timedelta", "timezone"].contains(&name),
        "pathlib" | "pathlib._local" => PATHS.contains(&name),
        "decimal" => name == "Decimal",
        "fractions" => name == "Fraction",
        "uuid" => name == "UUID",
        "typing" => is_class(name),
        "easydict" => name == "EasyDict",
        "munch" => name == "Munch",
        "yacs.config" => name == "CfgNode",
        "numpy" => ["dtype", "ndarray"].contains(&name) || is_scalar(name),
        "numpy.core.multiarray" | "numpy._core.multiarray" => ["scalar", "_reconstruct"].contains(&name),
        "numpy.core.numeric" | "numpy._core.numeric" => name == "_frombuffer",
        "numpy.random._pickle" => name.starts_with("__") && name.ends_with("_ctor"),
        "numpy.dtypes" => name.ends_with("DType") && is_class(name),
        "torch" => ["Size", "device", "Generator"].contains(&name) || DTYPES.contains(&name),
        "torch._C" => name == "Generator",
        "torch.nn.parameter" => ["Parameter", "Buffer"].contains(&name),
        _ => CLASSES_OF.iter().any(|package| is_within(module, package)) && is_class(name),
    }
}

/// Packages whose classes hold settings and states; their functions stay forbidden.
const CLASSES_OF: [&str; 5] = ["omegaconf", "numpy.random", "torch.optim", "torch.amp", "torch.cuda.amp"];

/// `long`, `unicode` and `xrange` are what protocol 2 calls `int`, `str` and `range`.
const BUILTINS: [&str; 18] = [
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "unicode",
    "xrange",
];

const PATHS: [&str; 6] = ["Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"];

const DTYPES: [&str; 24] = [
    "float16",
    "float32",
    "float64",
    "half",
    "float",
    "double",
    "bfloat16",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "short",
    "int",
    "long",
    "bool",
    "complex64",
    "complex128",
    "qint8",
    "quint8",
    "qint32",
    "strided",
    "contiguous_format",
    "channels_last",
];

/// A scalar class of numpy: `float64`, `int32`, `bool_`, …
fn is_scalar(name: &str) -> bool {
    let bits = name.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let kind = &name[..name.len() - bits.len()];
    matches!((kind, bits), ("bool", "" | "_") | ("str" | "bytes", "_"))
        || ["float", "int", "uint", "complex", "datetime", "timedelta"].contains(&kind)
            && ["8", "16", "32", "64", "128", "256"].contains(&bits)
}

/// Whether the name is written as those of classes are; a dot would lead to an attribute of one.
fn is_class(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_within(module: &str, package: &str) -> bool {
    module.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_are_inert_and_functions_are_not() {
        for (module, name) in [
            ("argparse", "Namespace"),
            ("numpy", "float64"),
            ("numpy", "bool_"),
            ("numpy._core.multiarray", "scalar"),
            ("numpy.dtypes", "Float64DType"),
            ("numpy.random._pickle", "__randomstate_ctor"),
            ("numpy.random._mt19937", "MT19937"),
            ("collections", "defaultdict"),
            ("__builtin__", "set"),
            ("omegaconf.dictconfig", "DictConfig"),
            ("torch.optim.lr_scheduler", "LambdaLR"),
            ("torch", "float32"),
            ("typing", "Any"),
        ] {
            assert!(is_inert(module, name), "{module}.{name}");
        }
        for (module, name) in [
            ("argparse", "_sys.exit"),
            ("argparse", "FileType"),
            ("numpy", "load"),
            ("numpy", "fromfile"),
            ("numpy", "float64.tofile"),
            ("builtins", "eval"),
            ("builtins", "getattr"),
            ("builtins", "__import__"),
            ("__builtin__", "file"),
            ("collections", "namedtuple"),
            ("pathlib", "os.system"),
            ("pathlib", "Path.unlink"),
            ("typing", "get_type_hints"),
            ("omegaconf", "OmegaConf.load"),
            ("omegaconf.omegaconf", "open_dict"),
            ("omegaconfx", "DictConfig"),
            ("torch", "load"),
            ("torch.optim.adam", "Adam.step"),
            ("torch.hub", "load"),
            ("os", "system"),
        ] {
            assert!(!is_inert(module, name), "{module}.{name}");
        }
    }
}
