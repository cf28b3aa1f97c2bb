//! What translates: a run, a checkpoint, or a bare weight file.

use super::reader::NO_ENCODER;
use super::{Args, Direction};
use crate::commands::trained::open_trained;
use crate::commands::weights::{WeightFile, is_weight_file};
use crate::exit::{BAD_MODEL, Coded, USAGE};
use anyhow::{Context, bail};
use candle_core::{DType, Tensor};
use gan_data::{Batch, DataConfig, DataMode};
use gan_nets::{Arch, CapturedGenerator, GeneratorConfig, Network};
use gan_train::conditioning::Condition;
use gan_train::config::Layer;
use gan_train::{Place, Translator, smallest_side};
use std::path::Path;

/// What the label maps of a bare pix2pixHD generator are.
#[derive(clap::Args)]
pub(super) struct LabelArgs {
    /// Number of labels of a bare pix2pixHD generator; 0: its input is a picture. Without it all input channels but the
    /// edges are labels
    #[arg(long, value_name = "N")]
    label_nc: Option<usize>,
    /// The generator sees no edges of instance maps
    #[arg(long)]
    no_instance: bool,
}

/// A model ready to translate.
pub(super) struct Model {
    pub(super) translator: Box<dyn Translator>,
    /// What its inputs are.
    pub(super) data: DataConfig,
    /// What the user should know about it.
    pub(super) notes: Vec<String>,
}

impl Model {
    pub(super) fn open(args: &Args, place: &Place) -> anyhow::Result<Self> {
        if is_weight_file(&args.model) { Self::of_weights(args, place) } else { Self::of_run(args, place) }
    }

    fn of_run(args: &Args, place: &Place) -> anyhow::Result<Self> {
        args.weights.refuse_for_runs()?;
        if args.labels.label_nc.is_some() || args.labels.no_instance {
            bail!(Coded(2, "--label-nc and --no-instance are for bare weight files: a run knows its labels".into()));
        }
        let trained = open_trained(&args.model)?;
        let method = trained.method().name;
        let mut data = (trained.method().resolve)(&[Layer::saved(trained.config())?])?.data();
        if args.direction == Direction::B2a && !trained.has("g_b") {
            let side = if data.direction == gan_data::Direction::B2a { "B to A" } else { "A to B" };
            bail!(Coded(
                USAGE,
                format!(
                    "--direction b2a is for models of CycleGAN, which know both ways: this {method} model has one generator, trained from {side}; leave --direction out"
                )
            ));
        }
        if args.encode.is_some() && !has_encoder(trained.config()) {
            bail!(Coded(USAGE, NO_ENCODER.into()));
        }
        if args.direction == Direction::B2a {
            (data.input_nc, data.output_nc) = (data.output_nc, data.input_nc);
        }
        refuse_many_channels(&args.model, data.output_nc, data.mode)?;
        let translator = trained.translator(&args.options(), place)?;
        Ok(Model { translator, data, notes: Vec::new() })
    }

    fn of_weights(args: &Args, place: &Place) -> anyhow::Result<Self> {
        if args.encode.is_some() {
            bail!(Coded(2, "--encode needs a run: a bare weight file has no encoder beside the generator".into()));
        }
        let WeightFile { state, network, mut notes } = WeightFile::open(&args.model, &args.weights)?;
        let Network::Generator(mut config) = network else {
            let message = format!("{} holds a {network}: only generators translate", args.model.display());
            bail!(Coded(BAD_MODEL, message));
        };
        let data = inputs(&config, args)?;
        refuse_many_channels(&args.model, data.output_nc, data.mode)?;
        if args.direction == Direction::B2a {
            notes.push("a weight file holds one generator: --direction changes nothing".into());
        }
        // A U-Net's file does not tell whether it was trained with dropout, a ResNet's does.
        let unet = matches!(config.arch, Arch::Unet | Arch::Unet128 | Arch::Unet256);
        config.dropout |= unet && args.dropout.is_some();
        if args.dropout.is_some() && !config.dropout {
            notes.push("this generator has no dropout: --dropout changes nothing".into());
        }
        let weights = state.var_builder(place.dtype, &place.device);
        let at = weights.with_context(|| format!("cannot use {}", args.model.display()))?;
        let generator = args.options().prepare(config.build(at)?);
        let labels = (data.mode == DataMode::Labelled).then_some(data.label_nc);
        let translator = BareGenerator { generator, labels, dtype: place.dtype };
        Ok(Model { translator: Box::new(translator), data, notes })
    }
}

/// Whether a run trained an encoder of instance features.
fn has_encoder(config: &toml::Table) -> bool {
    config.get("encoder").and_then(|encoder| encoder.get("instance_feat")?.as_bool()).unwrap_or(false)
}

/// What no image format holds need not be computed.
fn refuse_many_channels(model: &Path, channels: usize, mode: DataMode) -> anyhow::Result<()> {
    if mode == DataMode::Colorization || (1..=4).contains(&channels) {
        return Ok(());
    }
    let model = model.display();
    bail!(Coded(
        BAD_MODEL,
        format!("{model} makes {channels} channels, and images are written with 1 to 4: its results cannot be written")
    ))
}

/// What a generator takes, as far as its tensors and the arguments tell.
fn inputs(config: &GeneratorConfig, args: &Args) -> anyhow::Result<DataConfig> {
    let GeneratorConfig { input_nc, output_nc, .. } = *config;
    let LabelArgs { label_nc, no_instance } = args.labels;
    let hd = matches!(config.arch, Arch::Global | Arch::Local);
    let pictures = DataConfig { input_nc, output_nc, ..DataConfig::default() };
    if !hd && label_nc.is_none() && args.inst.is_none() {
        let mode = if (input_nc, output_nc) == (1, 2) { DataMode::Colorization } else { DataMode::Single };
        return Ok(DataConfig { mode, ..pictures });
    }
    // Grey and colour pictures have one and three channels; fewer labels than that nobody trains on.
    let picture = matches!(input_nc, 1 | 3) && args.inst.is_none();
    let instances = !no_instance && (label_nc.is_some() || !picture);
    let rest = input_nc.saturating_sub(usize::from(instances));
    let label_nc = label_nc.unwrap_or(if picture { 0 } else { rest });
    if label_nc > 0 && label_nc != rest || rest == 0 {
        let edges = if instances { " and the edges of instances" } else { "" };
        let message = format!(
            "{} takes {input_nc} channels, which {label_nc} labels{edges} do not make; give --label-nc{} as in training. (Generators with instance features are translated from their run only.)",
            args.model.display(),
            if instances { " or --no-instance" } else { "" }
        );
        bail!(Coded(BAD_MODEL, message));
    }
    Ok(DataConfig {
        mode: DataMode::Labelled,
        input_nc: rest,
        label_nc,
        instances,
        load_size: 1024,
        crop_size: 512,
        multiple: config.size_multiple(),
        ..pictures
    })
}

/// A generator without its run.
struct BareGenerator {
    generator: CapturedGenerator,
    /// Number of labels, if the input is a label map (0: a picture that may come with instances).
    labels: Option<usize>,
    dtype: DType,
}

impl Translator for BareGenerator {
    fn translate(&self, batch: &Batch) -> gan_train::Result<Tensor> {
        let input = match self.labels {
            Some(classes) => Condition::new(batch, classes, self.dtype)?,
            None => Condition::Planes(batch.a.clone()),
        };
        Ok(self.generator.forward(&input)?)
    }

    fn size_multiple(&self) -> usize {
        self.generator.config().size_multiple()
    }

    fn smallest_side(&self) -> usize {
        smallest_side(self.generator.config())
    }
}
