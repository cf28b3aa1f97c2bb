//! `gan-cli encode-features`.

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::data_folders::dataset_root;
use crate::commands::trained::open_trained;
use crate::device::DeviceArgs;
use crate::exit::Done;
use crate::inputs::Inputs;
use crate::max_memory::MemoryArgs;
use crate::progress::bar;
use crate::wording::worded;
use gan_train::methods::pix2pixhd::styles::encode_features;
use gan_train::storage::Disk;
use std::path::PathBuf;

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
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    place: DeviceArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let place = args.place.open()?;
    let trained = open_trained(&args.checkpoint.of(&args.model)?, args.checkpoint.weights())?;
    let data = args.data.as_deref().map(dataset_root);
    let mut inputs = Inputs::default();
    inputs.model(&args.model);
    inputs.refuse(
        ["clusters.json", "clusters.safetensors"].map(|name| trained.features_dir().join(name)).iter().map(|p| &**p),
    )?;
    let bar = bar(0, "encoding");
    let mut progress = |done: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    };
    let limit = args.memory.of(&place)?;
    let report = encode_features(&trained, data.as_deref(), (&place, limit.as_ref()), &Disk, &mut progress);
    let report = report.map_err(|error| match error {
        gan_train::Error::Translate(error) => worded(*error),
        other => other.into(),
    })?;
    bar.finish_and_clear();
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
