//! Folders that a configuration names, where they are not called as the published sets call them.

use std::path::{Path, PathBuf};

use crate::config::DataConfig;
use crate::error::{Error, Result};
use crate::layout::{
    Layout, Located, holds_images, locate_collections, locate_pairs, phase_names, phase_note, subfolder_names,
};
use crate::listing::{Exclude, is_part};

/// What stands for the name of the part in the name of a folder: `photos-{phase}`.
const PHASE: &str = "{phase}";

/// A key of the `[data]` table that names a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FolderKey {
    /// `folder_a`: side A of pairs, or domain A.
    A,
    /// `folder_b`: side B of pairs, or domain B.
    B,
    /// `label_folder`: label maps.
    Labels,
    /// `image_folder`: the photographs that belong to label maps.
    Images,
    /// `instance_folder`: instance maps.
    Instances,
}

impl FolderKey {
    /// All keys.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::Labels, Self::Images, Self::Instances];

    /// Its name in the `[data]` table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "folder_a",
            Self::B => "folder_b",
            Self::Labels => "label_folder",
            Self::Images => "image_folder",
            Self::Instances => "instance_folder",
        }
    }
}

impl DataConfig {
    /// The folder that a key names, as it stands there.
    #[must_use]
    pub fn folder(&self, key: FolderKey) -> Option<&Path> {
        let folder = match key {
            FolderKey::A => &self.folder_a,
            FolderKey::B => &self.folder_b,
            FolderKey::Labels => &self.label_folder,
            FolderKey::Images => &self.image_folder,
            FolderKey::Instances => &self.instance_folder,
        };
        (!folder.as_os_str().is_empty()).then_some(folder)
    }

    /// Names a folder; an empty path names none.
    pub fn set_folder(&mut self, key: FolderKey, folder: PathBuf) {
        *match key {
            FolderKey::A => &mut self.folder_a,
            FolderKey::B => &mut self.folder_b,
            FolderKey::Labels => &mut self.label_folder,
            FolderKey::Images => &mut self.image_folder,
            FolderKey::Instances => &mut self.instance_folder,
        } = folder;
    }

    /// Whether the folders of the dataset are known: its root, or folders by their own names.
    #[must_use]
    pub fn names_files(&self) -> bool {
        !self.root.as_os_str().is_empty() || FolderKey::ALL.iter().any(|&key| self.folder(key).is_some())
    }

    /// The dataset's folder; where only its parts are named, the folder from which they are.
    #[must_use]
    pub fn base(&self) -> &Path {
        if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root }
    }

    /// The folders that the configuration names, from where its root is.
    #[must_use]
    pub fn named_places(&self) -> Vec<PathBuf> {
        let root = Some(self.root.clone()).filter(|root| !root.as_os_str().is_empty());
        let named = FolderKey::ALL.iter().filter_map(|&key| Some(self.root.join(self.folder(key)?)));
        root.into_iter().chain(named).collect()
    }

    /// The same dataset in another folder. Folders that were named by their whole path are not in it.
    #[must_use]
    pub fn moved_to(mut self, root: PathBuf) -> Self {
        self.root = root;
        for key in FolderKey::ALL {
            if self.folder(key).is_some_and(Path::is_absolute) {
                self.set_folder(key, PathBuf::new());
            }
        }
        self
    }

    /// Refuses folders that this mode does not read, and a side without the other.
    pub(crate) fn check_folders(&self, read: &[FolderKey]) -> Result<()> {
        let mode = self.mode.name();
        for key in FolderKey::ALL.into_iter().filter(|&key| self.folder(key).is_some()) {
            if !read.contains(&key) {
                let names: Vec<_> = read.iter().map(|key| key.name()).collect();
                let remedy = match &names[..] {
                    [] => "leave it out".to_owned(),
                    names => format!("name its folders with {}", names.join(", ")),
                };
                return Err(Error::config(format!("mode = \"{mode}\" reads no {}", key.name()), remedy));
            }
        }
        if self.folder(FolderKey::A).is_some() != self.folder(FolderKey::B).is_some() {
            let reason = "folder_a and folder_b are the two sides of a dataset, and one of them is missing";
            return Err(Error::config(reason, "name both"));
        }
        Ok(())
    }
}

