//! The files of ONNX Runtime Web that a page needs, out of the package that the user fetched.

use crate::exit::{BAD_DATA, Coded, USAGE};
use anyhow::bail;
use clap::ValueEnum;
use gan_fetch::{Error, PackageFile, package_files};
use gan_web::Backend;
use std::path::Path;

const PACKAGE: &str = "onnxruntime-web";
const VERSION: &str = "1.30.0";
/// The package names its licence and holds no copy of it.
const LICENCE: &str = include_str!("onnxruntime-licence.txt");

/// What runs the model in a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendArg {
    /// WebGPU where the browser has it, else WebAssembly
    Auto,
    /// WebAssembly alone: a smaller folder
    Wasm,
}

/// A build of the runtime.
struct Build {
    backend: Backend,
    script: PackageFile,
    binary: PackageFile,
}

// In the folder scripts end in `.js`: not every host knows that `.mjs` is a script.
const WEBGPU: Build = Build {
    backend: Backend { name: "webgpu", script: "runtime/webgpu.js", binary: "runtime/webgpu.wasm" },
    script: PackageFile {
        path: "dist/ort.webgpu.bundle.min.mjs",
        bytes: 117_732,
        sha256: "0730816731ce2cdfb06f273da065d4a1c7091eb9d1756a83b2916c8a89d015e2",
    },
    binary: PackageFile {
        path: "dist/ort-wasm-simd-threaded.asyncify.wasm",
        bytes: 26_781_914,
        sha256: "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da",
    },
};
const WASM: Build = Build {
    backend: Backend { name: "wasm", script: "runtime/wasm.js", binary: "runtime/wasm.wasm" },
    script: PackageFile {
        path: "dist/ort.wasm.bundle.min.mjs",
        bytes: 73_054,
        sha256: "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    },
    binary: PackageFile {
        path: "dist/ort-wasm-simd-threaded.wasm",
        bytes: 14_239_897,
        sha256: "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    },
};

/// The runtime as a page takes it.
pub(super) struct Runtime {
    /// Name and version, for people.
    pub(super) name: String,
    /// The fastest first.
    pub(super) backends: Vec<Backend>,
    /// Path in the folder, and content.
    pub(super) files: Vec<(&'static str, Vec<u8>)>,
}

/// How to come by the package.
fn how() -> String {
    format!("fetch it with `npm pack {PACKAGE}@{VERSION}` and name it: --runtime {PACKAGE}-{VERSION}.tgz")
}

/// Reads the runtime out of the package.
///
/// # Errors
/// No package was named, it cannot be read, or it is that of another version.
pub(super) fn read(package: Option<&Path>, backend: BackendArg) -> anyhow::Result<Runtime> {
    let Some(package) = package else {
        bail!(Coded(USAGE, format!("the page needs ONNX Runtime Web, which is no part of this program; {}", how())));
    };
    let builds = match backend {
        BackendArg::Auto => vec![WEBGPU, WASM],
        BackendArg::Wasm => vec![WASM],
    };
    let wanted: Vec<PackageFile> = builds.iter().flat_map(|build| [build.script, build.binary]).collect();
    let contents = package_files(package, &wanted).map_err(|error| match error {
        Error::Package { .. } => Coded(BAD_DATA, format!("{error}; {}", how())).into(),
        Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Coded(USAGE, format!("{} does not exist; {}", package.display(), how())).into()
        }
        other => anyhow::Error::from(other),
    })?;
    let names = builds.iter().flat_map(|build| [build.backend.script, build.backend.binary]);
    let mut files: Vec<_> = names.zip(contents).collect();
    files.push(("runtime/LICENCE.txt", LICENCE.as_bytes().to_vec()));
    let backends = builds.into_iter().map(|build| build.backend).collect();
    Ok(Runtime { name: format!("ONNX Runtime Web {VERSION}"), backends, files })
}
