//! Inputs, read as the model's training read them.

use super::alpha::{self, AlphaArg};
use super::files::{Translation, is_planes};
use crate::exit::{BAD_DATA, BAD_MODEL, Coded, USAGE};
use anyhow::bail;
use candle_core::Tensor;
use gan_data::{
    AlphaPolicy, Batch, DataConfig, DataMode, DecodeOptions, Depth, IdMap, Picture, Pixels, SharedDraws, Transform,
    adapt_channels, decode, decode_ids, has_alpha,
};
use gan_rng::{Key, Purpose};
use std::path::Path;

pub(super) const NO_ENCODER: &str = "--encode is for models with an instance feature encoder, which this is not";
const NO_INST: &str = "this model was trained with instance maps: name them with --inst";

/// Reads inputs at their own size, or in the sizes of a transform.
pub(super) struct Reader<'a> {
    pub(super) data: &'a DataConfig,
    pub(super) transform: Option<&'a Transform>,
    pub(super) inst: Option<&'a Path>,
    pub(super) encode: Option<&'a Path>,
    pub(super) alpha: Option<AlphaArg>,
}

/// What goes into the generator, and what is needed to make a picture of what comes out.
pub(super) struct Input {
    pub(super) batch: Batch,
    pub(super) depth: Depth,
    /// Colorization: the lightness that the predicted colours belong to.
    pub(super) lightness: Option<Tensor>,
    /// Alpha that the model does not take, `[H][W][1]`: it was there and is transparent somewhere, or is to be kept.
    pub(super) alpha: Option<Picture>,
}

