//! ONNX Runtime beside an exported file, in builds that can load it.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use gan_export::{OnnxOptions, Subject};
use std::path::{Path, PathBuf};

/// The variable that names the library for all programs that load it.
const VARIABLE: &str = "ORT_DYLIB_PATH";

#[derive(clap::Args)]
pub(super) struct RuntimeArgs {
    /// Library of ONNX Runtime (libonnxruntime.so, onnxruntime.dll), which runs the file beside the network; the Python package carries
    /// one in onnxruntime/capi. Without it, the variable ORT_DYLIB_PATH
    #[arg(long, value_name = "PATH")]
    runtime: Option<PathBuf>,
}

/// What ONNX Runtime computed, in words.
pub(super) struct Proved(Vec<String>);

impl Proved {
    pub(super) fn print(&self) {
        self.0.iter().for_each(|line| out!("  {line}"));
    }
}

impl RuntimeArgs {
    /// The library to load, if one was named and this build can load it.
    ///
    /// # Errors
    /// A library was named that does not exist or that this build cannot load.
    pub(super) fn library(&self) -> anyhow::Result<Option<PathBuf>> {
        let named = self.runtime.clone();
        if !cfg!(feature = "onnxruntime") {
            if named.is_some() {
                let message = "--runtime needs a build with ONNX Runtime: `cargo build --release --features onnxruntime`, or leave it out";
                bail!(Coded(USAGE, message.into()));
            }
            return Ok(None);
        }
        let library = named.or_else(|| std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from));
        match &library {
            Some(path) if !path.is_file() => {
                let shown = path.display();
                bail!(Coded(
                    USAGE,
                    format!("there is no library {shown}: name it with --runtime, or unset {VARIABLE}")
                ));
            }
            _ => Ok(library),
        }
    }
}

/// Why no file was run.
pub(super) fn why_not() -> &'static str {
    match cfg!(feature = "onnxruntime") {
        true => "name the library of ONNX Runtime with --runtime",
        false => "this build runs no ONNX Runtime (it is built with `--features onnxruntime`)",
    }
}

#[cfg(feature = "onnxruntime")]
pub(super) fn verify(file: &Path, subject: &Subject, options: &OnnxOptions, library: &Path) -> anyhow::Result<Proved> {
    let verified = gan_export::verify(file, subject, options, library).map_err(super::said)?;
    let shown = |error: f64| match (error * 255.0).round() {
        _ if !options.preprocessing => format!("{error:.1e} of the range"),
        1.0 => "1 level of 255".to_owned(),
        levels => format!("{levels} levels of 255"),
    };
    let mut lines = vec![format!(
        "verified with {} on {} inputs: largest error {} (at most {}); {:.1} ms an image",
        verified.runtime,
        verified.errors.len(),
        shown(verified.largest()),
        shown(verified.limit),
        verified.time.as_secs_f64() * 1e3
    )];
    lines.extend(verified.errors.iter().map(|(name, error)| format!("  {name}: {}", shown(*error))));
    Ok(Proved(lines))
}

#[cfg(not(feature = "onnxruntime"))]
pub(super) fn verify(_: &Path, _: &Subject, _: &OnnxOptions, _: &Path) -> anyhow::Result<Proved> {
    bail!(Coded(USAGE, why_not().into()))
}
