//! `env.sh`: what a shell must know before cargo builds with the toolchain.

use std::path::Path;

/// The variables by which build scripts look for CUDA; all are set, lest an older one leads elsewhere.
const HOMES: [&str; 4] = ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR"];
/// The architecture that is built for unless `CUDA_COMPUTE_CAP` names another: H100 and H200.
const COMPUTE_CAP: u32 = 90;
/// CUDA 13.0, as cudarc spells it.
const CUDARC_VERSION: &str = "13000";

/// The text of `env.sh` for the toolchain in `home`, an absolute path.
pub(super) fn script(home: &Path) -> String {
    let home = quoted(&home.to_string_lossy());
    let mut text = String::from("# Made by `cargo xtask cuda-toolchain`. Use it with:  . THIS_FILE\n");
    text += &format!("{}={home}\n", HOMES[0]);
    for name in &HOMES[1..] {
        text += &format!("{name}=${}\n", HOMES[0]);
    }
    text += "NVCC=$CUDA_HOME/bin/nvcc\n";
    text += "case :$PATH: in *:\"$CUDA_HOME/bin\":*) ;; *) PATH=$CUDA_HOME/bin:$PATH ;; esac\n";
    text += &format!("CUDA_COMPUTE_CAP=${{CUDA_COMPUTE_CAP:-{COMPUTE_CAP}}}\n");
    text += &format!("CUDARC_CUDA_VERSION={CUDARC_VERSION}\n");
    text += &format!("export {} NVCC PATH CUDA_COMPUTE_CAP CUDARC_CUDA_VERSION\n", HOMES.join(" "));
    // Another place that would be searched for libraries.
    text += "unset CUDNN_LIB\n";
    text
}

/// The text as one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::Command;

    use super::super::{program, wheels};
    use super::*;

    /// What a shell that has read the script says to `echo`.
    fn sourced(home: &str, before: &str, echo: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env.sh");
        std::fs::write(&path, script(Path::new(home))).unwrap();
        let mut shell = Command::new("sh");
        shell.arg("-euc").arg(format!("{before}\n. {0}\n. {0}\necho \"{echo}\"", path.display()));
        shell.env("PATH", "/usr/bin:/bin").env("CUDNN_LIB", "/old").env_remove("CUDA_COMPUTE_CAP");
        program::output(&mut shell, "").unwrap()
    }

    #[test]
    fn every_variable_leads_to_the_toolchain() {
        let echo = "$CUDA_HOME $CUDA_PATH $CUDA_ROOT $CUDA_TOOLKIT_ROOT_DIR $NVCC $CUDA_COMPUTE_CAP ${CUDNN_LIB-none}";
        assert_eq!(sourced("/c", "CUDA_PATH=/old", echo), "/c /c /c /c /c/bin/nvcc 90 none\n");
        assert_eq!(sourced("/c", "", "$PATH"), "/c/bin:/usr/bin:/bin\n");
        assert_eq!(sourced("/c", "CUDA_COMPUTE_CAP=80", "$CUDA_COMPUTE_CAP"), "80\n");
    }

    #[test]
    fn a_path_may_hold_anything() {
        assert_eq!(sourced("/a b/it's", "", "$NVCC"), "/a b/it's/bin/nvcc\n");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn all_agree_on_the_release() {
        let (major, minor) = wheels::RELEASE.split_once('.').unwrap();
        assert_eq!(CUDARC_VERSION, format!("{major}0{minor}0"));
    }
}
