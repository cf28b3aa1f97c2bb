//! `gan-cli export onnx`.

use super::runtime::{self, RuntimeArgs};
use super::said;
use super::source::SourceArgs;
use crate::exit::{Coded, Done, USAGE};
use crate::inputs::Inputs;
use crate::wording::bytes;
use anyhow::{Context, bail};
use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use gan_export::{OPSET, OnnxModel, OnnxOptions, PadForm, Precision};
use gan_fs::Durability;
use std::path::{Path, PathBuf};

/// Write a network as an ONNX file, and prove it with ONNX Runtime where that is at hand
///
/// The file has standard operators only (opset 17). It computes what `translate` computes: batch norms use the statistics of the image
/// itself (--eval: the running ones), and dropout is off. Any network can be exported, discriminators and encoders too.
///
/// With the library of ONNX Runtime (--runtime, or the variable ORT_DYLIB_PATH) the file is run beside the network on several inputs, and is
/// not left there if it differs by more than 1e-4 of the range (f16: 2e-2).
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// File to write
    #[arg(value_name = "OUT.onnx")]
    out: PathBuf,
    /// Which network: g, d, e, g_a, g_b, d_a or d_b; the default is the (first) generator
    #[arg(long)]
    network: Option<String>,
    /// Height and width of the input; the default is the crop size of the training
    #[arg(long, num_args = 2, value_names = ["H", "W"], value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_535))]
    size: Option<Vec<usize>>,
    /// Leave batch, height and width open; sides are then multiples of what the network asks for
    #[arg(long)]
    dynamic: bool,
    /// How borders that mirror or repeat are written
    #[arg(long, value_enum, default_value_t = PadArg::Reflect)]
    pad: PadArg,
    /// Element type of weights and values; inputs and outputs stay f32
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    precision: PrecisionArg,
    /// Images of 8 bits go in and come out, [N, H, W, C]; label and instance maps become planes inside
    #[arg(long)]
    with_preprocessing: bool,
    /// Batch norms use their running statistics (PyTorch's eval()), not those of the image
    #[arg(long)]
    eval: bool,
    /// Under which terms the weights may be used, for the file's metadata
    #[arg(long, value_name = "TEXT")]
    licence: Option<String>,
    #[command(flatten)]
    runtime: RuntimeArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PadArg {
    /// The operator Pad
    Reflect,
    /// Slices that are put together, for programs without such a Pad
    Slices,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PrecisionArg {
    /// 32 bits
    F32,
    /// 16 bits: half the size
    F16,
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::F32 => Precision::F32,
            PrecisionArg::F16 => Precision::F16,
        }
    }
}

impl Args {
    fn options(&self) -> OnnxOptions {
        OnnxOptions {
            size: self.size.as_ref().map(|size| (size[0], size[1])),
            dynamic: self.dynamic,
            pad: match self.pad {
                PadArg::Reflect => PadForm::Operator,
                PadArg::Slices => PadForm::Slices,
            },
            precision: self.precision.into(),
            preprocessing: self.with_preprocessing,
            running_statistics: self.eval,
            licence: self.licence.clone(),
        }
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<Done> {
    if args.out.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("onnx")) {
        bail!(Coded(USAGE, format!("{}: name a file that ends in .onnx", args.out.display())));
    }
    if args.out.is_dir() {
        bail!(Coded(USAGE, format!("{} is a folder; name a file", args.out.display())));
    }
    let mut inputs = Inputs::default();
    inputs.model(&args.source.model);
    inputs.refuse([&*args.out])?;
    let library = args.runtime.library()?;
    let subject = args.source.network(args.network.as_deref())?;
    let options = args.options();
    let model = OnnxModel::new(&subject, &options).map_err(said)?;
    let folder = gan_fs::parent(&args.out);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    // It gets its name when it has been proved.
    let unproved = Unproved(gan_fs::temporary_beside(&args.out));
    gan_fs::replace(&unproved.0, Durability::Flushed, |out| model.write_to(out))?;
    let proved = library.map(|library| runtime::verify(&unproved.0, &subject, &options, &library)).transpose()?;
    std::fs::rename(&unproved.0, &args.out).with_context(|| format!("cannot replace {}", args.out.display()))?;
    out!("{}: {}, {}", args.out.display(), subject.network, bytes(model.bytes().map_err(said)?));
    out!("  opset {OPSET}; inputs {}; outputs {}", model.inputs().join(", "), model.outputs().join(", "));
    let of = |key: &str| model.metadata().iter().find(|(known, _)| known == key).map_or("any", |(_, value)| value);
    if options.dynamic {
        out!("  any size whose sides are multiples of {} from {} on", of("size_multiple"), of("smallest_side"));
    } else {
        out!("  {}; --dynamic leaves sizes open", of("size"));
    }
    match proved {
        Some(proved) => proved.print(),
        None => out!("  not verified: {}", runtime::why_not()),
    }
    Ok(Done::Complete)
}

/// A file that is removed when dropped; after renaming there is nothing left to remove.
struct Unproved(PathBuf);

impl Drop for Unproved {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(path: &Path) {
    // It may have its name already.
    let _ = std::fs::remove_file(path);
}