/// A folder that a configuration names, for one part of the dataset.
#[derive(Debug)]
pub(crate) struct NamedFolder {
    pub(crate) folder: PathBuf,
    /// What is left out when it is listed.
    pub(crate) exclude: Exclude,
    /// What the user should know.
    pub(crate) note: Option<String>,
}

/// The folder that `key` names, for the part that the configuration asks for; `None` if it names none. The part is a folder
/// in it of that name, or stands in its name for `{phase}`; a folder without parts is read as a whole.
///
/// # Errors
/// [`Error::Dataset`] if there is no such folder, with the names of those that exist; or if it has parts and not this one.
pub(crate) fn named(config: &DataConfig, key: FolderKey) -> Result<Option<NamedFolder>> {
    let Some(name) = config.folder(key) else { return Ok(None) };
    let phases = phase_names(&config.phase);
    let text = name.to_string_lossy();
    let found = |folder: PathBuf, phase: &str| {
        Ok(Some(NamedFolder { folder, exclude: Exclude::none(), note: phase_note(&config.phase, phase) }))
    };
    if text.contains(PHASE) {
        let folders = phases.iter().map(|phase| (config.root.join(text.replace(PHASE, phase)), *phase));
        let Some((folder, phase)) = folders.clone().find(|(folder, _)| folder.is_dir()) else {
            let looked: Vec<_> = folders.map(|(folder, _)| folder.display().to_string()).collect();
            return Err(unknown(config, key, &looked.join(" and ")));
        };
        return found(folder, phase);
    }
    let folder = config.root.join(name);
    if !folder.is_dir() {
        return Err(unknown(config, key, &folder.display().to_string()));
    }
    if let Some(phase) = phases.iter().find(|phase| folder.join(phase).is_dir()) {
        return found(folder.join(phase), phase);
    }
    let parts: Vec<_> = subfolder_names(&folder).into_iter().filter(|name| is_part(name.as_ref())).collect();
    if !parts.is_empty() && !holds_images(&folder) {
        let reason = format!("it has no part `{}`; it has {}", config.phase, parts.join(", "));
        return Err(Error::dataset(&folder, reason, format!("make a folder of that name, or set {} anew", key.name())));
    }
    Ok(Some(NamedFolder { folder, exclude: Exclude::parts(), note: None }))
}

/// The two sides that a configuration names, if it does.
fn named_sides(config: &DataConfig) -> Result<Option<Located<[PathBuf; 2]>>> {
    let (Some(a), Some(b)) = (named(config, FolderKey::A)?, named(config, FolderKey::B)?) else { return Ok(None) };
    let notes = [&a, &b].iter().filter_map(|side| side.note.clone()).take(1).collect();
    // A side with parts beside one without: what is named like a part inside them is no image of this part either way.
    let exclude = if a.exclude.excludes_parts() { a.exclude } else { b.exclude };
    Ok(Some(Located { layout: [a.folder, b.folder], exclude, notes }))
}

/// The pairs of a configuration: in the folders that it names, or as [`locate_pairs`] finds them.
pub(crate) fn pairs_of(config: &DataConfig) -> Result<Located<Layout>> {
    match named_sides(config)? {
        Some(Located { layout: [a, b], exclude, notes }) => {
            Ok(Located { layout: Layout::TwoFolders(a, b), exclude, notes })
        }
        None => locate_pairs(&config.root, &config.phase),
    }
}

/// The two collections of a configuration: in the folders that it names, or as [`locate_collections`] finds them.
pub(crate) fn collections_of(config: &DataConfig) -> Result<Located<[PathBuf; 2]>> {
    match named_sides(config)? {
        Some(located) => Ok(located),
        None => locate_collections(&config.root, &config.phase),
    }
}

