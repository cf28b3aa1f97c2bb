//! Where a dataset is: its folder, and flags for folders inside it under their own names.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use gan_data::{DataConfig, FolderKey, data_dir};
use gan_train::Error;
use gan_train::config::ConfigSource;
use std::path::{Path, PathBuf};

/// Names of parts that may stand for `{phase}`.
const PARTS: [&str; 3] = ["train", "val", "test"];

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FolderArgs {
    /// Folder of side A, whatever its name: in the dataset's folder, or a path from here (data.folder_a). Its folder `train`
    /// is the part `train`, or `{phase}` in the name stands for the part
    #[arg(long, value_name = "DIR", requires = "b")]
    a: Option<PathBuf>,
    /// Folder of side B; as --a (data.folder_b)
    #[arg(long, value_name = "DIR", requires = "a")]
    b: Option<PathBuf>,
    /// Folder of label maps; as --a (data.label_folder)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["a", "b"])]
    labels: Option<PathBuf>,
    /// Folder of the images that belong to label maps; as --a (data.image_folder)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["a", "b"])]
    images: Option<PathBuf>,
    /// Folder of instance maps; as --a (data.instance_folder)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["a", "b"])]
    instances: Option<PathBuf>,
}

/// The flag that names the folder of a key.
pub(crate) fn flag(key: FolderKey) -> &'static str {
    match key {
        FolderKey::A => "--a",
        FolderKey::B => "--b",
        FolderKey::Labels => "--labels",
        FolderKey::Images => "--images",
        FolderKey::Instances => "--instances",
    }
}

impl FolderArgs {
    fn given(&self) -> impl Iterator<Item = (FolderKey, &Path)> {
        let Self { a, b, labels, images, instances } = self;
        FolderKey::ALL
            .into_iter()
            .zip([a, b, labels, images, instances])
            .filter_map(|(key, path)| Some((key, path.as_deref()?)))
    }

    /// The folders of a dataset in `root`, as the configuration holds them: within the root where they are, else by their whole path.
    pub(crate) fn within(&self, root: &Path) -> Vec<(FolderKey, PathBuf)> {
        self.given().map(|(key, path)| (key, within(root, path))).collect()
    }

    /// The same as settings.
    ///
    /// # Errors
    /// [`Error::Config`] if a name is not Unicode: the configuration is text.
    pub(crate) fn layers(&self, root: &Path) -> gan_train::Result<Vec<ConfigSource>> {
        let layer = |(key, path): (FolderKey, PathBuf)| match path.to_str() {
            Some(text) => Ok(setting(key.name(), text)),
            None => Err(Error::Config { origin: flag(key).into(), message: not_unicode(&path) }),
        };
        self.within(root).into_iter().map(layer).collect()
    }
}

/// What is not in the root is a path from here; a whole path leads there from wherever the run goes on.
fn within(root: &Path, path: &Path) -> PathBuf {
    let exists = |base: &Path| {
        let path = base.join(path);
        let text = path.to_string_lossy();
        path.is_dir()
            || text.contains("{phase}") && PARTS.iter().any(|part| Path::new(&text.replace("{phase}", part)).is_dir())
    };
    if root.as_os_str().is_empty() || (path.is_relative() && exists(root)) {
        return path.to_owned();
    }
    match path.strip_prefix(root) {
        Ok(inside) => inside.to_owned(),
        Err(_) if exists(Path::new("")) => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
        Err(_) => path.to_owned(),
    }
}

fn not_unicode(path: &Path) -> String {
    format!("the name of {} is not Unicode; rename the folder", path.display())
}

fn setting(key: &str, text: &str) -> ConfigSource {
    ConfigSource::Setting(format!("data.{key}={}", toml::Value::String(text.to_owned())))
}

/// The setting of a dataset's folder.
///
/// # Errors
/// [`Coded`] if its name is not Unicode.
pub(crate) fn root_layer(root: &Path) -> anyhow::Result<ConfigSource> {
    match root.to_str() {
        Some(text) => Ok(setting("root", text)),
        None => bail!(Coded(USAGE, format!("--data: {}", not_unicode(root)))),
    }
}

/// Where the dataset of a configuration is, as settings.
pub(crate) fn places(data: &DataConfig) -> Vec<ConfigSource> {
    let named = FolderKey::ALL.into_iter().filter_map(|key| Some((key.name(), data.folder(key)?)));
    let all = std::iter::once(("root", data.root.as_path())).chain(named);
    all.map(|(key, path)| setting(key, &path.to_string_lossy())).collect()
}

/// The folders of a configuration for people: its root, or what it names.
pub(crate) fn shown(data: &DataConfig) -> String {
    if !data.root.as_os_str().is_empty() {
        return data.root.display().to_string();
    }
    data.named_places().iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(" and ")
}

/// A path as it is, or else the name of a fetched dataset.
pub(crate) fn dataset_root(path: &Path) -> PathBuf {
    let fetched = data_dir().join("datasets").join(path);
    if !path.exists() && path.components().count() == 1 && fetched.is_dir() { fetched } else { path.to_path_buf() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn folders_are_in_the_dataset_or_paths_from_here() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("scenes");
        for name in ["scenes/photos", "scenes/maps-val", "elsewhere"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        assert_eq!(within(&root, Path::new("photos")), Path::new("photos"));
        assert_eq!(within(&root, &root.join("photos")), Path::new("photos"));
        assert_eq!(within(&root, Path::new("maps-{phase}")), Path::new("maps-{phase}"));
        let elsewhere = dir.path().join("elsewhere");
        assert_eq!(within(&root, &elsewhere), elsewhere);
        assert_eq!(within(&root, Path::new("nowhere")), Path::new("nowhere"));
        // The tests run in the folder of the crate.
        assert!(within(&root, Path::new("src")).is_absolute());
        assert_eq!(within(Path::new(""), Path::new("src")), Path::new("src"));
        assert_eq!(within(Path::new("src"), Path::new("src/commands")), Path::new("commands"));
    }
}
