//! Compiles the CUDA kernels to PTX (feature `cuda` only): the driver makes machine code of it at run time.
#![allow(clippy::print_stderr)]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "cuda")]
    if let Err(reason) = kernels::compile() {
        eprintln!("{reason}");
        std::process::exit(1);
    }
}

#[cfg(feature = "cuda")]
mod kernels {
    use cudaforge::{CudaToolkit, detect_compute_cap};
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::SystemTime;

    const SOURCES: &str = "src/cuda/kernels";

    /// One `NAME.ptx` in the output folder for every `NAME.cu`.
    pub(super) fn compile() -> Result<(), String> {
        for variable in ["NVCC", "CUDA_HOME", "CUDA_COMPUTE_CAP"] {
            println!("cargo:rerun-if-env-changed={variable}");
        }
        println!("cargo:rerun-if-changed={SOURCES}");
        let nvcc = CudaToolkit::detect()
            .map_err(|e| {
                format!(
                    "The feature `cuda` needs NVIDIA's compiler nvcc ({e}).\nInstall a CUDA toolkit, or make one without \
                     root by `cargo xtask cuda-toolchain`; docs/cuda.md has the details."
                )
            })?
            .nvcc_path;
        let arch = detect_compute_cap()
            .map_err(|e| {
                format!(
                    "For which GPU? Set CUDA_COMPUTE_CAP, for example to 90 for an H100 or H200, or build on the machine \
                     that has it ({e})."
                )
            })?
            .to_gencode_arg();
        let folder = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
        let (sources, headers) = sources()?;
        let stamp = folder.join("arch");
        let same_arch = std::fs::read_to_string(&stamp).is_ok_and(|former| former == arch);
        let newest = headers.iter().chain([&nvcc]).map(|p| modified(p)).max().flatten();
        std::thread::scope(|scope| {
            let running: Vec<_> = sources
                .iter()
                .filter_map(|source| {
                    let ptx = folder.join(source.file_name()?).with_extension("ptx");
                    let fresh = same_arch && modified(&ptx) > modified(source).max(newest);
                    (!fresh).then(|| {
                        scope.spawn({
                            let (nvcc, arch) = (&nvcc, &arch);
                            move || run(nvcc, arch, source, &ptx)
                        })
                    })
                })
                .collect();
            running.into_iter().try_for_each(|r| r.join().map_err(|_| "a compiler thread panicked".to_string())?)
        })?;
        std::fs::write(&stamp, arch).map_err(|e| format!("{}: {e}", stamp.display()))
    }

    fn run(nvcc: &Path, arch: &str, source: &Path, ptx: &Path) -> Result<(), String> {
        let output = Command::new(nvcc)
            .args([arch, "--ptx", "-O3", "-std=c++17", "-o"])
            .args([ptx, source])
            .output()
            .map_err(|e| format!("{}: {e}", nvcc.display()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("nvcc refuses {}:\n{}", source.display(), String::from_utf8_lossy(&output.stderr)))
    }

    /// The `.cu` files and the headers that they share.
    fn sources() -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
        let files = std::fs::read_dir(SOURCES).map_err(|e| format!("{SOURCES}: {e}"))?;
        let mut files: Vec<PathBuf> = files.filter_map(|f| Some(f.ok()?.path())).collect();
        files.sort();
        Ok(files.into_iter().partition(|f| f.extension().is_some_and(|e| e == "cu")))
    }

    fn modified(path: &Path) -> Option<SystemTime> {
        std::fs::metadata(path).ok()?.modified().ok()
    }
}
