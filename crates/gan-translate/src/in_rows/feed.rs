//! An input that a network reads row by row, extended to a size that suits it.

use super::pixels::{Decoding, IdRows, ImageRows, Taken};
use crate::model_config::InputKind;
use crate::reader::{Files, Reader};
use crate::{Error, Result, alpha};
use candle_core::{Device, Tensor, bail};
use gan_data::{AlphaPolicy, Image, LabelRule, adapt_channels, lab_tensors};
use gan_layers::bands::{Content, RowSource};
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The rows of an input, mirrored at the right and lower border as far as the network wants.
pub(super) struct Feed {
    pixels: RefCell<Pixels>,
    content: Content,
    /// Height and width of the file, and of what the network sees.
    size: (usize, usize),
    extended: (usize, usize),
    /// The first row that those below the image repeat, and the rows from it on, once they were read.
    mirrored_from: usize,
    tail: RefCell<Vec<Tensor>>,
    /// Whether alpha that the model does not take is transparent somewhere.
    transparent: Cell<bool>,
    /// What went wrong with a file: the tensor library can pass on its text alone.
    failure: RefCell<Option<Error>>,
}

/// Files of an input.
enum Pixels {
    Image { rows: ImageRows, how: Adaption },
    Labels { map: IdRows, instances: Option<IdRows>, rule: LabelRule, path: PathBuf },
}

/// What becomes of the samples of an image.
#[derive(Clone)]
pub(super) struct Adaption {
    path: PathBuf,
    channels: usize,
    policy: AlphaPolicy,
    /// Whether alpha is looked at that the model does not take.
    apart: bool,
    /// Whether the network sees the lightness of colours.
    lightness: bool,
}

impl Feed {
    /// Opens the files of an input whose sides become multiples that are not below `smallest`. `None` for what is not read in rows.
    pub(super) fn open(
        reader: &Reader,
        files: &Files<'_>,
        how: &Decoding,
        (multiple, smallest): (usize, usize),
    ) -> Result<Option<Self>> {
        let pixels = match reader.input() {
            InputKind::Labels { label_nc, dont_care } => {
                let map = IdRows::open(files.input, how)?;
                let instances = match reader.instance_file(files)? {
                    Some(file) => {
                        let ids = IdRows::open(&file, how)?;
                        let (size, input_size) = (ids.size(), map.size());
                        if size != input_size {
                            return Err(Error::SizesDiffer { file, size, input: files.input.to_owned(), input_size });
                        }
                        Some(ids)
                    }
                    None => None,
                };
                let rule = LabelRule { label_nc: *label_nc, dont_care: *dont_care };
                Pixels::Labels { map, instances, rule, path: files.input.to_owned() }
            }
            InputKind::Image if reader.takes_instances() => return Ok(None),
            kind => {
                let lightness = *kind == InputKind::Lightness;
                let rows = ImageRows::open(files.input, how)?;
                let stored = usize::from(rows.header().channels);
                let channels = match lightness {
                    true if stored > 2 => 3,
                    true => 1,
                    false => reader.channels_in(),
                };
                let (policy, apart) = reader.alpha_of(files.input, channels);
                let how = Adaption { path: files.input.to_owned(), channels, policy, apart, lightness };
                Pixels::Image { rows, how }
            }
        };
        let (width, height) = pixels.size();
        let content = pixels.content();
        let extend = |side: usize| side.max(smallest).div_ceil(multiple) * multiple;
        let extended = (extend(height), extend(width));
        let mirrored_from = (height..extended.0).map(|row| mirror(row, height)).min().unwrap_or(height);
        Ok(Some(Feed {
            pixels: RefCell::new(pixels),
            content,
            size: (height, width),
            extended,
            mirrored_from,
            tail: RefCell::default(),
            transparent: Cell::new(false),
            failure: RefCell::default(),
        }))
    }

    /// Height and width of the file.
    pub(super) fn file_size(&self) -> (usize, usize) {
        self.size
    }

    /// Samples a pixel of the file as it is read, and bits of each; `None` for label maps.
    pub(super) fn stored(&self) -> Option<(usize, u32)> {
        match &*self.pixels.borrow() {
            Pixels::Image { rows, .. } => Some((rows.header().channels.into(), rows.header().depth)),
            Pixels::Labels { .. } => None,
        }
    }

