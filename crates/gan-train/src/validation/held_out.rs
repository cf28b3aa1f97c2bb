//! The part of the dataset that is held out.

use super::ValidationConfig;
use crate::{Error, Result};
use gan_data::{DataConfig, Dataset, Preprocess, check_sizes};
use std::path::Path;
use std::sync::Arc;

/// The configuration of the held-out part. Its images are whole: nothing is cropped or augmented. They have the size that the
/// references' test scripts give them, or else the scale of training.
pub(super) fn configure(data: &DataConfig, validation: &ValidationConfig) -> DataConfig {
    let (mut load_size, mut multiple) = (data.load_size, data.multiple);
    let preprocess = match data.preprocess {
        Preprocess::ResizeAndCrop => {
            // The references of images load at the size of the crop, those of label maps as in training.
            if data.transform().minimum_height {
                load_size = data.crop_size;
            }
            Preprocess::Resize
        }
        Preprocess::ScaleWidthAndCrop => Preprocess::ScaleWidth,
        Preprocess::Crop => {
            // A crop suits the networks; what a whole image lacks is extended when it is translated.
            multiple = 1;
            Preprocess::None
        }
        other => other,
    };
    DataConfig {
        phase: validation.split.clone(),
        preprocess,
        load_size,
        multiple,
        shuffle: false,
        batch_size: 1,
        max_dataset_size: if validation.limit == 0 { data.max_dataset_size } else { Some(validation.limit) },
        ..data.clone().without_augmentation()
    }
}

/// Opens the held-out part that `data` describes, and reads what must hold for each of its images.
///
/// # Errors
/// [`Error::Data`] if it is not there or cannot be used; [`Error::Config`] if it is what `training` reads.
pub(super) fn open(data: &DataConfig, training: &dyn Dataset, pairs: bool) -> Result<Arc<dyn Dataset>> {
    let dataset = gan_data::open(data).map_err(|error| of_split(&data.phase, error))?;
    let (held_out, trained) = (dataset.describe().folders, training.describe().folders);
    let refuse = |message: String| Err(Error::Config { origin: "configuration".into(), message });
    if let Some(folder) = held_out.iter().find(|folder| trained.contains(folder)) {
        return refuse(format!(
            "validation.split = \"{}\" leads to {}, which is trained on: hold a part of the dataset out in a folder of that name, or set validation.every = 0",
            data.phase,
            folder.display()
        ));
    }
    dataset.check()?;
    check_sizes(&*dataset, data, &|_| None)?;
    if pairs && !has_targets(&*dataset)? {
        return refuse(format!(
            "validation.split = \"{}\" has no targets to compare with: add them, or set validation.every = 0",
            data.phase
        ));
    }
    Ok(dataset)
}

