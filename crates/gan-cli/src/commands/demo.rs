//! `gan-cli demo`: the main job on an embedded default.

use crate::commands::trained::open_trained;
use crate::exit::Done;
use crate::place::PlaceArgs;
use crate::progress::{Progress, bar, human};
use crate::{interrupt, presets};
use candle_core::{Device, Tensor};
use gan_data::{Batch, DataConfig, Dataset, Depth, Quantize, picture_from_tensor, write_picture};
use gan_rng::{Key, Purpose};
use gan_train::events::Finish;
use gan_train::{Job, Place, TranslateOptions, data_config, methods, to_place, translate_fitted};
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
    #[command(flatten)]
    place: PlaceArgs,
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let started = Instant::now();
    let out = args.out.clone().unwrap_or_else(free_folder);
    let place = args.place.open()?;
    let method = methods::find("pix2pix")?;
    let settings = args.set.iter().cloned().map(gan_train::config::Layer::Setting);
    let layers: Vec<_> = std::iter::once(presets::layer(method.name, "demo")?).chain(settings).collect();
    let config = (method.resolve)(&layers)?;
    let data = data_config(method, &config)?;
    eprintln!(
        "drawing facades and training a pix2pix model to render them from their label maps, about two minutes on two cores"
    );
    let outcome = gan_train::train(Job {
        method,
        config,
        run: out.clone(),
        resume: false,
        place: place.clone(),
        argv: std::env::args().collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        stop: interrupt::flag(),
        observers: vec![Box::new(Progress::new())],
    })?;
    if outcome.finish == Finish::Interrupted {
        eprintln!(
            "interrupted at step {}; go on with `gan-cli train pix2pix --resume --out {}`",
            outcome.step,
            out.display()
        );
        return Ok(Done::Interrupted);
    }
    let scores = evaluate(&out, &data, &place)?;
    println!("held-out pairs ({TESTED}), levels of 0..255   L1      PSNR");
    println!("  the trained model                       {}", scores.model);
    println!("  doing nothing (the mean training photo) {}", scores.baseline);
    println!("label map | model | truth: {}", out.join("held-out.png").display());
    println!("gallery:                   {}", out.join("gallery/index.html").display());
    eprintln!("done in {}", human(started.elapsed().as_secs_f64()));
    Ok(Done::Complete)
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

/// Mean absolute and squared error over many pictures, in levels of 0..255.
#[derive(Default)]
struct Score {
    l1: f64,
    squared: f64,
    pictures: usize,
}

impl Score {
    fn add(&mut self, have: &Tensor, truth: &Tensor) -> candle_core::Result<()> {
        let d = ((have.clamp(-1f32, 1f32)? - truth)? * 127.5)?;
        self.l1 += f64::from(d.abs()?.mean_all()?.to_scalar::<f32>()?);
        self.squared += f64::from(d.sqr()?.mean_all()?.to_scalar::<f32>()?);
        self.pictures += 1;
        Ok(())
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.pictures.max(1) as f64;
        write!(f, "{:5.2}   {:5.2} dB", self.l1 / n, 10.0 * (255f64.powi(2) * n / self.squared).log10())
    }
}

/// Translates held-out label maps, measures against the truth and draws a few as a picture of rows.
fn evaluate(run: &Path, data: &DataConfig, place: &Place) -> anyhow::Result<Scores> {
    let open = |phase: &str, items| {
        gan_data::open(&DataConfig { phase: phase.into(), flip: false, max_dataset_size: Some(items), ..data.clone() })
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
    let translator = open_trained(run)?.translator(&TranslateOptions::default(), place)?;
    let test = open("test", TESTED)?;
    let mut scores = Scores { model: Score::default(), baseline: Score::default() };
    let mut rows = Vec::new();
    let bar = bar(test.len(), "translating held-out label maps");
    for i in 0..test.len() {
        let (label, truth, batch) = item(&*test, i)?;
        let (Some(truth), Some(mean)) = (truth, &mean) else { continue };
        let made = translate_fitted(&*translator, &to_place(batch, place)?)?.to_device(&Device::Cpu)?;
        scores.model.add(&made, &truth)?;
        scores.baseline.add(mean, &truth)?;
        if i < SHOWN {
            rows.push(Tensor::cat(&[&label, &made, &truth], 2)?);
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let sheet = picture_from_tensor(&Tensor::cat(&rows, 3)?, Depth::Eight, Quantize::Round)?;
    write_picture(&run.join("held-out.png"), &sheet)?;
    Ok(scores)
}
