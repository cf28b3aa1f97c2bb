//! Where fetched datasets and weights live: one rule for those who fetch and those who read.
//!
//! The first of these that is given wins:
//!
//! 1. a directory that the caller names;
//! 2. the environment variable `GAN_DATA_DIR`;
//! 3. `$XDG_DATA_HOME/gan-cli`, when `XDG_DATA_HOME` is an absolute path (the XDG specification says to ignore a
//!    relative one);
//! 4. the platform's own place: `~/.local/share/gan-cli`, on macOS `~/Library/Application Support/gan-cli`, on
//!    Windows `%LOCALAPPDATA%\gan-cli`.
//!
//! An empty variable counts as unset. Inside the directory, datasets are at `datasets/NAME` and weights at
//! `weights/NAME.safetensors` (or `weights/NAME.pth` where the source is a PyTorch file).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The platforms that the rule tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Platform {
    /// Linux, the BSDs and everything that is neither of the others.
    Unix,
    /// macOS.
    MacOs,
    /// Windows.
    Windows,
}

impl Platform {
    /// The platform this program was built for.
    const fn current() -> Self {
        if cfg!(target_os = "macos") {
            Self::MacOs
        } else if cfg!(windows) {
            Self::Windows
        } else {
            Self::Unix
        }
    }
}

/// The directory of fetched datasets (`datasets/NAME`) and weights (`weights/NAME.safetensors`, `weights/NAME.pth`): the one that the
/// caller names, else `GAN_DATA_DIR`, else `$XDG_DATA_HOME/gan-cli`, else the platform's own place.
///
/// Returns `None` when nothing was given and the environment names no home directory.
#[must_use]
pub fn data_dir(named: Option<&Path>) -> Option<PathBuf> {
    rule(named, Platform::current(), |name| std::env::var_os(name))
}

/// Applies the rule of the module's documentation. `env` looks up one environment variable.
fn rule(named: Option<&Path>, platform: Platform, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let var = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = named {
        return Some(dir.to_path_buf());
    }
    if let Some(dir) = var("GAN_DATA_DIR") {
        return Some(dir);
    }
    if let Some(dir) = var("XDG_DATA_HOME").filter(|dir| dir.is_absolute()) {
        return Some(dir.join("gan-cli"));
    }
    let base = match platform {
        Platform::Unix => var("HOME")?.join(".local").join("share"),
        Platform::MacOs => var("HOME")?.join("Library").join("Application Support"),
        Platform::Windows => var("LOCALAPPDATA")?,
    };
    Some(base.join("gan-cli"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(named: Option<&str>, platform: Platform, vars: &[(&str, &str)]) -> Option<PathBuf> {
        rule(named.map(Path::new), platform, |name| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_named_directory_wins_over_everything() {
        let vars = [("GAN_DATA_DIR", "/env"), ("XDG_DATA_HOME", "/xdg"), ("HOME", "/home/u")];
        assert_eq!(resolve(Some("rel/dir"), Platform::Unix, &vars), Some(PathBuf::from("rel/dir")));
    }

    #[test]
    fn the_variable_is_taken_as_it_is() {
        let vars = [("GAN_DATA_DIR", "/env"), ("XDG_DATA_HOME", "/xdg"), ("HOME", "/home/u")];
        assert_eq!(resolve(None, Platform::Unix, &vars), Some(PathBuf::from("/env")));
    }

    #[test]
    fn xdg_comes_before_the_platform() {
        let vars = [("XDG_DATA_HOME", "/xdg"), ("HOME", "/home/u")];
        for platform in [Platform::Unix, Platform::MacOs] {
            assert_eq!(resolve(None, platform, &vars), Some(PathBuf::from("/xdg/gan-cli")));
        }
    }

    #[test]
    fn empty_or_relative_variables_are_ignored() {
        let vars = [("GAN_DATA_DIR", ""), ("XDG_DATA_HOME", "xdg"), ("HOME", "/home/u")];
        assert_eq!(resolve(None, Platform::Unix, &vars), Some(PathBuf::from("/home/u/.local/share/gan-cli")));
    }

    #[test]
    fn each_platform_has_its_own_place() {
        let vars = [("HOME", "/home/u"), ("LOCALAPPDATA", "/local")];
        let place = |platform| resolve(None, platform, &vars);
        assert_eq!(place(Platform::Unix), Some(PathBuf::from("/home/u/.local/share/gan-cli")));
        assert_eq!(place(Platform::MacOs), Some(PathBuf::from("/home/u/Library/Application Support/gan-cli")));
        assert_eq!(place(Platform::Windows), Some(PathBuf::from("/local").join("gan-cli")));
    }

    #[test]
    fn no_home_is_no_answer() {
        for platform in [Platform::Unix, Platform::MacOs, Platform::Windows] {
            assert_eq!(resolve(None, platform, &[]), None);
        }
    }
}