/// The error for a folder that is not there; `looked` is where it would be.
fn unknown(config: &DataConfig, key: FolderKey, looked: &str) -> Error {
    let root = config.base();
    let names = subfolder_names(root);
    let there = if names.is_empty() {
        format!("{} has no folders", root.display())
    } else {
        format!("the folders in {} are {}", root.display(), names.join(", "))
    };
    let reason = format!("{} leads to {looked}, which is no folder; {there}", key.name());
    Error::dataset(root, reason, "name one of them, or give its whole path")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::DataMode;

    fn made(names: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::TempDir::new().unwrap();
        names.iter().for_each(|name| std::fs::create_dir_all(dir.path().join(name)).unwrap());
        dir
    }

    fn found(dir: &tempfile::TempDir, name: &str, phase: &str) -> Result<String, String> {
        let config = DataConfig {
            root: dir.path().into(),
            phase: phase.into(),
            folder_a: name.into(),
            folder_b: name.into(),
            ..DataConfig::default()
        };
        let named = named(&config, FolderKey::A).map_err(|error| error.to_string())?.unwrap();
        Ok(named.folder.strip_prefix(dir.path()).unwrap_or(&named.folder).display().to_string())
    }

    #[test]
    fn a_part_is_inside_or_in_the_name_or_there_is_none() {
        let dir = made(&["photos/train", "photos/val", "maps-train", "maps-val", "flat"]);
        assert_eq!(found(&dir, "photos", "train").unwrap(), "photos/train");
        assert_eq!(found(&dir, "photos", "test").unwrap(), "photos/val", "as where names are the usual ones");
        assert_eq!(found(&dir, "maps-{phase}", "val").unwrap(), "maps-val");
        assert_eq!(found(&dir, "flat", "train").unwrap(), "flat");
        let whole = dir.path().join("flat");
        assert_eq!(found(&dir, whole.to_str().unwrap(), "train").unwrap(), "flat", "a whole path leads anywhere");
        let missing = found(&dir, "photos", "holdout").unwrap_err();
        assert!(missing.contains("no part `holdout`; it has train, val"), "{missing}");
    }

    #[test]
    fn what_is_missing_is_said_with_what_exists() {
        let dir = made(&["drawings", "photos"]);
        let missing = found(&dir, "fotos", "train").unwrap_err();
        assert!(missing.contains("folder_a leads to") && missing.contains("are drawings, photos;"), "{missing}");
        assert!(found(&dir, "x-{phase}", "test").unwrap_err().contains("x-val"));
    }

    #[test]
    fn folders_suit_the_mode_and_come_in_twos() {
        let with = |mode, keys: &[FolderKey]| {
            let mut config = DataConfig { mode, ..DataConfig::default() };
            keys.iter().for_each(|&key| config.set_folder(key, "x".into()));
            config.validate().map_err(|error| error.to_string())
        };
        use FolderKey::{A, B, Images, Instances, Labels};
        with(DataMode::Aligned, &[A, B]).unwrap();
        with(DataMode::Unaligned, &[A, B]).unwrap();
        with(DataMode::Labelled, &[Labels, Images, Instances]).unwrap();
        with(DataMode::Labelled, &[Labels]).unwrap();
        assert!(with(DataMode::Aligned, &[A]).unwrap_err().contains("name both"));
        assert!(
            with(DataMode::Aligned, &[Labels, Images])
                .unwrap_err()
                .contains("name its folders with folder_a, folder_b")
        );
        assert!(with(DataMode::Single, &[A, B]).unwrap_err().contains("reads no folder_a"));
        assert!(with(DataMode::Facades, &[A, B]).unwrap_err().contains("leave it out"));
    }

    #[test]
    fn a_dataset_that_moves_leaves_whole_paths_behind() {
        let whole = std::env::temp_dir().join("b");
        let config = DataConfig { folder_a: "a".into(), folder_b: whole, ..DataConfig::default() };
        let moved = config.moved_to("elsewhere".into());
        assert_eq!((moved.folder(FolderKey::A), moved.folder(FolderKey::B)), (Some(Path::new("a")), None));
        assert_eq!(moved.named_places(), [PathBuf::from("elsewhere"), PathBuf::from("elsewhere/a")]);
    }
}
