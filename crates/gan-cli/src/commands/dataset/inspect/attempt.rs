//! A dataset as a method would read it, with one preset.

use super::wishes::Wishes;
use crate::commands::data_folders::flag;
use crate::commands::train::sized;
use crate::presets::{self, Preset};
use crate::shell::quoted;
use gan_data::{DataConfig, DataMode, FolderKey, Preprocess, ProblemKind, Report};
use gan_train::config::ConfigSource;
use gan_train::{MethodConfig, MethodSpec, Reading, check_dataset};
use std::path::{Path, PathBuf};

/// Inspects the dataset of a configuration.
pub(super) type Look<'a> = dyn FnMut(&DataConfig) -> Report + 'a;

/// Longest side of images that are resized as a whole.
const WHOLE: usize = 512;

/// A reading that was tried.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) reading: Reading,
    pub(super) preset: Option<&'static str>,
    /// `--size`.
    pub(super) size: Option<u32>,
    /// `--set`, beyond what the preset says.
    pub(super) settings: Vec<String>,
    /// Folders by their own names.
    pub(super) folders: Vec<(FolderKey, PathBuf)>,
    /// The data table.
    pub(super) data: DataConfig,
    pub(super) report: Report,
    /// Why training would refuse the dataset although its files are sound.
    pub(super) refusal: Option<String>,
}

impl Attempt {
    /// Whether it can be trained on.
    pub(super) fn fits(&self) -> bool {
        self.report.is_sound() && self.refusal.is_none()
    }

    /// Whether none of the folders was found.
    pub(super) fn finds_nothing(&self) -> bool {
        self.report.folders.is_empty()
    }

    /// How far it is from fitting: the least is the nearest. Of those whose files are not there, or are something else, none is nearer.
    pub(super) fn distance(&self) -> (bool, usize, usize) {
        let problems = &self.report.problems;
        let of = |kind: ProblemKind| problems.iter().filter(|problem| problem.kind == kind).count();
        match self.finds_nothing() || of(ProblemKind::NotPairs) > 0 {
            true => (true, 0, 0),
            false => (false, of(ProblemKind::Layout), problems.len()),
        }
    }

    /// Whether most files are pairs side by side, as their shape says: half of a photograph is taller than wide.
    pub(super) fn holds_wide_pairs(&self) -> bool {
        let sizes = self.report.folders.iter().filter(|folder| folder.role == "pairs").flat_map(|folder| &folder.sizes);
        let (mut wide, mut all) = (0, 0);
        for size in sizes {
            all += size.images;
            wide += if 2 * size.width >= 3 * size.height { size.images } else { 0 };
        }
        self.data.mode == DataMode::Aligned && 2 * wide > all
    }

    /// The command that trains on it.
    pub(super) fn command(&self, method: &str, wishes: &Wishes) -> String {
        let mut words = vec![format!("gan-cli train {method}")];
        let root = &wishes.root;
        if !root.as_os_str().is_empty() {
            words.push(format!("--data {}", quoted(root)));
        }
        words.extend(self.folders.iter().map(|(key, folder)| format!("{} {}", flag(*key), quoted(folder))));
        let place = if root.as_os_str().is_empty() { self.data.named_places().remove(0) } else { root.clone() };
        let name = std::path::absolute(&place).unwrap_or(place);
        let name = name.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy());
        words.push(format!("--out {}", quoted(&Path::new("runs").join(format!("{name}-{method}")))));
        words.extend(self.preset.map(|preset| format!("--preset {preset}")));
        words.extend(self.size.map(|size| format!("--size {size}")));
        words.extend(self.settings.iter().map(|setting| format!("--set {}", quoted(Path::new(setting)))));
        words.join(" ")
    }
}

/// Tries a reading of the files with the presets and sizes that may suit it, and returns the first attempt that fits, or else
/// the first one.
pub(super) fn attempt(
    method: &MethodSpec,
    reading: &Reading,
    folders: &[(FolderKey, PathBuf)],
    wishes: &Wishes,
    look: &mut Look<'_>,
) -> anyhow::Result<Attempt> {
    let mode = mode_of(method, reading)?;
    let mut trial = Trial { method, reading, folders, wishes, preset: presets::suited(method, mode, usize::MAX)? };
    let mut first = trial.run(None, None, look)?;
    let only_sizes = |kind: ProblemKind| matches!(kind, ProblemKind::TooSmall | ProblemKind::SizeMismatch);
    let hopeless = |report: &Report| report.problems.iter().any(|p| !only_sizes(p.kind)) && !report.is_sound();
    if first.finds_nothing() || hopeless(&first.report) {
        return Ok(first);
    }
    let preset = presets::suited(method, mode, first.report.items)?;
    if preset.map(|preset| preset.name) != first.preset {
        trial.preset = preset;
        first = trial.run(None, None, look)?;
    }
    let own = own_size(&first.report);
    let smaller = own.and_then(|own| smaller(own, &first.data));
    if let Some(size) = smaller {
        let attempt = trial.run(Some(size), None, look)?;
        if attempt.fits() {
            return Ok(attempt);
        }
    }
    if !first.fits()
        && let Some(size) = own.and_then(|own| whole(own, &first.data))
    {
        let attempt = trial.run(Some(size), Some("data.preprocess=resize"), look)?;
        if attempt.fits() {
            return Ok(attempt);
        }
    }
    Ok(first)
}

