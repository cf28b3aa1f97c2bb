//! From the command line to a configuration.

use super::Args;
use crate::commands::data_folders::{dataset_root, root_layer};
use crate::exit::{BAD_MODEL, Coded};
use crate::presets;
use clap::ValueEnum;
use gan_data::Preprocess;
use gan_train::config::{ConfigSource, SharedSetting};
use gan_train::{Error, MethodSpec, Traced};
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
    /// Epochs in all: those at the full learning rate (train.n_epochs) and those in which it falls (train.n_epochs_decay), in
    /// the proportion that they have in the preset; where --set gives one of the two, the other takes the rest
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Learning rate (train.lr)
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// Files that other programs read, beside events.jsonl: event files of TensorBoard in RUN/tensorboard (train.tensorboard), the table
    /// RUN/events.csv (train.csv)
    #[arg(long, value_name = "KINDS", value_enum, value_delimiter = ',')]
    log: Vec<Log>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Log {
    /// Losses, metrics, previews and settings for TensorBoard
    Tensorboard,
    /// Losses and metrics as a table
    Csv,
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
    /// As settings, but for the size and the epochs.
    fn layers(&self) -> impl Iterator<Item = ConfigSource> {
        let direction = self.direction.map(|direction| match direction {
            Direction::A2b => "data.direction=a2b".to_owned(),
            Direction::B2a => "data.direction=b2a".to_owned(),
        });
        let batch_size = self.batch_size.map(|n| format!("data.batch_size={n}"));
        let lr = self.lr.map(|rate| format!("train.lr={rate:?}"));
        let logs = self.log.iter().map(|log| match log {
            Log::Tensorboard => "train.tensorboard=true".to_owned(),
            Log::Csv => "train.csv=true".to_owned(),
        });
        [direction, batch_size, lr].into_iter().flatten().chain(logs).map(ConfigSource::Setting)
    }
}

/// The configuration of a new run: defaults, preset, file, flags, then single settings.
pub(super) fn at_start(args: &Args, method: &MethodSpec) -> anyhow::Result<Traced> {
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
    args.data.as_deref().map(|path| root_layer(&dataset_root(path))).transpose()
}

/// Lays the flags and settings of the command line over `base`.
pub(super) fn over(base: Vec<ConfigSource>, args: &Args, method: &MethodSpec) -> gan_train::Result<Traced> {
    let with = |flags: &[ConfigSource], fine_tuning: &[ConfigSource]| {
        let settings = args.set.iter().cloned().map(ConfigSource::Setting).chain(fine_tuning.iter().cloned());
        let layers = base.iter().cloned().chain(args.shortcuts.layers()).chain(flags.iter().cloned()).chain(settings);
        (method.trace)(&layers.collect::<Vec<_>>())
    };
    let sizes = |traced: &Traced| {
        let data = traced.config.data();
        args.shortcuts.size.map(|side| sized(side, data.preprocess, data.load_size, data.crop_size))
    };
    let mut traced = match with(&[], &[]) {
        // The settings may fit the wanted size alone.
        Err(error) if args.shortcuts.size.is_some() => {
            let size = sizes(&(method.trace)(&base)?).unwrap_or_default();
            with(&size, &[]).map_err(|_| error)?
        }
        traced => traced?,
    };
    let size = sizes(&traced);
    let epochs = args.shortcuts.epochs.map(|total| epochs(total, &traced)).transpose()?;
    let folders = args.folders.layers(&traced.config.data().root)?;
    let flags: Vec<_> = size.into_iter().chain(epochs).flatten().chain(folders).collect();
    let fine_tuning = args.fine_tuning.layers(traced.config.train())?;
    if !flags.is_empty() || !fine_tuning.is_empty() {
        traced = with(&flags, &fine_tuning)?;
    }
    tell(&traced.shared);
    Ok(traced)
}

