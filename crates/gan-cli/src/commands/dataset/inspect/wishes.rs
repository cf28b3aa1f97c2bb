//! What the user says about a dataset that is inspected.

use crate::commands::data_folders::{FolderArgs, places};
use gan_data::{DataConfig, DataMode, FolderKey, Report};
use gan_train::config::{ConfigSource, resolve};
use std::path::PathBuf;

/// What stands on the command line: where the dataset is, and what is known of it.
pub(super) struct Wishes {
    pub(super) root: PathBuf,
    pub(super) folders: Vec<(FolderKey, PathBuf)>,
    /// Settings of the data table, but for the mode.
    pub(super) settings: Vec<String>,
    pub(super) mode: Option<DataMode>,
}

impl Wishes {
    /// Reads flags and settings.
    ///
    /// # Errors
    /// Keys that the data table does not have, and values that they do not take.
    pub(super) fn new(
        root: PathBuf,
        folders: &FolderArgs,
        settings: &[String],
        mode: Option<&str>,
    ) -> anyhow::Result<Self> {
        let plain = |setting: &String| setting.strip_prefix("data.").unwrap_or(setting).to_owned();
        let (modes, settings): (Vec<_>, Vec<_>) =
            settings.iter().map(plain).partition(|setting| setting.starts_with("mode="));
        let mode = mode.map(|mode| format!("mode={mode}")).or_else(|| modes.last().cloned());
        let mode = mode.map(|mode| resolve(&DataConfig::default(), &[ConfigSource::Setting(mode)])).transpose()?;
        let folders = folders.within(&root);
        let wishes = Self { root, folders, settings, mode: mode.map(|config| config.mode) };
        wishes.data()?;
        Ok(wishes)
    }

    /// The data table that follows.
    ///
    /// # Errors
    /// As [`Wishes::new`].
    pub(super) fn data(&self) -> anyhow::Result<DataConfig> {
        let settings: Vec<_> = self.settings.iter().cloned().map(ConfigSource::Setting).collect();
        let set = resolve(&DataConfig::default(), &settings)?;
        let mut config = DataConfig { root: self.root.clone(), mode: self.mode.unwrap_or(set.mode), ..set };
        self.folders.iter().for_each(|(key, folder)| config.set_folder(*key, folder.clone()));
        Ok(config)
    }

    /// Where the dataset is, as settings; `folders` are the names of its folders.
    pub(super) fn layers(&self, folders: &[(FolderKey, PathBuf)]) -> Vec<ConfigSource> {
        let mut config = DataConfig { root: self.root.clone(), ..DataConfig::default() };
        folders.iter().for_each(|(key, folder)| config.set_folder(*key, folder.clone()));
        places(&config)
    }

    /// Whether the user sets this key of the data table.
    pub(super) fn sets(&self, key: &str) -> bool {
        self.settings.iter().any(|setting| setting.split_once('=').is_some_and(|(name, _)| name.trim() == key))
    }

    /// Number of labels and mark of pixels without one that suit the maps better than those of `config`, unless the user names
    /// one of them.
    pub(super) fn fitted_labels(&self, config: &DataConfig, report: &Report) -> Option<(usize, Option<u32>)> {
        let labels = report.labels.as_ref().filter(|_| !self.sets("label_nc") && !self.sets("dont_care"))?;
        let fitted = (labels.suggested_label_nc, labels.suggested_dont_care);
        (fitted != (config.label_nc, config.dont_care)).then_some(fitted)
    }
}
