//! Inputs, read as the model's training read them.

use super::files::Translation;
use crate::exit::{BAD_DATA, BAD_MODEL, Coded};
use anyhow::bail;
use candle_core::Tensor;
use gan_data::{
    Batch, DataConfig, DataMode, Depth, IdMap, Picture, Pixels, SharedDraws, Transform, adapt_channels, decode,
    decode_ids,
};
use gan_rng::{Key, Purpose};
use std::path::Path;

/// Reads inputs at their own size, or in the sizes of a transform.
pub(super) struct Reader<'a> {
    pub(super) data: &'a DataConfig,
    pub(super) transform: Option<&'a Transform>,
    pub(super) inst: Option<&'a Path>,
    pub(super) encode: Option<&'a Path>,
}

/// What goes into the generator, and what is needed to make a picture of what comes out.
pub(super) struct Input {
    pub(super) batch: Batch,
    pub(super) depth: Depth,
    /// Colorization: the lightness that the predicted colours belong to.
    pub(super) lightness: Option<Tensor>,
}

impl Reader<'_> {
    pub(super) fn read(&self, job: &Translation) -> anyhow::Result<Input> {
        let names = vec![job.stem.clone()];
        let labelled = matches!(self.data.mode, DataMode::Labelled | DataMode::Streets);
        if self.encode.is_some() && !labelled {
            bail!(Coded(2, "--encode is for models with an instance feature encoder, which this is not".into()));
        }
        if labelled && self.data.label_nc > 0 {
            let labels = self.labels(&job.input)?;
            let frame = self.frame(labels.size(), job);
            let batch = Batch {
                a: frame.apply(labels).to_tensor()?.unsqueeze(0)?,
                b: self.style(&frame)?,
                inst: self.instances(job, &frame)?,
                names,
            };
            return Ok(Input { batch, depth: Depth::Eight, lightness: None });
        }
        let picture = decode(&job.input, &self.data.decode_options())?;
        let depth = if picture.depth() == 16 { Depth::Sixteen } else { Depth::Eight };
        if self.data.mode == DataMode::Colorization {
            let (lightness, _) = gan_data::lab_tensors(&self.alone(picture, job)?)?;
            let batch = Batch { a: lightness.unsqueeze(0)?, b: None, inst: None, names };
            return Ok(Input { batch, depth, lightness: Some(lightness) });
        }
        let picture = adapt_channels(picture, self.data.input_nc, self.data.alpha, &job.input)?;
        let batch = if labelled {
            let frame = self.frame(picture.size(), job);
            let (b, inst) = (self.style(&frame)?, self.instances(job, &frame)?);
            Batch { a: frame.apply(picture).to_tensor()?.unsqueeze(0)?, b, inst, names }
        } else {
            let a = self.alone(picture, job)?.to_tensor()?.unsqueeze(0)?;
            Batch { a, b: None, inst: None, names }
        };
        Ok(Input { batch, depth, lightness: None })
    }

    /// The transform of all parts of a file, and where it crops.
    fn frame(&self, size: (usize, usize), job: &Translation) -> Frame<'_> {
        Frame { size, transform: self.transform.map(|t| (t, t.draw(size, key(job)))) }
    }

    fn alone(&self, picture: Picture, job: &Translation) -> anyhow::Result<Picture> {
        Ok(match self.transform {
            Some(transform) => transform.apply_alone(picture, key(job), &job.input)?,
            None => picture,
        })
    }

    fn labels(&self, path: &Path) -> anyhow::Result<IdMap> {
        let mut labels = decode_ids(path, &self.data.decode_options())?;
        let classes = self.data.label_nc as u32;
        if let Some(id) = self.data.dont_care {
            labels.replace(id, classes);
        }
        if let Some((x, y, id)) = labels.first_not_below(classes + u32::from(self.data.dont_care.is_some())) {
            let path = path.display();
            bail!(Coded(BAD_DATA, format!("{path}: label {id} at pixel ({x}, {y}) is not below label_nc = {classes}")));
        }
        Ok(labels)
    }

    fn instances(&self, job: &Translation, frame: &Frame<'_>) -> anyhow::Result<Option<Tensor>> {
        if !self.data.instances {
            return Ok(None);
        }
        let Some(path) = self.inst else {
            bail!(Coded(BAD_MODEL, "this model was trained with instance maps: name them with --inst".into()));
        };
        let file = if path.is_dir() { gan_data::partner(path, &job.stem)? } else { path.to_path_buf() };
        let map = decode_ids(&file, &self.data.decode_options())?;
        frame.check(&map, &file, &job.input)?;
        Ok(Some(frame.apply(map).to_tensor_u32()?.unsqueeze(0)?))
    }

    fn style(&self, frame: &Frame<'_>) -> anyhow::Result<Option<Tensor>> {
        let Some(path) = self.encode else { return Ok(None) };
        let channels = self.data.output_nc;
        let picture = decode(path, &self.data.decode_options_for(channels))?;
        let picture = adapt_channels(picture, channels, self.data.alpha, path)?;
        Ok(Some(frame.apply(picture).to_tensor()?.unsqueeze(0)?))
    }
}

/// Crops, where there are any, depend on the name alone: the same file is cut the same way, whatever else is translated.
fn key(job: &Translation) -> Key {
    Key::new(0, Purpose::Augment).at_name(&job.stem)
}

/// What the parts of one file share.
struct Frame<'a> {
    /// `(width, height)` of the file.
    size: (usize, usize),
    transform: Option<(&'a Transform, SharedDraws)>,
}

impl Frame<'_> {
    fn apply<P: Pixels>(&self, pixels: P) -> P {
        match self.transform {
            Some((transform, draws)) => transform.apply_shared(pixels, draws),
            None => pixels,
        }
    }

    /// Refuses an instance map of another size.
    fn check(&self, map: &IdMap, file: &Path, labels: &Path) -> anyhow::Result<()> {
        if map.size() == self.size {
            return Ok(());
        }
        let ((w, h), (iw, ih)) = (self.size, map.size());
        let (file, labels) = (file.display(), labels.display());
        bail!(Coded(
            BAD_DATA,
            format!("{file} is {iw}x{ih}, but its label map {labels} is {w}x{h}; give maps of one size")
        ))
    }
}
