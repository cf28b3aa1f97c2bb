//! The contact sheet of a dataset.

use super::text;
use crate::commands::data_folders::shown;
use gan_data::{
    DataConfig, DataMode, Direction, Image, Legend, Preprocess, Report, Sheet, ShownItem, contact_sheet, label_colour,
    open, show_item, spread, whole_images, write_image,
};
use std::path::Path;

/// Longest side of an image that is kept for the sheet, in pixels.
const MOST: usize = 448;

/// Labels that the legend names.
const LEGEND: usize = 64;

/// Items of the dataset that `config` reads, spread over it, as they are parsed.
pub(super) fn of(config: &DataConfig, report: &Report, most: usize) -> Sheet {
    let mut title = vec![format!("{}: {}", shown(config), text::what(config, report))];
    title.extend((config.mode != DataMode::Single).then(|| size(config)));
    title.extend((config.direction == Direction::B2a).then(|| "direction b2a: side B is the input".to_owned()));
    let mut config = whole_images(config);
    if config.mode == DataMode::Single {
        // Nothing is trained on them.
        (config.preprocess, config.multiple) = (Preprocess::None, 1);
    }
    let items = match open(&config) {
        Ok(dataset) => {
            let show = |index| match show_item(&*dataset, &config, index) {
                Ok(item) => {
                    Ok(ShownItem { images: item.images.iter().map(|image| image.at_most(MOST)).collect(), ..item })
                }
                Err(error) => Err(error.to_string()),
            };
            spread(dataset.len(), most).into_iter().map(show).collect()
        }
        Err(error) => {
            title.push(format!("there is nothing to show: {error}"));
            Vec::new()
        }
    };
    Sheet { title, items, legend: legend(&config, report) }
}

/// What happens to the size of images, in words.
fn size(config: &DataConfig) -> String {
    let DataConfig { load_size, crop_size, .. } = config;
    match config.preprocess {
        Preprocess::Resize => format!("images are resized to {load_size}x{load_size}"),
        Preprocess::ResizeAndCrop => {
            format!("images are resized to {load_size}x{load_size}; training takes crops of {crop_size}x{crop_size}")
        }
        Preprocess::Crop => format!("training takes crops of {crop_size}x{crop_size}"),
        Preprocess::ScaleWidth => format!("images are scaled to a width of {load_size}"),
        Preprocess::ScaleWidthAndCrop => {
            format!("images are scaled to a width of {load_size}; training takes crops of {crop_size}x{crop_size}")
        }
        Preprocess::None => "images keep their size".to_owned(),
    }
}

/// The colours of the labels that occur.
fn legend(config: &DataConfig, report: &Report) -> Vec<Legend> {
    let (DataMode::Labelled, Some(labels)) = (config.mode, &report.labels) else { return Vec::new() };
    let rule = config.label_rule();
    let entry = |(id, share): (u32, f64)| {
        let unlabelled = Some(id) == rule.dont_care;
        let label = if unlabelled { rule.label_nc as u32 } else { id };
        let text = if unlabelled { format!("{id} (no label): {share:.1} %") } else { format!("{id}: {share:.1} %") };
        Legend { colour: label_colour(label, rule.classes()), text }
    };
    text::shares(&labels.pixels).into_iter().take(LEGEND).map(entry).collect()
}

/// Writes the sheet as an image.
pub(super) fn write(file: &Path, sheet: &Sheet) -> anyhow::Result<()> {
    Ok(write_image(file, &Image::U8(contact_sheet(sheet)))?)
}
