//! From the command line to a configuration.

use super::{Args, dataset_root};
use crate::exit::{BAD_MODEL, Coded, USAGE};
use crate::presets;
use anyhow::bail;
use clap::ValueEnum;
use gan_data::Preprocess;
use gan_train::config::ConfigSource;
use gan_train::{Error, MethodConfig, MethodSpec};
use gan_weights::checkpoint;
use std::path::Path;

/// The settings that are changed most, as flags.
#[derive(clap::Args)]
pub(super) struct Shortcuts {
    /// Which side of a pair, or which domain, is the input (data.direction)
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// Side of the images that are trained on, in pixels: data.crop_size, with data.load_size in proportion; where nothing
    /// is cropped, data.load_size
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..))]
    size: Option<u32>,
    /// Images in a batch (data.batch_size)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    batch_size: Option<u32>,
    /// Epochs at the full learning rate (train.n_epochs); those of train.n_epochs_decay follow
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Learning rate (train.lr)
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    /// A (left half, folder A) is the input, B the target
    #[value(alias = "AtoB")]
    A2b,
    /// B (right half, folder B) is the input, A the target
    #[value(alias = "BtoA")]
    B2a,
}

impl Shortcuts {
    /// As settings, but for the size.
    fn layers(&self) -> impl Iterator<Item = ConfigSource> {
        let direction = self.direction.map(|direction| match direction {
            Direction::A2b => "data.direction=a2b".to_owned(),
            Direction::B2a => "data.direction=b2a".to_owned(),
        });
        let batch_size = self.batch_size.map(|n| format!("data.batch_size={n}"));
        let epochs = self.epochs.map(|n| format!("train.n_epochs={n}"));
        let lr = self.lr.map(|rate| format!("train.lr={rate:?}"));
        [direction, batch_size, epochs, lr].into_iter().flatten().map(ConfigSource::Setting)
    }
}

/// The configuration of a new run: defaults, preset, file, flags, then single settings.
pub(super) fn at_start(args: &Args, method: &MethodSpec) -> anyhow::Result<Box<dyn MethodConfig>> {
    let mut base = files(args, method)?;
    base.extend(root(args)?);
    Ok(over(base, args, method)?)
}

/// Preset and file.
pub(super) fn files(args: &Args, method: &MethodSpec) -> anyhow::Result<Vec<ConfigSource>> {
    let preset = args.preset.as_deref().map(|name| presets::layer(method.name, name)).transpose()?;
    let file = args.config.as_deref().map(file).transpose()?;
    Ok(preset.into_iter().chain(file).collect())
}

/// A configuration file. One that cannot be read is a bad configuration, as one is that cannot be understood.
fn file(path: &Path) -> anyhow::Result<ConfigSource> {
    ConfigSource::file(path).map_err(|error| match error {
        Error::Files(checkpoint::Error::Io { .. }) => Coded(BAD_MODEL, error.to_string()).into(),
        other => other.into(),
    })
}

/// `--data`.
pub(super) fn root(args: &Args) -> anyhow::Result<Option<ConfigSource>> {
    let Some(path) = args.data.as_deref().map(dataset_root) else { return Ok(None) };
    // The configuration is text.
    let Some(text) = path.to_str() else {
        bail!(Coded(USAGE, format!("--data: the name of {} is not Unicode; rename the folder", path.display())));
    };
    Ok(Some(rooted(text)))
}

/// The setting of a dataset's folder.
pub(super) fn rooted(folder: &str) -> ConfigSource {
    ConfigSource::Setting(format!("data.root={}", toml::Value::String(folder.to_owned())))
}

/// Lays the flags and settings of the command line over `base`.
pub(super) fn over(
    base: Vec<ConfigSource>,
    args: &Args,
    method: &MethodSpec,
) -> gan_train::Result<Box<dyn MethodConfig>> {
    let with = |size: &[ConfigSource], fine_tuning: &[ConfigSource]| {
        let settings = args.set.iter().cloned().map(ConfigSource::Setting).chain(fine_tuning.iter().cloned());
        let layers = base.iter().cloned().chain(args.shortcuts.layers()).chain(size.iter().cloned()).chain(settings);
        (method.resolve)(&layers.collect::<Vec<_>>())
    };
    let config = with(&[], &[])?;
    let data = config.data();
    let size = args.shortcuts.size.map(|side| sized(side, data.preprocess, data.load_size, data.crop_size));
    let (size, fine_tuning) = (size.unwrap_or_default(), args.fine_tuning.layers(config.train())?);
    if size.is_empty() && fine_tuning.is_empty() { Ok(config) } else { with(&size, &fine_tuning) }
}

/// The settings that make images of this side, where they are now loaded and cropped at these sizes.
fn sized(side: u32, preprocess: Preprocess, load_size: usize, crop_size: usize) -> Vec<ConfigSource> {
    let load = |size: u128| ConfigSource::Setting(format!("data.load_size={size}"));
    match preprocess {
        Preprocess::Resize | Preprocess::ScaleWidth | Preprocess::None => vec![load(u128::from(side))],
        Preprocess::ResizeAndCrop | Preprocess::Crop | Preprocess::ScaleWidthAndCrop => {
            let crop = crop_size.max(1) as u128;
            let proportional = (u128::from(side) * load_size as u128 + crop / 2) / crop;
            vec![ConfigSource::Setting(format!("data.crop_size={side}")), load(proportional.max(u128::from(side)))]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_keeps_the_proportion_of_load_and_crop() {
        let said = |preprocess, load, crop| {
            let texts = sized(128, preprocess, load, crop).into_iter().map(|layer| match layer {
                ConfigSource::Setting(text) => text,
                ConfigSource::Text { .. } | ConfigSource::Saved { .. } => String::new(),
            });
            texts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said(Preprocess::ResizeAndCrop, 286, 256), "data.crop_size=128 data.load_size=143");
        assert_eq!(said(Preprocess::Crop, 100, 256), "data.crop_size=128 data.load_size=128");
        assert_eq!(said(Preprocess::ScaleWidth, 1024, 256), "data.load_size=128");
        assert_eq!(said(Preprocess::ResizeAndCrop, 3, 0), "data.crop_size=128 data.load_size=384");
    }
}
