//! `gan-cli verify`.

use crate::commands::export::said;
use crate::device::DeviceArgs;
use crate::exit::Done;
use gan_export::verify_hub_folder;
use gan_translate::Options;
use std::path::PathBuf;

/// Check a model folder of `export hub`: that its files are whole, and that the model makes its samples
///
/// Processors add in different orders, so images may differ by two levels of 255. A folder that is damaged, was edited, or makes other images is
/// refused with exit code 4.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder that `export hub` wrote
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    device_config: DeviceArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let options = Options { device: args.device_config.open()?, ..Options::default() };
    let same = verify_hub_folder(&args.model, options).map_err(said)?;
    let shown = args.model.display();
    let close = match same.levels {
        0 => "the same in every level".to_owned(),
        1 => "the same to 1 level of 255".to_owned(),
        levels => format!("the same to {levels} levels of 255"),
    };
    out!("{shown}: {} files are whole; {} samples made again: {close}", same.files, same.samples);
    Ok(Done::Complete)
}
