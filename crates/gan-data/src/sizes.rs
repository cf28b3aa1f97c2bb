//! The sizes of a dataset's items, read from the headers of its files before a long run starts.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use crate::config::DataConfig;
use crate::dataset::{Dataset, ItemFiles};
use crate::decode::probe;
use crate::error::{Error, Result};
use crate::preprocess::Preprocess;

/// Images spelt out in a message; there may be thousands.
const SHOWN: usize = 4;

/// Refuses a dataset some of whose images come out in a size that `unfit` has a reason against, differ in size where they
/// must not, or cannot be cropped. Reads the headers of the files, and only where the configuration leaves the sizes open.
///
/// # Errors
/// [`Error::Dataset`] listing the first images concerned, [`Error::Item`] for parts of one item that differ in size or an
/// image smaller than the crop; decoding errors of headers.
pub fn check_sizes(
    dataset: &dyn Dataset,
    config: &DataConfig,
    unfit: &dyn Fn((usize, usize)) -> Option<String>,
) -> Result<()> {
    if matches!(config.preprocess, Preprocess::Resize | Preprocess::ResizeAndCrop) {
        return Ok(());
    }
    let items = dataset.item_files();
    let sizes = items.par_iter().map(|item| size(item, config)).collect::<Result<Vec<_>>>()?;
    let mut reasons = BTreeMap::new();
    for &size in &sizes {
        reasons.entry(size).or_insert_with(|| unfit(size));
    }
    let refused: Vec<_> = items
        .iter()
        .zip(&sizes)
        .filter_map(|(item, size)| {
            let reason = reasons[size].as_ref()?;
            Some(format!("{} comes out as {}x{}, and {reason}", item.files[0].display(), size.0, size.1))
        })
        .collect();
    if !refused.is_empty() {
        return Err(unfit_images(config, &refused, items.len(), unfit));
    }
    if config.batch_size == 1 {
        return Ok(());
    }
    for part in 0..2 {
        let mut of_part = items.iter().zip(&sizes).filter(|(item, _)| item.part == part);
        let Some((first, first_size)) = of_part.next() else { continue };
        if let Some((other, size)) = of_part.find(|(_, size)| *size != first_size) {
            let (first, other) = (first.files[0].display(), other.files[0].display());
            let reason = format!(
                "a batch holds images of one size, but {first} comes out as {}x{} and {other} as {}x{}",
                first_size.0, first_size.1, size.0, size.1
            );
            let remedy = "set batch_size = 1, or preprocess = \"resize_and_crop\"";
            return Err(Error::dataset(config.base(), reason, remedy));
        }
    }
    Ok(())
}

/// `(width, height)` in which an item reaches the networks.
fn size(item: &ItemFiles, config: &DataConfig) -> Result<(usize, usize)> {
    let header = |path: &Path| {
        let header = probe(path, &config.decode_options())?;
        Ok::<_, Error>((header.width as usize, header.height as usize))
    };
    let path = &item.files[0];
    let (width, height) = header(path)?;
    let across = item.across.max(1) as usize;
    let first = ((width / across).max(1), height);
    for other in &item.files[1..] {
        let other_size = header(other)?;
        if other_size != first {
            return Err(Error::sizes_differ(path, first, other, other_size));
        }
    }
    let transform = config.transform();
    transform.check_source(first, path)?;
    let (w, h) = transform.size_before_crop(first);
    if item.alone && transform.preprocess.crops() && (w < config.crop_size || h < config.crop_size) {
        return Err(transform.smaller_than_crop((w, h), path));
    }
    let size = transform.size_after_crop(first);
    // Of an odd width, the right half is a column wider.
    let right = transform.size_after_crop((width - first.0 * (across - 1), height));
    if right != size {
        let reason = format!("its halves come out as {}x{} and {}x{}", size.0, size.1, right.0, right.1);
        return Err(Error::item(path, reason, "give it an even width, or use preprocess = \"resize_and_crop\""));
    }
    Ok(size)
}

fn unfit_images(
    config: &DataConfig,
    refused: &[String],
    items: usize,
    unfit: &dyn Fn((usize, usize)) -> Option<String>,
) -> Error {
    let shown = refused.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = refused.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let reason = format!("{} of {items} images do not suit the networks: {shown}{more}", refused.len());
    let crop = config.crop_size;
    let remedy = if unfit((crop, crop)).is_none() && config.load_size >= crop {
        "set preprocess = \"resize_and_crop\", or leave these images out"
    } else {
        "leave these images out, or choose smaller networks"
    };
    Error::dataset(config.base(), reason, remedy)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::config::DataMode;
    use crate::dynamic_image::Image;
    use crate::raster::Raster;

    /// A folder of images of these widths and heights: `train/0.png`, …
    fn folder(name: &str, sizes: &[(usize, usize)]) -> tempfile::TempDir {
        let dir = tempfile::TempDir::new().unwrap();
        for (i, &(w, h)) in sizes.iter().enumerate() {
            let image = Image::U8(Raster::from_fn(w, h, |x, y| [x as u8, y as u8, 9]));
            crate::encode::write_image(&dir.path().join(name).join(format!("{i}.png")), &image).unwrap();
        }
        dir
    }

    fn check(dir: &tempfile::TempDir, config: DataConfig, least: usize) -> Result<()> {
        let config = DataConfig { root: dir.path().to_path_buf(), ..config };
        let dataset = crate::open(&config).unwrap();
        check_sizes(&*dataset, &config, &|(w, h)| (w.min(h) < least).then(|| format!("the network takes {least}")))
    }

    #[test]
    fn images_that_come_out_too_small_are_listed() {
        let dir = folder("train", &[(80, 40), (40, 20), (80, 40)]);
        let none = DataConfig { preprocess: Preprocess::None, crop_size: 32, ..DataConfig::default() };
        check(&dir, none.clone(), 20).unwrap();
        let text = check(&dir, none.clone(), 24).unwrap_err().to_string();
        let words = ["1 of 3 images", "1.png comes out as 20x20", "the network takes 24", "resize_and_crop"];
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
        // The remedy works.
        check(&dir, DataConfig { preprocess: Preprocess::ResizeAndCrop, ..none }, 24).unwrap();
    }

    #[test]
    fn batches_hold_images_of_one_size() {
        let dir = folder("train", &[(80, 40), (64, 40)]);
        let pairs = DataConfig { preprocess: Preprocess::None, batch_size: 2, ..DataConfig::default() };
        let text = check(&dir, pairs.clone(), 1).unwrap_err().to_string();
        assert!(text.contains("0.png comes out as 40x40 and") && text.contains("1.png as 32x40"), "{text}");
        check(&dir, DataConfig { batch_size: 1, ..pairs }, 1).unwrap();
    }

    #[test]
    fn what_a_crop_or_a_width_makes_of_an_image_is_known_before() {
        let dir = folder("train", &[(60, 80), (60, 30)]);
        let mode = DataMode::Colorization;
        let colour = DataConfig { mode, input_nc: 1, output_nc: 2, crop_size: 40, ..DataConfig::default() };
        let crop = DataConfig { preprocess: Preprocess::Crop, ..colour.clone() };
        let text = check(&dir, crop, 1).unwrap_err().to_string();
        assert!(text.contains("1.png") && text.contains("60x30 is smaller than the crop"), "{text}");
        let narrow = folder("train", &[(1, 60_000)]);
        let wide = DataConfig { preprocess: Preprocess::ScaleWidth, load_size: 40_000, ..colour };
        assert!(check(&narrow, wide, 1).unwrap_err().to_string().contains("too large"));
    }
}