/// Items of a part that is not trained on, to look at: whole images at the scale of training, of a size that the networks take. It is
/// `validation.split`; where nothing is validated and there is no such part, `test`. `None` if there is neither.
///
/// # Errors
/// [`Error::Data`] if there is such a part and it cannot be used.
pub(crate) fn for_previews(
    data: &DataConfig,
    validation: &ValidationConfig,
    training: &dyn Dataset,
) -> Result<Option<Arc<dyn Dataset>>> {
    let trained = training.describe().folders;
    let named = if validation.is_on() { vec![&*validation.split] } else { vec![&*validation.split, "test"] };
    for split in named.into_iter().filter(|split| *split != data.phase) {
        let part = ValidationConfig { split: split.to_owned(), ..validation.clone() };
        let data = DataConfig { multiple: data.multiple, ..configure(data, &part) };
        let dataset = match gan_data::open(&data) {
            Ok(dataset) => dataset,
            Err(gan_data::Error::Dataset { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        // A dataset without parts may give all of its images, whatever it is asked for.
        let folders = dataset.describe().folders;
        let of_part = |folder: &Path| {
            let within = folder.strip_prefix(&data.root).unwrap_or(folder);
            let mut names = within.components().map(|name| name.as_os_str().to_string_lossy());
            names.any(|name| [split, "val"].iter().any(|split| name.starts_with(*split)))
        };
        if !dataset.is_empty() && folders.iter().all(|folder| of_part(folder) && !trained.contains(folder)) {
            return Ok(Some(dataset));
        }
    }
    Ok(None)
}

/// Whether items have targets: of a dataset all have, or none.
fn has_targets(dataset: &dyn Dataset) -> Result<bool> {
    let key = gan_rng::Key::new(0, gan_rng::Purpose::Augment);
    Ok(dataset.item(0, key)?.b.is_some())
}

/// Says of a part that cannot be opened who asked for it.
fn of_split(split: &str, error: gan_data::Error) -> Error {
    match error {
        gan_data::Error::Dataset { path, reason, remedy } => {
            let reason = format!("for validation.split = \"{split}\": {reason}");
            let remedy = format!("{remedy}; or set validation.split to a part that there is, or validation.every = 0");
            gan_data::Error::Dataset { path, reason, remedy }.into()
        }
        other => other.into(),
    }
}

/// How many images of its own each domain has, input first. Where the domains differ, the items of the larger one pass by
/// images of the smaller one again.
pub(super) fn images_of_domains(dataset: &dyn Dataset) -> (usize, usize) {
    let files = dataset.item_files();
    let of_part = |part: usize| files.iter().filter(|file| file.part == part).count();
    match (of_part(0), of_part(1)) {
        (inputs @ 1.., targets @ 1..) => (inputs, targets),
        _ => (dataset.len(), dataset.len()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gan_data::{DataMode, SynthFiles, SynthKind, write_synth};

    fn validation(split: &str, limit: usize) -> ValidationConfig {
        ValidationConfig { every: 1, split: split.into(), limit, ..ValidationConfig::default() }
    }

    #[test]
    fn images_are_whole_and_at_the_scale_of_training() {
        let sized = |mode, preprocess| {
            let data =
                DataConfig { mode, preprocess, load_size: 286, crop_size: 256, multiple: 8, ..DataConfig::default() };
            let data = configure(&data, &validation("val", 3));
            assert!(!data.flip && !data.shuffle && !data.preprocess.crops());
            assert_eq!((data.batch_size, data.max_dataset_size, data.phase.as_str()), (1, Some(3), "val"));
            (data.preprocess, data.load_size, data.multiple)
        };
        use Preprocess::{Crop, None, Resize, ResizeAndCrop, ScaleWidth, ScaleWidthAndCrop};
        assert_eq!(sized(DataMode::Aligned, ResizeAndCrop), (Resize, 256, 8));
        assert_eq!(sized(DataMode::Labelled, ResizeAndCrop), (Resize, 286, 8));
        assert_eq!(sized(DataMode::Aligned, ScaleWidthAndCrop), (ScaleWidth, 286, 8));
        assert_eq!(sized(DataMode::Aligned, Crop), (None, 286, 1));
        assert_eq!(sized(DataMode::Aligned, None), (None, 286, 8));
    }

    #[test]
    fn it_is_there_and_not_what_is_trained_on() {
        let folder = tempfile::tempdir().unwrap();
        let what = SynthFiles { kind: SynthKind::Unpaired, seed: 1, size: 32, train: 3, test: 2 };
        write_synth(folder.path(), &what, |_, _| ()).unwrap();
        let data = DataConfig { mode: DataMode::Unaligned, root: folder.path().into(), ..DataConfig::default() };
        let training = gan_data::open(&data).unwrap();
        let open = |split: &str| open(&configure(&data, &validation(split, 0)), &*training, false);
        let test = open("test").unwrap();
        assert_eq!((test.len(), images_of_domains(&*test)), (2, (2, 2)));
        let missing = open("val").err().unwrap().to_string();
        assert!(
            missing.contains("validation.split = \"val\": looked for valA/") && missing.contains("testA"),
            "{missing}"
        );
        assert!(missing.contains("validation.every = 0"), "{missing}");
        std::fs::remove_file(folder.path().join("testB").join("00001.png")).unwrap();
        assert_eq!(images_of_domains(&*open("test").unwrap()), (2, 1));
        // Without parts, everything is trained on.
        for domain in ["A", "B"] {
            std::fs::rename(folder.path().join(format!("train{domain}")), folder.path().join(domain)).unwrap();
        }
        let training = gan_data::open(&data).unwrap();
        let error = super::open(&configure(&data, &validation("val", 0)), &*training, false).err().unwrap();
        assert!(error.to_string().contains("which is trained on"), "{error}");
    }

    #[test]
    fn label_maps_need_photographs_to_be_compared_with() {
        let folder = tempfile::tempdir().unwrap();
        let what = SynthFiles { kind: SynthKind::Streets, seed: 1, size: 32, train: 2, test: 1 };
        write_synth(folder.path(), &what, |_, _| ()).unwrap();
        let data = DataConfig { mode: DataMode::Labelled, root: folder.path().into(), ..DataConfig::default() };
        let training = gan_data::open(&data).unwrap();
        let open = || open(&configure(&data, &validation("test", 0)), &*training, true);
        open().unwrap();
        std::fs::remove_dir_all(folder.path().join("test_img")).unwrap();
        let error = open().err().unwrap().to_string();
        assert!(error.contains("no targets to compare with"), "{error}");
    }
}
