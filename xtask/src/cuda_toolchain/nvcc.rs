//! The compiler's place in the toolchain: a script before the real one.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::packages::Package;
use super::{program, stubs, tree};

/// The script that takes the place of `bin/nvcc`.
pub(super) const SCRIPT: &str = include_str!("nvcc.sh");
/// What the real compiler is called beside it.
const REAL: &str = "nvcc-real";
/// A module without kernels, in the place of those for quantized weights. Any driver takes it for any GPU.
const NO_KERNELS: &str = ".version 7.0\n.target sm_52\n.address_size 64\n";

/// Puts the script before the compiler in `tree`, with what it hands out in the place of what it leaves out.
pub(super) fn wrap(tree: &Path, candle_kernels: &Package, work: &Path) -> Result<()> {
    let bin = tree.join("bin");
    fs::rename(bin.join("nvcc"), bin.join(REAL)).context("the wheels hold no bin/nvcc")?;
    let script = bin.join("nvcc");
    fs::write(&script, SCRIPT).with_context(|| format!("cannot write {}", script.display()))?;
    tree::make_executable(&script)?;

    let folder = tree.join("left-out");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(folder.join("quantized.ptx"), NO_KERNELS)?;
    let source = work.join("left_out.c");
    fs::write(&source, left_out(&candle_kernels.functions("src/ffi.rs")?))?;
    let mut compile = stubs::compiler();
    compile.args(["-c", "-O1", "-fPIC", "-o"]).arg(folder.join("functions.o")).arg(&source);
    program::output(&mut compile, "install a C compiler").map(drop)
}

/// C functions of those names, which end the program with a message. They are weak, for several object files hold them.
fn left_out<'a>(functions: impl IntoIterator<Item = &'a String>) -> String {
    let mut text = String::from("#include <stdio.h>\n#include <stdlib.h>\n");
    for name in functions {
        text += &format!(
            "__attribute__((weak)) void {name}(void) {{\n    fputs(\"error: {name} was left out of this build; \
             set CANDLE_KERNELS_FULL=1 while building\\n\", stderr);\n    abort();\n}}\n"
        );
    }
    text
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use super::*;

    /// The script with a compiler behind it that only says what it was given.
    fn nvcc(package: &str, full: bool, args: &[&str]) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            tree::make_executable(&path).unwrap();
        };
        put("bin/nvcc", SCRIPT);
        put("bin/nvcc-real", "#!/bin/sh\necho \"real $*\"\n");
        put("left-out/functions.o", "object");
        put("left-out/quantized.ptx", "module");
        fs::create_dir(dir.path().join("out")).unwrap();
        // Through `sh`: a file that another thread's child still holds open for writing cannot be executed.
        let mut command = Command::new("sh");
        command.arg(dir.path().join("bin/nvcc")).args(args).current_dir(dir.path()).env("CARGO_PKG_NAME", package);
        command.env_remove("CANDLE_KERNELS_FULL");
        if full {
            command.env("CANDLE_KERNELS_FULL", "1");
        }
        let said = program::output(&mut command, "").unwrap();
        (dir, said)
    }

    const OBJECT: [&str; 4] = ["-c", "-o", "out/a.o", "src/moe/moe_gguf.cu"];
    const MODULE: [&str; 4] = ["--ptx", "--output-directory", "out", "src/quantized.cu"];

    #[test]
    fn other_packages_and_other_files_reach_the_compiler() {
        for (package, full, args) in [
            ("gan-kernels", false, OBJECT),
            ("candle-kernels", true, OBJECT),
            ("candle-kernels", false, ["--ptx", "--output-directory", "out", "src/unary.cu"]),
        ] {
            assert_eq!(nvcc(package, full, &args).1, format!("real {}\n", args.join(" ")));
        }
    }

    #[test]
    fn kernels_of_language_models_are_left_out() {
        let (dir, said) = nvcc("candle-kernels", false, &OBJECT);
        assert_eq!((said.as_str(), fs::read_to_string(dir.path().join("out/a.o")).unwrap()), ("", "object".into()));
        let (dir, said) = nvcc("candle-kernels", false, &MODULE);
        let module = fs::read_to_string(dir.path().join("out/quantized.ptx")).unwrap();
        assert_eq!((said.as_str(), module), ("", "module".into()));
    }

    #[test]
    fn functions_that_were_left_out_say_so() {
        let text = left_out(&["launch_q4".to_owned(), "moe_gemm".to_owned()]);
        assert_eq!(text.matches("__attribute__((weak)) void ").count(), 2);
        assert!(text.contains("error: moe_gemm was left out of this build"), "{text}");
    }
}