/// Says which networks a setting is for whose key several have.
pub(crate) fn tell(shared: &[SharedSetting]) {
    for SharedSetting { origin, set, left } in shared {
        let left = if left.is_empty() { String::new() } else { format!("; not for {}", left.join(", ")) };
        note!("note: {origin} is for {}{left}", set.join(" and "));
    }
}

/// The settings that make so many epochs in all, where the schedule is that of `traced`. What --set says of one part stands.
fn epochs(total: u32, traced: &Traced) -> gan_train::Result<Vec<ConfigSource>> {
    const KEYS: [&str; 2] = ["train.n_epochs", "train.n_epochs_decay"];
    let train = traced.config.train();
    let now = [train.n_epochs, train.n_epochs_decay];
    let is_set = KEYS.map(|key| traced.origins.get(key).is_some_and(|origin| origin.starts_with("setting ")));
    let rest = |at: usize| {
        total.checked_sub(now[at]).ok_or_else(|| {
            let message =
                format!("these are all epochs, and {} = {} has more; raise one or lower the other", KEYS[at], now[at]);
            Error::Config { origin: format!("--epochs {total}"), message }
        })
    };
    let [full, decay] = match is_set {
        [true, true] => now,
        [true, false] => [now[0], rest(0)?],
        [false, true] => [rest(1)?, now[1]],
        [false, false] => {
            let all = (u64::from(now[0]) + u64::from(now[1])).max(1);
            // Half an epoch more goes to the full rate. Not more than `total`.
            let decay = ((u64::from(total) * u64::from(now[1]) * 2 + all - 1) / (2 * all)) as u32;
            [total - decay, decay]
        }
    };
    let settings = KEYS.iter().zip([full, decay]).map(|(key, n)| ConfigSource::Setting(format!("{key}={n}")));
    Ok(settings.collect())
}

/// The settings that make images of this side, where they are now loaded and cropped at these sizes.
pub(crate) fn sized(side: u32, preprocess: Preprocess, load_size: usize, crop_size: usize) -> Vec<ConfigSource> {
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
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn epochs_are_all_epochs_in_the_proportion_of_the_schedule() {
        let split = |total: u32, layers: &[&str]| {
            let text = ConfigSource::Text { name: "preset".into(), toml: layers[0].into() };
            let settings = layers[1..].iter().map(|text| ConfigSource::Setting((*text).to_owned()));
            let layers: Vec<_> = std::iter::once(text).chain(settings).collect();
            let spec = gan_train::find(gan_train::METHODS, "pix2pix").unwrap();
            let flags = epochs(total, &(spec.trace)(&layers).unwrap()).map_err(|error| error.to_string())?;
            let config = (spec.resolve)(&[layers, flags].concat()).unwrap();
            Ok::<_, String>((config.train().n_epochs, config.train().n_epochs_decay))
        };
        assert_eq!(split(20, &[""]), Ok((10, 10)));
        assert_eq!(split(1, &[""]), Ok((1, 0)));
        assert_eq!(split(7, &[""]), Ok((4, 3)));
        let fastcut = "train.n_epochs = 150\ntrain.n_epochs_decay = 50";
        assert_eq!(split(7, &[fastcut]), Ok((5, 2)));
        assert_eq!(split(7, &["train.n_epochs = 5\ntrain.n_epochs_decay = 2"]), Ok((5, 2)), "once more");
        assert_eq!(split(9, &["train.n_epochs = 5\ntrain.n_epochs_decay = 0"]), Ok((9, 0)));
        assert_eq!(split(u32::MAX / 8, &["train.n_epochs = 0"]), Ok((0, u32::MAX / 8)));
        assert_eq!(split(20, &["", "n_epochs_decay=5"]), Ok((15, 5)));
        assert_eq!(split(20, &["", "n_epochs=5"]), Ok((5, 15)));
        let refused = split(20, &["", "n_epochs_decay=50"]).unwrap_err();
        assert!(refused.starts_with("--epochs 20: these are all epochs, and train.n_epochs_decay = 50"), "{refused}");
    }

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
