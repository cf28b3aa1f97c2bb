//! `gan-cli encode-features`.

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::data_folders::dataset_root;
use crate::commands::trained::open_trained;
use crate::device::DeviceArgs;
use crate::exit::Done;
use crate::inputs::{Inputs, require_image};
use crate::max_memory::MemoryArgs;
use crate::progress::bar;
use crate::wording::worded;
use candle_core::{Device, Tensor};
use gan_data::{Batch, DataConfig, Depth, Quantize, image_from_tensor, write_image};
use gan_rng::{Key, Purpose};
use gan_train::methods::pix2pixhd::styles::{encode_features, encoded_data};
use gan_train::storage::Disk;
use gan_train::to_device;
use gan_translate::{DeviceConfig, Model, Options, TrainedModel};
use std::path::PathBuf;

/// Most images and styles on a sheet.
const IMAGES: usize = 4;
const STYLES: u64 = 6;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run folder of pix2pixhd, trained with encoder.instance_feat=true
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// Folder of the images, or the name of a fetched dataset; the default is what the model was trained on
    #[arg(long)]
    data: Option<PathBuf>,
    /// Write an image that shows the styles: each row an image of the data, then its label map in styles 0, 1, 2, … (png, jpg, webp)
    #[arg(long, value_name = "FILE")]
    sheet: Option<PathBuf>,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    device_config: DeviceArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let device_config = args.device_config.open()?;
    let trained = open_trained(&args.checkpoint.of(&args.model)?, args.checkpoint.weights())?;
    let data = args.data.as_deref().map(dataset_root);
    let mut inputs = Inputs::default();
    inputs.model(&args.model);
    let written = ["clusters.json", "clusters.safetensors"].map(|name| trained.features_dir().join(name));
    inputs.refuse(written.iter().chain(&args.sheet).map(PathBuf::as_path))?;
    args.sheet.as_deref().map_or(Ok(()), require_image)?;
    let bar = bar(0, "encoding");
    let mut progress = |done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let limit = args.memory.of(&device_config)?;
    let report = encode_features(&trained, data.as_deref(), (&device_config, limit.as_ref()), &Disk, &mut progress);
    let report = report.map_err(|error| match error {
        gan_train::Error::Translate(error) => worded(*error),
        other => other.into(),
    })?;
    bar.finish_and_clear();
    if let Some(file) = &args.sheet {
        let rows = styles_of(&trained, &encoded_data(&trained, data.as_deref())?, &device_config)?;
        write_image(file, &image_from_tensor(&rows, Depth::U8, Quantize::Round)?)?;
        note!("styles 0 to {} in {}", STYLES - 1, file.display());
    }
    if args.json {
        out!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(Done::Complete);
    }
    out!("label  instances  large enough  instances of each cluster");
    for label in &report.labels {
        let counts: Vec<_> = label.clusters.iter().map(ToString::to_string).collect();
        out!("{:>5}  {:>9}  {:>12}  {}", label.label, label.instances, label.used, counts.join(" "));
    }
    note!(
        "styles of {} images in {}; draw one with `gan-cli translate --model {} --style 1 …`",
        report.images,
        trained.features_dir().display(),
        args.model.display()
    );
    Ok(Done::Complete)
}

/// Rows of images of one size, `[1, C, H, W]` in −1 … 1: an image of the data, and its label map in each style.
fn styles_of(trained: &TrainedModel, data: &DataConfig, device_config: &DeviceConfig) -> anyhow::Result<Tensor> {
    let options = Options { device: device_config.clone(), ..Options::default() };
    let mut model = Model::load(trained, options).map_err(worded)?;
    let set = gan_data::open(data)?;
    let mut rows: Vec<Tensor> = Vec::new();
    for i in 0..set.len() {
        let batch = Batch::collate(vec![set.item(i, Key::new(0, Purpose::Augment).at(i as u64))?])?;
        let Some(photo) = batch.b.clone() else { continue };
        let mut row = vec![photo];
        let batch = to_device(batch, device_config)?;
        for style in 0..STYLES {
            model.set_style(Some(style)).map_err(worded)?;
            row.push(model.translate_batch(&batch).map_err(worded)?.to_device(&Device::Cpu)?);
        }
        let row = Tensor::cat(&row, 3)?;
        if rows.first().is_none_or(|first| first.dims() == row.dims()) {
            rows.push(row);
        }
        if rows.len() == IMAGES {
            break;
        }
    }
    Ok(Tensor::cat(&rows, 2)?)
}
