//! `gan-cli demo`: the main job on an embedded default.

use crate::commands::train::{Launch, resume, tell};
use crate::commands::trained::open_trained;
use crate::device::DeviceArgs;
use crate::exit::{BAD_MODEL, Coded, Done};
use crate::progress::{Progress, Said, bar, human};
use crate::start::Start;
use crate::wording::worded;
use crate::{interrupt, presets, process};
use anyhow::bail;
use candle_core::{Device, Tensor};
use gan_data::{Batch, DataConfig, DataMode, Dataset, Depth, Quantize, image_from_tensor, write_image};
use gan_metrics::features::to_u8;
use gan_metrics::image::{Pixels, SMALLEST_MS_SSIM, ms_ssim, ssim};
use gan_rng::{Key, Purpose};
use gan_train::config::ConfigSource;
use gan_train::events::Finish;
use gan_train::{DeviceConfig, Job, METHODS, MethodConfig, MethodSpec, find, resume_config};
use gan_translate::{Model, Options};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Held-out pairs that are measured, and how many of them are drawn as a row.
const TESTED: usize = 24;
const SHOWN: usize = 6;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder to write; the default is the first free one of demo, demo-2, …
    #[arg(long)]
    out: Option<PathBuf>,
    /// One setting over the demo's: for example `max_steps=100` for a shorter one
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Resume the demo in --out
    #[arg(long, requires = "out")]
    resume: bool,
    #[command(flatten)]
    said: Said,
    #[command(flatten)]
    device_config: DeviceArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let started = Instant::now();
    let out = args.out.clone().unwrap_or_else(free_folder);
    args.said.check()?;
    let device_config = args.device_config.open()?;
    let method = find(METHODS, "pix2pix")?;
    let config = config(&args, method, &out)?;
    let data = config.data();
    if !args.resume && !args.said.quiet {
        note!("drawing facades and training a pix2pix model to render them from their label maps");
    }
    let stop = interrupt::flag();
    let progress = Progress::new(Start::of(&*config, Some("demo"), &out)?, args.said, stop.clone());
    let launch = Launch {
        command: resume::command("demo", &out, &args.device_config.device),
        out: out.clone(),
        train: config.train().clone(),
        quiet: args.said.quiet,
        json: false,
    };
    let outcome = launch.checked(gan_train::train(Job {
        method,
        config,
        dataset: None,
        run: out.clone(),
        resume: args.resume,
        device_config: device_config.clone(),
        argv: process::command_line(),
        version: env!("CARGO_PKG_VERSION").into(),
        revision: option_env!("GAN_REVISION").map(Into::into),
        stop,
        observers: vec![Box::new(progress)],
        ranks: std::sync::Arc::new(gan_train::Single),
    }))?;
    if outcome.finish == Finish::Interrupted {
        launch.interrupted(&outcome);
        return Ok(Done::Interrupted);
    }
    let scores = evaluate(&out, &data, &device_config)?;
    let ms_ssim = if scores.model.ms_ssim.is_some() { "   MS-SSIM" } else { "" };
    out!("held-out pairs ({TESTED}), levels of 0..255   L1      PSNR       SSIM{ms_ssim}");
    out!("  the trained model                       {}", scores.model);
    out!("  baseline: mean training image           {}", scores.baseline);
    out!("label map | model | truth: {}", out.join("held-out.png").display());
    out!("gallery:                   {}", out.join("gallery/index.html").display());
    if !args.said.quiet {
        note!("done in {}", human(started.elapsed().as_secs_f64()));
    }
    Ok(Done::Complete)
}

/// The demo's configuration, or that of the demo to be resumed, with the settings.
fn config(args: &Args, method: &MethodSpec, out: &Path) -> anyhow::Result<Box<dyn MethodConfig>> {
    let with = |base: ConfigSource| {
        let settings = args.set.iter().cloned().map(ConfigSource::Setting);
        let traced = (method.trace)(&std::iter::once(base).chain(settings).collect::<Vec<_>>());
        traced.inspect(|traced| tell(&traced.shared)).map(|traced| traced.config)
    };
    if !args.resume {
        return Ok(with(presets::layer(method.name, "demo")?)?);
    }
    if resume::of_run(out).is_none_or(|of_run| of_run.name == method.name) {
        let config = resume_config(out, method, |saved| with(ConfigSource::saved(saved)?))?;
        if config.data().mode == DataMode::Facades {
            return Ok(config);
        }
    }
    let command = resume::command("train", out, &args.device_config.device);
    bail!(Coded(BAD_MODEL, format!("{}: this run is no demo; resume it with: {command}", out.display())))
}