impl Reader<'_> {
    /// Refuses what would fail for every file alike, and returns what the user should know.
    pub(super) fn check(&self, files: usize) -> anyhow::Result<Vec<&'static str>> {
        let mut notes = Vec::new();
        let labelled = self.is_labelled();
        if self.encode.is_some() && !labelled {
            bail!(Coded(USAGE, NO_ENCODER.into()));
        }
        match self.inst {
            None if labelled && self.data.instances => bail!(Coded(BAD_MODEL, NO_INST.into())),
            Some(_) if !labelled || !self.data.instances => {
                notes.push("this model takes no instance maps: --inst changes nothing");
            }
            Some(path) if files > 1 && !path.is_dir() => bail!(Coded(
                USAGE,
                format!(
                    "{} is one instance map for {files} label maps; name the folder that holds theirs",
                    path.display()
                )
            )),
            _ => {}
        }
        if self.alpha.is_some() && self.takes_alpha() {
            notes.push("this model takes alpha as a channel: --alpha changes nothing");
        }
        Ok(notes)
    }

    pub(super) fn read(&self, job: &Translation) -> anyhow::Result<Input> {
        let names = vec![job.stem.display().to_string()];
        let labelled = self.is_labelled();
        if labelled && self.data.label_nc > 0 {
            let labels = self.labels(&job.input)?;
            let frame = self.frame(labels.size(), job)?;
            let batch = Batch {
                a: frame.apply(labels).to_tensor()?.unsqueeze(0)?,
                b: self.style(&frame, &job.input)?,
                inst: self.instances(job, &frame)?,
                names,
            };
            return Ok(Input { batch, depth: Depth::Eight, lightness: None, alpha: None });
        }
        let colorization = self.data.mode == DataMode::Colorization;
        let (picture, alpha) = self.image(&job.input, (!colorization).then_some(self.data.input_nc))?;
        let depth = if picture.depth() == 16 { Depth::Sixteen } else { Depth::Eight };
        let alpha = alpha.filter(|alpha| self.alpha == Some(AlphaArg::Keep) || !alpha::is_opaque(alpha));
        if labelled {
            let frame = self.frame(picture.size(), job)?;
            let (b, inst) = (self.style(&frame, &job.input)?, self.instances(job, &frame)?);
            let batch = Batch { a: frame.apply(picture).to_tensor()?.unsqueeze(0)?, b, inst, names };
            return Ok(Input { batch, depth, lightness: None, alpha: alpha.map(|alpha| frame.apply(alpha)) });
        }
        let alpha = alpha.map(|alpha| self.alone(alpha, job)).transpose()?;
        let picture = self.alone(picture, job)?;
        let (a, lightness) = if colorization {
            let (lightness, _) = gan_data::lab_tensors(&picture)?;
            (lightness.clone(), Some(lightness))
        } else {
            (picture.to_tensor()?, None)
        };
        let batch = Batch { a: a.unsqueeze(0)?, b: None, inst: None, names };
        Ok(Input { batch, depth, lightness, alpha })
    }

    fn is_labelled(&self) -> bool {
        matches!(self.data.mode, DataMode::Labelled | DataMode::Streets)
    }

    /// Whether the model's input has a channel for alpha.
    fn takes_alpha(&self) -> bool {
        let label_map = self.is_labelled() && self.data.label_nc > 0;
        has_alpha(self.data.input_nc) && !label_map && self.data.mode != DataMode::Colorization
    }

    /// Reads an image as so many channels (grey or colour, as it is, without a number), and the alpha that is not among
    /// them. Alpha that the run lays over white is not lost, unless it is to be written back.
    fn image(&self, path: &Path, channels: Option<usize>) -> anyhow::Result<(Picture, Option<Picture>)> {
        let policy = self.data.alpha;
        let picture = decode(path, &DecodeOptions { alpha: AlphaPolicy::Keep, ..self.data.decode_options() })?;
        let channels = channels.unwrap_or(if picture.channels() > 2 { 3 } else { 1 });
        let lost = policy != AlphaPolicy::Composite || self.alpha == Some(AlphaArg::Keep);
        let apart = lost && !has_alpha(channels) && !is_planes(path);
        let alpha = if apart { alpha::of(&picture) } else { None };
        Ok((adapt_channels(picture, channels, policy, path)?, alpha))
    }

    /// The transform of all parts of a file, and where it crops.
    fn frame(&self, size: (usize, usize), job: &Translation) -> gan_data::Result<Frame<'_>> {
        if let Some(transform) = self.transform {
            transform.check_source(size, &job.input)?;
        }
        Ok(Frame { size, transform: self.transform.map(|t| (t, t.draw(size, key(job)))) })
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
            bail!(Coded(BAD_MODEL, NO_INST.into()));
        };
        let file = if path.is_dir() { gan_data::partner(path, &job.stem)? } else { path.to_path_buf() };
        let map = decode_ids(&file, &self.data.decode_options())?;
        frame.check(map.size(), &file, &job.input)?;
        Ok(Some(frame.apply(map).to_tensor_u32()?.unsqueeze(0)?))
    }

    fn style(&self, frame: &Frame<'_>, labels: &Path) -> anyhow::Result<Option<Tensor>> {
        let Some(path) = self.encode else { return Ok(None) };
        let (picture, _) = self.image(path, Some(self.data.output_nc))?;
        frame.check(picture.size(), path, labels)?;
        Ok(Some(frame.apply(picture).to_tensor()?.unsqueeze(0)?))
    }
}

/// Crops, where there are any, depend on the name alone: the same file is cut the same way, whatever else is translated.
fn key(job: &Translation) -> Key {
    Key::new(0, Purpose::Augment).at_name(&job.stem.to_string_lossy())
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

    /// Refuses an instance map or a style image of another size.
    fn check(&self, size: (usize, usize), file: &Path, labels: &Path) -> anyhow::Result<()> {
        if size == self.size {
            return Ok(());
        }
        let ((w, h), (iw, ih)) = (self.size, size);
        let (file, labels) = (file.display(), labels.display());
        bail!(Coded(
            BAD_DATA,
            format!(
                "{file} is {iw}x{ih}, but the label map {labels} that it belongs to is {w}x{h}; give both one size"
            )
        ))
    }
}