/// How a reading takes files.
pub(super) fn mode_of(method: &MethodSpec, reading: &Reading) -> anyhow::Result<DataMode> {
    let settings: Vec<_> = reading.settings.iter().cloned().map(ConfigSource::Setting).collect();
    Ok((method.resolve)(&settings)?.data().mode)
}

/// What stays the same in all attempts of a reading.
struct Trial<'a> {
    method: &'a MethodSpec,
    reading: &'a Reading,
    folders: &'a [(FolderKey, PathBuf)],
    wishes: &'a Wishes,
    preset: Option<&'static Preset>,
}

impl Trial<'_> {
    fn run(&self, size: Option<u32>, preprocess: Option<&str>, look: &mut Look<'_>) -> anyhow::Result<Attempt> {
        let Trial { reading, folders, wishes, .. } = self;
        let of_user = wishes.settings.iter().map(|setting| format!("data.{setting}"));
        let mut settings: Vec<String> =
            reading.settings.iter().cloned().chain(of_user).chain(preprocess.map(String::from)).collect();
        let config = self.config(size, &settings)?;
        let data = config.as_ref().map_or_else(|_| self.placed(), |config| Ok(config.data()))?;
        let mut attempt = Attempt {
            reading: (*reading).clone(),
            preset: self.preset.map(|preset| preset.name),
            size,
            settings: settings.clone(),
            folders: folders.to_vec(),
            report: look(&data),
            data,
            refusal: None,
        };
        let mut config = match config {
            Ok(config) => config,
            Err(reason) => return Ok(Attempt { refusal: Some(reason), ..attempt }),
        };
        if let Some((label_nc, dont_care)) = wishes.fitted_labels(&attempt.data, &attempt.report) {
            settings.push(format!("data.label_nc={label_nc}"));
            settings.extend(dont_care.map(|id| format!("data.dont_care={id}")));
            match self.config(size, &settings)? {
                Ok(fitted) => {
                    (attempt.data, attempt.report) = (fitted.data(), look(&fitted.data()));
                    config = fitted;
                }
                Err(reason) => attempt.refusal = Some(reason),
            }
        }
        if attempt.report.is_sound() && attempt.refusal.is_none() {
            attempt.refusal = check_dataset(&*config).err().map(|error| error.to_string());
        }
        attempt.settings = self.needed(size, &settings)?;
        Ok(attempt)
    }

    /// The data table as far as it does not depend on the method's networks.
    fn placed(&self) -> anyhow::Result<DataConfig> {
        let mut data = DataConfig { mode: mode_of(self.method, self.reading)?, ..self.wishes.data()? };
        self.folders.iter().for_each(|(key, folder)| data.set_folder(*key, folder.clone()));
        Ok(data)
    }

    /// The configuration, or why there is none.
    fn config(&self, size: Option<u32>, settings: &[String]) -> anyhow::Result<Result<Box<dyn MethodConfig>, String>> {
        let preset = self.preset.map(|preset| presets::layer(self.method.name, preset.name)).transpose()?;
        let base: Vec<_> = preset.into_iter().chain(self.wishes.layers(self.folders)).collect();
        let settings: Vec<_> = settings.iter().cloned().map(ConfigSource::Setting).collect();
        let resolve = |flags: &[ConfigSource]| {
            let layers = [base.as_slice(), flags, settings.as_slice()].concat();
            (self.method.resolve)(&layers).map_err(|error| error.to_string())
        };
        // As `train` does it: what --size means depends on the rest.
        Ok(resolve(&[]).and_then(|config| match size {
            None => Ok(config),
            Some(size) => {
                let DataConfig { preprocess, load_size, crop_size, .. } = config.data();
                resolve(&sized(size, preprocess, load_size, crop_size))
            }
        }))
    }

    /// The settings without which another configuration comes out.
    fn needed(&self, size: Option<u32>, settings: &[String]) -> anyhow::Result<Vec<String>> {
        let table = |settings: &[String]| -> anyhow::Result<Option<toml::Table>> {
            Ok(self.config(size, settings)?.ok().and_then(|config| config.to_table().ok()))
        };
        let whole = table(settings)?;
        let mut needed = settings.to_vec();
        for setting in settings {
            let without: Vec<_> = needed.iter().filter(|other| *other != setting).cloned().collect();
            if whole.is_some() && table(&without)? == whole {
                needed = without;
            }
        }
        Ok(needed)
    }
}

/// The most frequent size of what is trained on.
fn own_size(report: &Report) -> Option<(usize, usize)> {
    let folder = report.folders.first()?;
    let size = folder.sizes.first()?;
    Some((if folder.role == "pairs" { size.width / 2 } else { size.width }, size.height))
}

/// A size for images that would be enlarged.
fn smaller((width, height): (usize, usize), data: &DataConfig) -> Option<u32> {
    let own = match data.preprocess {
        Preprocess::ScaleWidth | Preprocess::ScaleWidthAndCrop => width,
        _ => width.min(height),
    };
    let (_, side) = data.side()?;
    if own < side { multiple(own, data) } else { None }
}

/// The side for images that are resized as a whole.
fn whole((width, height): (usize, usize), data: &DataConfig) -> Option<u32> {
    multiple(width.min(height).min(WHOLE), data)
}

/// The largest multiple of what the generator asks for.
fn multiple(side: usize, data: &DataConfig) -> Option<u32> {
    let side = side / data.multiple.max(1) * data.multiple;
    u32::try_from(side).ok().filter(|side| *side > 0)
}
