//! The stubs that a program is linked with in the place of CUDA's libraries (see `stub.c`).
//!
//! The libraries themselves (more than 1 GB) are not needed to build, and a program that names them in the ordinary way
//! would not even start on a machine without them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::packages::Package;
use super::program;

/// The C source of every stub.
pub(super) const SOURCE: &str = include_str!("stub.c");

const NO_COMPILER: &str = "install a C compiler and binutils (Debian and Ubuntu: apt install build-essential)";

/// One library that has a stub.
#[derive(Debug)]
pub(super) struct Library {
    /// Its name for the linker: `-lcudnn`.
    pub(super) link_name: &'static str,
    /// The file to open at run time: that of CUDA 13 and cuDNN 9, for which the Rust bindings are built.
    pub(super) file: &'static str,
    /// What has to be installed where it is missing.
    pub(super) product: &'static str,
    /// The module of cudarc with its functions.
    pub(super) module: &'static str,
}

pub(super) const LIBRARIES: [Library; 7] = [
    Library { link_name: "cuda", file: "libcuda.so.1", product: "the GPU's driver", module: "driver" },
    Library { link_name: "cublas", file: "libcublas.so.13", product: "cuBLAS of CUDA 13", module: "cublas" },
    Library { link_name: "cublasLt", file: "libcublasLt.so.13", product: "cuBLAS of CUDA 13", module: "cublaslt" },
    Library { link_name: "curand", file: "libcurand.so.10", product: "cuRAND of CUDA 13", module: "curand" },
    Library { link_name: "nvrtc", file: "libnvrtc.so.13", product: "NVRTC of CUDA 13", module: "nvrtc" },
    Library { link_name: "cudnn", file: "libcudnn.so.9", product: "cuDNN 9", module: "cudnn" },
    Library { link_name: "nccl", file: "libnccl.so.2", product: "NCCL 2", module: "nccl" },
];

/// Finds out that the C compiler can be used before anything is begun.
///
/// # Errors
/// When there is none.
pub(super) fn need_compiler() -> Result<()> {
    program::output(compiler().arg("--version"), NO_COMPILER).map(drop)
}

/// The C compiler: `$CC`, or `cc`.
pub(super) fn compiler() -> Command {
    Command::new(std::env::var_os("CC").filter(|name| !name.is_empty()).unwrap_or_else(|| "cc".into()))
}

/// Makes all stubs in `folder` for the functions that `cudarc` knows; intermediate files go to `work`.
pub(super) fn make_all(cudarc: &Package, folder: &Path, work: &Path) -> Result<()> {
    for library in &LIBRARIES {
        let functions = cudarc.functions(&format!("src/{}/sys/mod.rs", library.module))?;
        library.make(&functions, folder, work)?;
    }
    Ok(())
}