    /// What it takes while a network reads it.
    pub(super) fn taken(&self) -> Taken {
        let mut taken = match &*self.pixels.borrow() {
            Pixels::Image { rows, .. } => rows.taken(),
            Pixels::Labels { map, instances, .. } => {
                let mut taken = map.taken();
                instances.iter().for_each(|instances| taken += instances.taken());
                taken
            }
        };
        let mirrored = (self.size.0 - self.mirrored_from) * self.extended.1 * self.channels() * size_of::<f32>();
        // Joined once, from the pieces in which they came.
        taken.held += 2 * mirrored as u64;
        taken
    }

    /// Bytes of the whole input as the network sees it, labels as they are.
    pub(super) fn tensor_bytes(&self) -> u64 {
        (self.extended.0 * self.extended.1 * self.channels() * size_of::<f32>()) as u64
    }

    /// Whether a pixel was transparent that the model did not see so.
    pub(super) fn is_transparent(&self) -> bool {
        self.transparent.get()
    }

    /// What went wrong with a file, if something did.
    pub(super) fn failure(&self) -> Option<Error> {
        self.failure.take()
    }

    fn channels(&self) -> usize {
        match self.content {
            Content::Planes { channels } => channels,
            Content::Labels { instances: true, .. } => 3,
            Content::Labels { .. } => 1,
        }
    }

    /// Rows of the image, extended to the right; those that are mirrored below it are kept.
    fn read(&self, rows: &Range<usize>) -> candle_core::Result<Tensor> {
        let read = self.pixels.borrow_mut().tensor(rows, &self.transparent);
        let x = match read {
            Ok(x) => x,
            Err(error) => {
                let text = error.to_string();
                self.failure.borrow_mut().get_or_insert(error);
                bail!("{text}")
            }
        };
        let x = extend_right(&x, self.extended.1)?;
        let mut tail = self.tail.borrow_mut();
        let kept: usize = tail.iter().map(|rows| rows.dims()[2]).sum();
        // The next row that is to be kept; of a sweep that comes later, none.
        let next = self.mirrored_from + kept;
        if next < self.size.0 && rows.contains(&next) {
            tail.push(x.narrow(2, next - rows.start, rows.end - next)?.contiguous()?);
        }
        Ok(x)
    }

    /// Rows below the image.
    fn mirrored(&self, rows: Range<usize>) -> candle_core::Result<Tensor> {
        let kept = || -> usize { self.tail.borrow().iter().map(|rows| rows.dims()[2]).sum() };
        while kept() < self.size.0 - self.mirrored_from {
            let next = self.mirrored_from + kept();
            self.read(&(next..self.size.0.min(next + 64)))?;
        }
        let mut tail = self.tail.borrow_mut();
        if tail.len() > 1 {
            *tail = vec![Tensor::cat(&tail, 2)?.contiguous()?];
        }
        let index = |row: usize| (mirror(row, self.size.0) - self.mirrored_from) as u32;
        tail[0].index_select(&Tensor::from_iter(rows.map(index), &Device::Cpu)?, 2)
    }
}

impl RowSource for Feed {
    fn content(&self) -> Content {
        self.content
    }

    #[allow(clippy::misnamed_getters)] // the size that the network sees
    fn size(&self) -> (usize, usize) {
        self.extended
    }

    fn rows(&self, rows: &Range<usize>) -> candle_core::Result<Tensor> {
        let height = self.size.0;
        let inside = rows.start..rows.end.min(height);
        let mut parts = Vec::new();
        if !inside.is_empty() {
            parts.push(self.read(&inside)?);
        }
        if rows.end > height {
            parts.push(self.mirrored(rows.start.max(height)..rows.end)?);
        }
        if parts.len() == 1 { Ok(parts.remove(0)) } else { Tensor::cat(&parts, 2) }
    }
}

/// The place in `0..count` that place `at` of a row that is mirrored back and forth repeats.
fn mirror(at: usize, count: usize) -> usize {
    let period = 2 * (count - 1).max(1);
    let at = at % period;
    if count == 1 { 0 } else { at.min(period - at) }
}

fn extend_right(x: &Tensor, width: usize) -> candle_core::Result<Tensor> {
    let count = x.dim(3)?;
    if count == width {
        return Ok(x.clone());
    }
    let index = Tensor::from_iter((count..width).map(|at| mirror(at, count) as u32), &Device::Cpu)?;
    Tensor::cat(&[x, &x.index_select(&index, 3)?], 3)
}