fn free_folder() -> PathBuf {
    let mut name = PathBuf::from("demo");
    let mut n = 2;
    while name.exists() {
        name = PathBuf::from(format!("demo-{n}"));
        n += 1;
    }
    name
}

struct Scores {
    model: Score,
    baseline: Score,
}

/// Sums over many images: absolute and squared error in levels of 0..255, and similarity.
#[derive(Default)]
struct Score {
    l1: f64,
    squared: f64,
    ssim: f64,
    /// For images that are large enough; the demo's are, with other settings.
    ms_ssim: Option<f64>,
    images: usize,
}

impl Score {
    fn add(&mut self, have: &Tensor, truth: &Tensor) -> anyhow::Result<()> {
        let d = ((have.clamp(-1f32, 1f32)? - truth)? * 127.5)?;
        self.l1 += f64::from(d.abs()?.mean_all()?.to_scalar::<f32>()?);
        self.squared += f64::from(d.sqr()?.mean_all()?.to_scalar::<f32>()?);
        let image = |t: &Tensor| Ok::<_, gan_data::Error>(to_u8(image_from_tensor(t, Depth::U8, Quantize::Round)?));
        let (have, truth) = (image(have)?, image(truth)?);
        let (have, truth) = (Pixels::try_from(&have)?, Pixels::try_from(&truth)?);
        self.ssim += ssim(&have, &truth)?;
        if truth.height().min(truth.width()) >= SMALLEST_MS_SSIM {
            *self.ms_ssim.get_or_insert(0.0) += ms_ssim(&have, &truth)?;
        }
        self.images += 1;
        Ok(())
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.images.max(1) as f64;
        let psnr = 10.0 * (255f64.powi(2) * n / self.squared).log10();
        write!(f, "{:5.2}   {psnr:5.2} dB   {:.4}", self.l1 / n, self.ssim / n)?;
        self.ms_ssim.map_or(Ok(()), |sum| write!(f, "   {:.4}", sum / n))
    }
}

/// Translates held-out label maps, measures against the truth and draws a few as an image of rows.
fn evaluate(run: &Path, data: &DataConfig, device_config: &DeviceConfig) -> anyhow::Result<Scores> {
    let open = |phase: &str, items| {
        let data = data.clone().without_augmentation();
        gan_data::open(&DataConfig { phase: phase.into(), max_dataset_size: Some(items), ..data })
    };
    let item = |set: &dyn Dataset, i: usize| {
        Batch::collate(vec![set.item(i, Key::new(0, Purpose::Augment).at(i as u64))?])
            .map(|b| (b.a.clone(), b.b.clone(), b))
    };
    let train = open("train", 64)?;
    let mut mean: Option<Tensor> = None;
    for i in 0..train.len() {
        if let (_, Some(photo), _) = item(&*train, i)? {
            mean = Some(match mean {
                Some(sum) => (sum + photo)?,
                None => photo,
            });
        }
    }
    let mean = mean.map(|sum| sum / train.len() as f64).transpose()?;
    let options = Options { device: device_config.clone(), ..Options::default() };
    let model = Model::load(&open_trained(run, None)?, options).map_err(worded)?;
    let test = open("test", TESTED)?;
    let mut scores = Scores { model: Score::default(), baseline: Score::default() };
    let mut rows = Vec::new();
    let bar = bar(test.len(), "translating held-out label maps");
    for i in 0..test.len() {
        let (label, truth, batch) = item(&*test, i)?;
        let (Some(truth), Some(mean)) = (truth, &mean) else { continue };
        let made = model.translate_batch(&batch)?.to_device(&Device::Cpu)?;
        scores.model.add(&made, &truth)?;
        scores.baseline.add(mean, &truth)?;
        if i < SHOWN {
            rows.push(Tensor::cat(&[&label, &made, &truth], 2)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let sheet = image_from_tensor(&Tensor::cat(&rows, 3)?, Depth::U8, Quantize::Round)?;
    write_image(&run.join("held-out.png"), &sheet)?;
    Ok(scores)
}