impl Library {
    /// Makes `folder/libNAME.a`. It is found by `-lNAME` where no `libNAME.so` is.
    ///
    /// # Errors
    /// When the compiler or the archiver is missing or fails.
    pub(super) fn make(&self, functions: &BTreeSet<String>, folder: &Path, work: &Path) -> Result<()> {
        let name = self.link_name;
        let [source, list, object] =
            [format!("{name}.c"), format!("{name}.functions"), format!("{name}.o")].map(|file| work.join(file));
        let archive = folder.join(format!("lib{name}.a"));
        put(&source, SOURCE)?;
        put(&list, &functions.iter().map(|name| format!("FUNCTION({name})\n")).collect::<String>())?;
        let mut compile = compiler();
        compile.args(["-c", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror"]);
        compile.args([define("LIBRARY", self.file), define("PRODUCT", self.product)]);
        compile.arg(format!("-DIS_DRIVER={}", u8::from(name == "cuda")));
        compile.arg(define("FUNCTIONS", &list.to_string_lossy()));
        compile.arg("-o").arg(&object).arg(&source);
        program::output(&mut compile, NO_COMPILER)?;
        let mut pack = Command::new("ar");
        pack.arg("crs").arg(&archive).arg(&object);
        program::output(&mut pack, NO_COMPILER).map(drop)
    }
}

/// The compiler's argument that defines a string.
fn define(name: &str, value: &str) -> String {
    format!("-D{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;
    use std::process::Output;

    use super::*;

    /// A library with arguments of every kind: more than fit into registers, floating-point numbers, a variable number.
    const REAL: &str = r#"
#include <stdarg.h>
long many(long a, long b, long c, long d, long e, long f, long g, long h) {
    return a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h;
}
double mixed(double a, int b, double c, float d, double e, double f, double g, double h, double i, double j) {
    return a + b + 10 * c + 100 * d + e + f + g + h + 1000 * i + 10000 * j;
}
double sum(int n, ...) {
    double total = 0;
    va_list rest;
    va_start(rest, n);
    while (n--) total += va_arg(rest, double);
    va_end(rest);
    return total;
}
"#;

    const PROGRAM: &str = r#"
#include <stdio.h>
long many(long, long, long, long, long, long, long, long);
double mixed(double, int, double, float, double, double, double, double, double, double);
double sum(int, ...);
int gone(void);
int main(int argc, char **argv) {
    (void)argv;
    puts("started");
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        printf("%ld ", many(1, 2, 3, 4, 5, 6, 7, 8));
        printf("%g ", mixed(1, 2, 3, 4, 1, 1, 1, 1, 5, 6));
        printf("%g\n", sum(3, 1.0, 2.0, 4.0));
    }
    fflush(stdout);
    if (argc > 1) printf("%d\n", gone());
    return 0;
}
"#;

    fn compile(args: &[&str]) {
        program::output(compiler().args(args), NO_COMPILER).unwrap();
    }

    /// A folder with a library in `there/` and a program that was linked with its stub.
    fn linked(link_name: &'static str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::create_dir(path("there")).unwrap();
        fs::write(path("real.c"), REAL).unwrap();
        fs::write(path("program.c"), PROGRAM).unwrap();
        compile(&["-shared", "-fPIC", "-o", &path("there/libgantest.so.7"), &path("real.c")]);
        let functions = ["many", "mixed", "sum", "gone"].map(str::to_owned).into();
        let library = Library { link_name, file: "libgantest.so.7", product: "Test 7", module: "" };
        library.make(&functions, dir.path(), dir.path()).unwrap();
        let program = dir.path().join("program");
        compile(&["-o", program.to_str().unwrap(), &path("program.c"), &path(&format!("lib{link_name}.a"))]);
        (dir, program)
    }

    fn run(program: &Path, path: &Path, args: &[&str]) -> (Output, String) {
        let mut command = Command::new(program);
        command.args(args).env("GAN_CUDA_LIBRARY_PATH", path).env_remove("CUSHIM_LIBRARY_PATH");
        let output = command.env("GAN_CUDA_VERBOSE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    }

    #[test]
    fn calls_reach_the_library_with_their_arguments() {
        let (dir, program) = linked("gantest");
        let path = dir.path().join("there");
        let (output, said) = run(&program, Path::new(&format!("/nowhere:{}", path.display())), &[]);
        assert!(output.status.success(), "{said}");
        let line = "204 65437 7\n";
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("started\n{line}{line}"));
        assert_eq!(said, format!("libgantest.so.7: opened {}/libgantest.so.7\n", path.display()));
    }

    #[test]
    fn a_library_that_is_missing_is_named() {
        let (dir, program) = linked("gantest");
        let (output, said) = run(&program, dir.path(), &[]);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert_eq!(output.stdout, b"started\n");
        assert!(said.starts_with("error: libgantest.so.7, of Test 7, is not to be found (many was called)"), "{said}");
        assert!(said.contains(&format!("GAN_CUDA_LIBRARY_PATH ({})", dir.path().display())), "{said}");
        assert!(said.contains("remedy: install Test 7"), "{said}");
    }

    #[test]
    fn a_damaged_library_and_one_without_the_function_are_named() {
        let (dir, program) = linked("gantest");
        let (output, said) = run(&program, &dir.path().join("there"), &["also-gone"]);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("libgantest.so.7 has no function gone"), "{said}");
        fs::write(dir.path().join("libgantest.so.7"), "no library").unwrap();
        let (_, said) = run(&program, dir.path(), &[]);
        assert!(said.contains("one cannot be opened: ") && said.contains("libgantest.so.7"), "{said}");
    }

    #[test]
    fn a_missing_driver_is_an_ordinary_answer() {
        let (dir, program) = linked("cuda");
        let (output, said) = run(&program, dir.path(), &["also-gone"]);
        assert!(output.status.success(), "{said}");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.starts_with("started\n34 ") && text.ends_with("\n34\n"), "{text}");
        let (output, _) = run(&program, &dir.path().join("there"), &["also-gone"]);
        assert!(String::from_utf8_lossy(&output.stdout).ends_with("7\n500\n"));
    }
}
