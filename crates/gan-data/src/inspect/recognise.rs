//! The configuration that reads a folder, as far as the folder tells.

use std::path::{Path, PathBuf};

use super::guess::{Guess, guess};
use crate::config::{DataConfig, DataMode};
use crate::decode::decode_ids;
use crate::layout::{domains, holds_images, subfolder_names};
use crate::listing::image_files;
use crate::named_folders::{FolderKey, named};
use crate::pairing::{Names, match_names};

/// Parts of the names of folders of instance maps, of label maps and of photographs, in lower case.
const INSTANCES: [&str; 1] = ["inst"];
const LABELS: [&str; 5] = ["label", "mask", "seg", "annot", "gt"];
const IMAGES: [&str; 5] = ["image", "img", "photo", "picture", "jpeg"];
/// Beside label maps, what parts of names say of images to translate from.
const INPUTS: [&str; 6] = ["edge", "sketch", "draw", "line", "input", "source"];

/// `config` with the mode that most likely reads its folder, without instance maps where there are none, and with the folders' own
/// names where the usual ones are not there. Folders that the configuration names say what they are.
#[must_use]
pub fn recognise(config: &DataConfig) -> DataConfig {
    let is_named = |key| config.folder(key).is_some();
    let mut config = config.clone();
    if is_named(FolderKey::Labels) || is_named(FolderKey::Images) || is_named(FolderKey::Instances) {
        config.mode = DataMode::Labelled;
    } else if is_named(FolderKey::A) || is_named(FolderKey::B) {
        config.mode = if shares_names(&config) { DataMode::Aligned } else { DataMode::Unaligned };
    } else {
        let guess = guess(&config.root);
        config.mode = guess.mode();
        let usual = ["A", "trainA", "train_A", "train/A"].iter().any(|name| config.root.join(name).is_dir());
        let train = config.root.join("train");
        // Pairs side by side may lie in folders of `train`; two folders with the same names in it are two sides.
        let sides = guess == Guess::Pairs && train.is_dir() && !holds_images(&train);
        if (sides || matches!(guess, Guess::Images | Guess::Unpaired)) && !usual && !holds_images(&config.root) {
            let by_names = recognised_by_names(&config);
            config = by_names.filter(|found| !sides || found.mode != DataMode::Unaligned).unwrap_or(config);
        }
    }
    if config.mode == DataMode::Labelled && !is_named(FolderKey::Instances) {
        config.instances &= config.folder(FolderKey::Instances).is_some() || has_instances(&config.root);
    }
    config
}

/// Tries the folders' own names; none where they lead to nothing.
fn recognised_by_names(config: &DataConfig) -> Option<DataConfig> {
    for mode in [DataMode::Labelled, DataMode::Aligned] {
        let Some(folders) = suggest_folders(&config.root, mode) else { continue };
        let mut named = config.clone();
        folders.into_iter().for_each(|(key, folder)| named.set_folder(key, folder));
        // A drawing in colour is no map of ids, whatever its folder is called.
        if mode == DataMode::Labelled && !holds_ids(&named) {
            continue;
        }
        named.mode = if mode == DataMode::Aligned && !shares_names(&named) { DataMode::Unaligned } else { mode };
        return Some(named);
    }
    None
}

/// Whether the first file that should be a label map is one.
fn holds_ids(config: &DataConfig) -> bool {
    let files = named(config, FolderKey::Labels).ok().flatten().and_then(|place| image_files(&place.folder).ok());
    let first = files.as_deref().and_then(<[_]>::first);
    first.is_some_and(|file| decode_ids(&file.path, &config.decode_options()).is_ok())
}

fn has_instances(root: &Path) -> bool {
    ["train", "val", "test"].iter().any(|phase| root.join(format!("{phase}_inst")).is_dir())
}

/// Whether some files of the two sides have one name.
fn shares_names(config: &DataConfig) -> bool {
    let files = |key| {
        let place = named(config, key).ok()??;
        image_files(&place.folder).ok()
    };
    let (Some(a), Some(b)) = (files(FolderKey::A), files(FolderKey::B)) else { return true };
    match_names(&a, &b, Names::Whole).is_ok_and(|matched| !matched.pairs.is_empty())
}

/// Folders below `root` that `mode` could read although they do not have the usual names: two for the sides of pairs or for two
/// domains, in order of their names, or those whose names speak of labels and of images.
#[must_use]
pub fn suggest_folders(root: &Path, mode: DataMode) -> Option<Vec<(FolderKey, PathBuf)>> {
    let folders = candidates(root);
    match mode {
        DataMode::Aligned | DataMode::Unaligned => match &folders[..] {
            [first, second] => {
                let is_input = |folder: &Path| speaks(folder, &INPUTS) || speaks(folder, &LABELS);
                let (a, b) = if is_input(second) && !is_input(first) { (second, first) } else { (first, second) };
                Some(vec![(FolderKey::A, a.clone()), (FolderKey::B, b.clone())])
            }
            _ => None,
        },
        DataMode::Labelled => by_role(&folders),
        _ => None,
    }
}