impl Pixels {
    /// Width and height.
    fn size(&self) -> (usize, usize) {
        match self {
            Pixels::Image { rows, .. } => (rows.header().width as usize, rows.header().height as usize),
            Pixels::Labels { map, .. } => map.size(),
        }
    }

    fn content(&self) -> Content {
        match self {
            Pixels::Image { how, .. } => Content::Planes { channels: if how.lightness { 1 } else { how.channels } },
            Pixels::Labels { instances, rule, .. } => {
                Content::Labels { classes: rule.classes(), instances: instances.is_some() }
            }
        }
    }

    /// Rows as [`RowSource::rows`] returns them, not extended.
    fn tensor(&mut self, rows: &Range<usize>, transparent: &Cell<bool>) -> Result<Tensor> {
        match self {
            Pixels::Image { rows: image, how } => how.tensor(image.read(rows)?, transparent),
            Pixels::Labels { map, instances, rule, path } => {
                let labels = rule.apply(map.read(rows)?, path).map_err(|error| of_label(error, rule, rows.start))?;
                let (width, height) = labels.size();
                let mut values: Vec<f32> = labels.raster().samples().iter().map(|&label| label as f32).collect();
                let mut channels = 1;
                if let Some(instances) = instances {
                    let ids = instances.read(rows)?;
                    let ids = ids.raster().samples();
                    values.extend(ids.iter().map(|&id| (id >> 16) as f32));
                    values.extend(ids.iter().map(|&id| (id & 0xffff) as f32));
                    channels = 3;
                }
                Ok(Tensor::from_vec(values, (1, channels, height, width), &Device::Cpu)?)
            }
        }
    }
}

/// A label out of range, at its row of the map.
fn of_label(error: gan_data::Error, rule: &LabelRule, first: usize) -> Error {
    match error {
        gan_data::Error::Label { path, x, y, value, .. } => {
            Error::LabelOutOfRange { path, x, y: y + first as u32, label: value, label_nc: rule.label_nc }
        }
        other => other.into(),
    }
}

impl Adaption {
    /// The rows `[1, C, rows, W]` that the network sees of those of a file.
    fn tensor(&self, image: Image, transparent: &Cell<bool>) -> Result<Tensor> {
        if self.apart && alpha::of(&image).is_some_and(|alpha| !alpha::is_opaque(&alpha)) {
            transparent.set(true);
        }
        let image = adapt_channels(image, self.channels, self.policy, &self.path)?;
        let x = if self.lightness { lab_tensors(&image)?.0 } else { image.to_tensor()? };
        Ok(x.unsqueeze(0)?)
    }
}

/// The same input once more, for what the output gets of it: its alpha, or the lightness that its colours belong to.
pub(super) struct Beside {
    rows: ImageRows,
    how: Adaption,
}

impl Beside {
    pub(super) fn open(feed: &Feed, path: &Path, decoding: &Decoding) -> Result<Option<Self>> {
        let how = match &*feed.pixels.borrow() {
            Pixels::Image { how, .. } => how.clone(),
            Pixels::Labels { .. } => return Ok(None),
        };
        Ok(Some(Beside { rows: ImageRows::open(path, decoding)?, how }))
    }

    pub(super) fn taken(&self) -> Taken {
        self.rows.taken()
    }

    /// The alpha of these rows, if the file has any.
    pub(super) fn alpha(&mut self, rows: &Range<usize>) -> Result<Option<Image>> {
        Ok(alpha::of(&self.rows.read(rows)?))
    }

    /// The lightness `[1, rows, W]` of these rows.
    pub(super) fn lightness(&mut self, rows: &Range<usize>) -> Result<Tensor> {
        Ok(self.how.tensor(self.rows.read(rows)?, &Cell::new(false))?.squeeze(0)?)
    }
}

#[cfg(test)]
mod tests {
    use super::mirror;

    #[test]
    fn mirrored_places() {
        assert_eq!((0..8).map(|at| mirror(at, 3)).collect::<Vec<_>>(), [0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!((0..3).map(|at| mirror(at, 1)).collect::<Vec<_>>(), [0, 0, 0]);
    }
}
