//! Names of which nothing is built: options, scores, dates, optimizers and modules of training loops.
//!
//! They are recognised by name. Whatever a pickle does with one of them makes a placeholder, so that the state dict beside
//! it can be read. No name is imported or called here, so that none does harm; but a file that names a function which runs
//! programs, opens files or loads other pickles (`os.system`, `eval`, `torch.load`) was made to attack Python, and is
//! refused by that name.

/// Whether `module.name` may stand in a pickle as a placeholder.
pub(super) fn is_inert(module: &str, name: &str) -> bool {
    match module {
        "argparse" => name == "Namespace",
        "types" => ["SimpleNamespace", "MappingProxyType"].contains(&name),
        "builtins" | "__builtin__" => BUILTINS.contains(&name) || is_class(name),
        "collections" => ["defaultdict", "deque"].contains(&name) || is_class(name),
        "datetime" => ["date", "datetime", "time", "timedelta", "timezone"].contains(&name),
        "functools" => name == "partial",
        "pathlib" | "pathlib._local" => PATHS.contains(&name),
        // What sparse tensors name their layout by.
        "torch.serialization" => name == "_get_layout",
        "typing" => is_class(name),
        "numpy" => ["dtype", "ndarray"].contains(&name) || is_scalar(name),
        "torch" => name == "device" || is_class(name) || is_torch_constant(name),
        _ => !runs_programs(module) && module.split('.').all(is_identifier) && is_qualified(name),
    }
}

/// Modules of Python, and of packages, whose functions run programs, open files or connections, or load code. Modules
/// inside of them count as they do.
const PROGRAMS: &str = "\
    _frozen_importlib _io _pickle _posixsubprocess _thread _winapi ast asyncio bdb cPickle cProfile cffi \
    cloudpickle code codecs codeop commands compileall concurrent ctypes dill dis distutils doctest ensurepip \
    fcntl ftplib gc getpass glob http httpx imp importlib inspect io joblib keyring lib2to3 linecache marshal \
    mmap msvcrt multiprocessing nt ntpath numpy.distutils numpy.f2py numpy.testing operator os paramiko pdb \
    pickle pip pkgutil platform popen2 posix posixpath profile pty pydoc requests runpy select setuptools \
    shelve shutil signal site smtplib socket socketserver ssl subprocess sys tempfile threading timeit \
    torch.hub torch.jit torch.package torch.serialization torch.utils.cpp_extension trace unittest urllib \
    urllib2 urllib3 venv webbrowser winreg xmlrpc zipimport";

fn runs_programs(module: &str) -> bool {
    PROGRAMS.split_whitespace().any(|package| is_within(module, package))
}

/// Whether the name is one identifier, or that of a class in a class. Any other dotted name leads to attributes of what a
/// module has imported.
fn is_qualified(name: &str) -> bool {
    is_identifier(name) || name.split('.').all(is_class)
}

fn is_identifier(part: &str) -> bool {
    part.starts_with(|c: char| c.is_alphabetic() || c == '_') && part.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// An element type, a layout or a memory format of PyTorch.
fn is_torch_constant(name: &str) -> bool {
    const FORMATS: [&str; 4] = ["strided", "contiguous_format", "channels_last", "preserve_format"];
    const KINDS: [&str; 16] = [
        "float", "bfloat", "int", "uint", "complex", "qint", "quint", "bits", "bool", "half", "double", "short",
        "long", "chalf", "cfloat", "cdouble",
    ];
    let of = |kind: &&str| {
        name.strip_prefix(*kind).is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    // Layouts, and how quantized elements are scaled.
    let family = ["sparse_", "per_tensor_", "per_channel_"].iter().any(|family| name.starts_with(family));
    FORMATS.contains(&name) || family && is_identifier(name) || KINDS.iter().any(of)
}

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
            ("torch", "sparse_csr"),
            ("torch", "per_tensor_affine"),
            ("torch.serialization", "_get_layout"),
            ("typing", "Any"),
            ("builtins", "ValueError"),
            ("torch", "uint16"),
            ("torch", "float8_e5m2fnuz"),
            ("torch._utils", "_rebuild_qtensor"),
            ("torch.optim.adam", "Adam"),
            ("torch.nn.init", "xavier_uniform_"),
            ("pytorch_lightning.utilities.parsing", "AttributeDict"),
            ("lightning.pytorch.callbacks.model_checkpoint", "ModelCheckpoint"),
            ("mmengine.logging.history_buffer", "HistoryBuffer"),
            ("options", "TrainOptions.Nested"),
            ("__main__", "identity"),
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
            ("functools", "reduce"),
            ("operator", "attrgetter"),
            ("__main__", "os.system"),
            ("anything", ""),
            ("anything", "a b"),
            ("any thing", "A"),
            ("a..b", "A"),
            ("anything", "\u{1b}[2J"),
            ("torch.jit", "load"),
            ("torch._utils", "_rebuild_tensor_v2.__globals__"),
            ("torch", "tensor"),
            ("numpy.testing._private.utils", "runstring"),
            ("os.path", "join"),
            ("concurrent.futures", "ThreadPoolExecutor"),
            ("torch", "load"),
            ("torch.serialization", "load"),
            ("torch.optim.adam", "Adam.step"),
            ("torch.hub", "load"),
            ("os", "system"),
        ] {
            assert!(!is_inert(module, name), "{module}.{name}");
        }
    }
}