/// Folders with images: in the root, or in its folder `train`, where `{phase}` stands for that.
fn candidates(root: &Path) -> Vec<PathBuf> {
    let named = |folders: Vec<PathBuf>, before: &str| -> Vec<PathBuf> {
        folders.iter().filter_map(|folder| Some(Path::new(before).join(folder.file_name()?))).collect()
    };
    let mut found = named(domains(root), "");
    // Folders that hold parts, and images in these.
    let divided = subfolder_names(root).into_iter().filter(|name| {
        let part = root.join(name).join("train");
        part.is_dir() && holds_images(&part)
    });
    found.extend(divided.map(PathBuf::from).filter(|folder| !holds_images(&root.join(folder))));
    if found.is_empty() {
        found = named(domains(&root.join("train")), "{phase}");
    }
    found.sort();
    found.dedup();
    found
}

/// Whether the name of a folder has one of these words in it.
fn speaks(folder: &Path, words: &[&str]) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    words.iter().any(|word| name.contains(word))
}

/// The folders whose names speak of labels, images and instances; where only one is left for the images, it is taken.
fn by_role(folders: &[PathBuf]) -> Option<Vec<(FolderKey, PathBuf)>> {
    let (instances, others): (Vec<_>, Vec<_>) = folders.iter().partition(|folder| speaks(folder, &INSTANCES));
    let (labels, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|folder| speaks(folder, &LABELS));
    let images: Vec<_> = rest.iter().copied().filter(|folder| speaks(folder, &IMAGES)).collect();
    let one = |found: &[&PathBuf]| match found {
        [only] => Some((*only).clone()),
        _ => None,
    };
    let mut roles = vec![(FolderKey::Labels, one(&labels)?)];
    roles.push((FolderKey::Images, one(&images).or_else(|| one(&rest))?));
    roles.extend(one(&instances).map(|folder| (FolderKey::Instances, folder)));
    Some(roles)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::dynamic_image::Image;
    use crate::encode::{write_ids, write_image};
    use crate::ids::IdMap;
    use crate::raster::Raster;

    /// What is made of a folder with these images: the mode, the folders that are named, and whether instances are read.
    fn recognised(files: &[&str]) -> (DataMode, String, bool) {
        let dir = tempfile::TempDir::new().unwrap();
        for file in files {
            let path = dir.path().join(file);
            match file.contains("mask") || file.contains("label") || file.contains("inst") {
                true => write_ids(&path, &IdMap::new(Raster::new(4, 4, 1, vec![1; 16]))).unwrap(),
                false => write_image(&path, &Image::U8(Raster::new(4, 4, 3, vec![9; 48]))).unwrap(),
            }
        }
        let config = recognise(&DataConfig { root: dir.path().into(), ..DataConfig::default() });
        let named =
            FolderKey::ALL.iter().filter_map(|&key| Some(format!("{}={}", key.name(), config.folder(key)?.display())));
        (config.mode, named.collect::<Vec<_>>().join(" "), config.instances)
    }

    #[test]
    fn own_names_are_found() {
        let of = |files: &[&str]| {
            let (mode, named, _) = recognised(files);
            (mode, named)
        };
        let named = |mode, text: &str| (mode, text.to_owned());
        use DataMode::{Aligned, Labelled, Single, Unaligned};
        assert_eq!(of(&["drawings/1.png", "photos/1.png"]), named(Aligned, "folder_a=drawings folder_b=photos"));
        assert_eq!(
            of(&["horses/train/1.png", "zebras/train/2.png"]),
            named(Unaligned, "folder_a=horses folder_b=zebras")
        );
        assert_eq!(of(&["train/l/1.png", "train/r/1.png"]), named(Aligned, "folder_a={phase}/l folder_b={phase}/r"));
        let aligned = named(Aligned, "folder_a=sketches folder_b=images");
        assert_eq!(of(&["images/1.png", "sketches/1.png"]), aligned, "drawings are the input");
        let labels = named(Labelled, "label_folder=masks image_folder=photos");
        assert_eq!(of(&["masks/1.png", "photos/1.png"]), labels);
        let files = of(&["train/street/1.png", "train/town/2.png"]);
        assert_eq!(files, named(Aligned, ""), "pairs side by side, in folders");
        assert_eq!(of(&["gt-colours/1.png", "photos/1.png"]).0, Aligned, "its images are no maps of ids");
        assert_eq!(of(&["horses/1.png", "zebras/2.png"]).0, Unaligned);
        assert_eq!(of(&["1.png"]), named(Single, ""));
        assert_eq!(of(&["a/1.png", "b/1.png", "c/1.png"]), named(Single, ""), "three folders tell nothing");
    }

    #[test]
    fn instances_are_read_where_there_are_some() {
        assert_eq!(recognised(&["train_label/1.png", "train_img/1.png"]), (DataMode::Labelled, String::new(), false));
        assert!(recognised(&["train_label/1.png", "train_img/1.png", "train_inst/1.png"]).2);
        let (mode, named, instances) = recognised(&["labels/1.png", "images/1.png", "instances/1.png"]);
        assert!(mode == DataMode::Labelled && instances && named.contains("instance_folder=instances"), "{named}");
    }
}
