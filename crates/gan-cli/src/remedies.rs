//! What helps against an error, in words of the command line: libraries know nothing of it.

use crate::memory;
use gan_translate::device::DeviceError;
use std::error::Error;

/// The remedy for one cause of an error.
pub(crate) fn of(cause: &(dyn Error + 'static)) -> Option<&'static str> {
    if let Some(error) = cause.downcast_ref::<gan_data::Error>() {
        return of_data(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return gan_fs::remedy(error);
    }
    if let Some(gan_video::Error::NoFfmpeg { .. }) = cause.downcast_ref() {
        return Some(
            "install ffmpeg (`apt-get install ffmpeg`, `brew install ffmpeg`, `winget install ffmpeg`), or name it with --ffmpeg; \
             y4m streams and folders of frames need none",
        );
    }
    let weights = match cause.downcast_ref() {
        Some(gan_translate::Error::Weights(error)) => Some(error),
        _ => cause.downcast_ref(),
    };
    if let Some(gan_weights::Error::SeveralStateDicts { .. }) = weights {
        return Some("name one with --entry; `gan-cli summary FILE` lists their tensors");
    }
    if let Some(error) = cause.downcast_ref::<DeviceError>() {
        return of_device(error);
    }
    if let Some(gan_translate::Error::Device(error)) = cause.downcast_ref() {
        return of_device(error);
    }
    if let Some(gan_metrics::Error::OtherFile { .. }) = cause.downcast_ref() {
        return Some(
            "fetch the published file with `gan-cli fetch`, or take this one with --allow-other-weights: its figures compare \
             with no others",
        );
    }
    if let Some(error) = cause.downcast_ref::<gan_fetch::Error>() {
        return of_fetch(error);
    }
    match cause.downcast_ref::<gan_train::Error>()? {
        gan_train::Error::Data(error) => of_data(error),
        gan_train::Error::Device(error) => of_device(error),
        gan_train::Error::Metrics(error) => of_metrics(error),
        gan_train::Error::TooLittleMemory { .. } => memory::remedy(),
        gan_train::Error::NoBf16 => Some("--device cuda trains on the first GPU"),
        gan_train::Error::Loss(gan_losses::Error::NoVgg19 { .. }) => Some(
            "fetch VGG19 with `gan-cli fetch vgg19`, give another path with `--set loss.vgg19=FILE`, or train \
             without it (`--set loss.perceptual=none`)",
        ),
        _ => None,
    }
}

/// Of a metric of validation.
fn of_metrics(error: &gan_metrics::Error) -> Option<&'static str> {
    match error {
        gan_metrics::Error::NoWeights { .. } => Some(
            "fetch them with `gan-cli fetch inception` (kid) or `gan-cli fetch alexnet lpips_alex` (lpips), or \
             name their folder with `--set validation.weights=DIR`",
        ),
        gan_metrics::Error::OtherFile { .. } => Some(
            "fetch the published file with `gan-cli fetch`, or take this one with `--set validation.other_weights=true`: \
             its figures compare with no others",
        ),
        _ => None,
    }
}

fn of_fetch(error: &gan_fetch::Error) -> Option<&'static str> {
    match error {
        gan_fetch::Error::Restricted { .. } => Some("run again with --accept-licence if you accept them"),
        gan_fetch::Error::Absent { .. } | gan_fetch::Error::Damaged { .. } => Some("run again without --offline"),
        _ if error.is_disk_full() => {
            Some("make room or name another folder with --out, then run the same command again")
        }
        _ => None,
    }
}

fn of_device(error: &DeviceError) -> Option<&'static str> {
    match error {
        DeviceError::NotBuilt(_) => {
            Some("build it with `cargo build --release --features cuda`, or compute on the CPU (--device cpu)")
        }
        DeviceError::Unavailable { .. } => Some("--device cpu computes on the CPU"),
        _ => None,
    }
}

fn of_data(error: &gan_data::Error) -> Option<&'static str> {
    match error {
        gan_data::Error::Dataset { path, .. } if !path.exists() => {
            Some("`gan-cli fetch --list` names the published sets")
        }
        gan_data::Error::Dataset { remedy, .. } if remedy.contains("folder_a") => {
            Some("--a DIR --b DIR name the folders; `gan-cli dataset inspect` says what can be read")
        }
        gan_data::Error::Dataset { remedy, .. } if remedy.contains("label_folder") => Some(
            "--labels DIR --images DIR --instances DIR name the folders; `gan-cli dataset inspect` says what can be read",
        ),
        gan_data::Error::Io { source, .. } => gan_fs::remedy(source),
        gan_data::Error::Failed { failures, .. } => failures.iter().find_map(of_data),
        gan_data::Error::InColour { .. } => Some("`gan-cli dataset labels` makes ids of colours"),
        gan_data::Error::UnknownColours { .. } => {
            Some("add these colours to the palette, or take the nearest that it has with --nearest")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_fetched_is_said() {
        let path = std::path::PathBuf::from("no/such");
        let dataset = |path| gan_data::Error::Dataset { path, reason: String::new(), remedy: String::new() };
        assert!(of(&dataset(path.clone())).is_some_and(|remedy| remedy.contains("--list")));
        assert!(of(&gan_train::Error::Data(dataset(path.clone()))).is_some());
        assert_eq!(of(&dataset(std::env::temp_dir())), None);
        let missing = gan_losses::Error::NoVgg19 { path: path.clone() };
        assert!(of(&gan_train::Error::Loss(missing)).is_some_and(|remedy| remedy.contains("gan-cli fetch vgg19")));
        let damaged = gan_losses::Error::Vgg19 { path, reason: String::new() };
        assert_eq!(of(&gan_train::Error::Loss(damaged)), None);
    }

    #[test]
    fn the_remedy_of_a_missing_device_is_found_in_every_error_type() {
        let error = || DeviceError::NotBuilt("cuda".to_owned());
        let asked: [&(dyn Error + 'static); 3] =
            [&error(), &gan_train::Error::Device(error()), &gan_translate::Error::Device(error())];
        for error in asked {
            assert!(of(error).is_some_and(|remedy| remedy.contains("--device cpu")), "{error}");
        }
    }
}
