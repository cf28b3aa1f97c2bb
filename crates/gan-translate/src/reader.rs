//! Inputs, read as the model's training read them.

use crate::alpha::{self, Alpha};
use crate::bounded::check_input;
use crate::limit::MemoryLimit;
use crate::model_config::{InputKind, ModelConfig};
use crate::options::Options;
use crate::{Error, Result};
use candle_core::Tensor;
use gan_data::{
    AlphaPolicy, Batch, DecodeLimits, DecodeOptions, Depth, IdMap, Image, LabelRule, Part, Pixels, SharedDraws,
    Transform, adapt_channels, decode, decode_bytes, decode_ids, decode_ids_bytes, has_alpha, probe,
};
use gan_rng::{Key, Purpose};
use std::path::{Path, PathBuf};

/// The files of one translation.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The image or label map.
    pub input: &'a Path,
    /// What the input is called, by which its instance map is found in a folder; where crops lie depends on it alone.
    pub name: &'a Path,
    /// Its instance map, or the folder that holds it under the input's name.
    pub instances: Option<&'a Path>,
    /// An image that lends its style.
    pub style: Option<&'a Path>,
    /// The input, if it is not to be read from its path. The path is for messages then.
    pub content: Option<Content<'a>>,
    /// Its instance map, if it is not to be read from a path.
    pub instance_content: Option<Content<'a>>,
    /// The image that lends its style, if it is not to be read from its path, which is for messages then.
    pub style_content: Option<Content<'a>>,
    /// Which page of a TIFF the input is, counted from 0.
    pub page: usize,
}

/// What is in memory in the place of a file.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// The bytes of a file of any format, which are decoded.
    File(&'a [u8]),
    /// The pixels of an image, upright, of any number of channels.
    Image(&'a Image),
    /// The ids of a label or instance map.
    Ids(&'a IdMap),
}

impl<'a> Files<'a> {
    /// An input alone; its name is that of the file without the extension.
    #[must_use]
    pub fn new(input: &'a Path) -> Self {
        let name = input.file_stem().map_or(input, Path::new);
        let (content, instance_content, style_content) = (None, None, None);
        Files { input, name, instances: None, style: None, content, instance_content, style_content, page: 0 }
    }

    /// The input as an image.
    fn decode(&self, options: &DecodeOptions) -> Result<Image> {
        let options = DecodeOptions { page: self.page, ..*options };
        Ok(match self.content {
            None => decode(self.input, &options)?,
            Some(Content::File(bytes)) => decode_bytes(self.input, bytes, &options)?,
            Some(Content::Image(image)) => image.clone(),
            Some(Content::Ids(map)) => {
                let (width, height) = map.size();
                return Err(not_of_kind(vec![height, width], "[H, W, C] of an image"));
            }
        })
    }

    /// The input as a map of ids.
    fn decode_ids(&self, options: &DecodeOptions) -> Result<IdMap> {
        ids(self.input, self.content, &DecodeOptions { page: self.page, ..*options })
    }
}

/// The map of ids at a path, or in memory.
fn ids(path: &Path, content: Option<Content<'_>>, options: &DecodeOptions) -> Result<IdMap> {
    Ok(match content {
        None => decode_ids(path, options)?,
        Some(Content::File(bytes)) => decode_ids_bytes(path, bytes, options)?,
        Some(Content::Ids(map)) => map.clone(),
        Some(Content::Image(image)) => {
            let (width, height) = image.size();
            return Err(not_of_kind(vec![height, width, image.channels()], "[H, W] of a map of ids"));
        }
    })
}

fn not_of_kind(got: Vec<usize>, expected: &str) -> Error {
    Error::Shape { what: "what is in memory", got, expected: expected.to_owned() }
}

/// What goes into the networks, and what is needed to make an image of what comes out.
#[derive(Debug, Clone)]
pub struct Input {
    /// The input, with what belongs to it.
    pub batch: Batch,
    /// Bits a sample of the file.
    pub(crate) depth: Depth,
    /// The lightness that the colours of the output belong to.
    pub(crate) lightness: Option<Tensor>,
    /// Alpha that the model does not take, `[H][W][1]`: it was there and is transparent somewhere, or is to be written back.
    pub(crate) alpha: Option<Image>,
}

/// Reads inputs at their own size, or in the sizes of a transform.
#[derive(Debug)]
pub(crate) struct Reader {
    config: ModelConfig,
    /// Channels of the images that go in, and of those that come out.
    channels: (usize, usize),
    pub(crate) transform: Option<Transform>,
    alpha: Alpha,
    /// What a file may take: with a limit of memory that was asked for, as much as that.
    limits: DecodeLimits,
}

impl Reader {
    pub(crate) fn new(config: &ModelConfig, channels: (usize, usize), options: &Options) -> Result<Self> {
        let transform = options.sizes.as_ref().map(|sizes| config.sizes.transform_with(sizes)).transpose()?;
        let limits = match &options.limit {
            Some(limit) if limit.alone => {
                DecodeLimits { max_pixels: u64::MAX, max_bytes: limit.memory, max_side: i32::MAX as u32 }
            }
            _ => DecodeLimits::default(),
        };
        Ok(Reader { config: config.clone(), channels, transform, alpha: options.alpha, limits })
    }

    /// Refuses an input that would not fit into memory while it is decoded and becomes a tensor, from what its header says.
    pub(crate) fn check_memory(&self, files: &Files<'_>, limit: &MemoryLimit, parameters: u64) -> Result<()> {
        if files.content.is_some() {
            return Ok(());
        }
        // What is wrong with a file is said by who reads it.
        let Ok(header) = probe(files.input, &self.options_of(files)) else { return Ok(()) };
        let pixels = u64::from(header.width) * u64::from(header.height);
        let (stored, floats) =
            (u64::from(header.channels) * u64::from(header.depth / 8), self.channels.0.max(1) as u64 * 4);
        // While an image is decoded, its samples are there up to three times; then there are they and the tensor.
        let input = pixels * (3 * stored).max(stored + 2 * floats);
        check_input((header.width as usize, header.height as usize), input, limit, parameters)
    }

    /// How files are decoded; alpha is kept if `keep_alpha` is set.
    fn decoding(&self, keep_alpha: bool) -> DecodeOptions {
        DecodeOptions { limits: self.limits, ..self.config.read.decode_options(keep_alpha) }
    }

    /// Whether the model's input has a channel for alpha.
    pub(crate) fn takes_alpha(&self) -> bool {
        self.config.input == InputKind::Image && has_alpha(self.channels.0)
    }

    pub(crate) fn input(&self) -> &InputKind {
        &self.config.input
    }

    pub(crate) fn takes_instances(&self) -> bool {
        self.config.instances
    }

    /// Channels of the images that go in.
    pub(crate) fn channels_in(&self) -> usize {
        self.channels.0
    }

    /// How the input among files is decoded.
    pub(crate) fn options_of(&self, files: &Files<'_>) -> DecodeOptions {
        let labels = matches!(self.config.input, InputKind::Labels { .. });
        let options = if labels { self.decode_options() } else { self.decoding(true) };
        DecodeOptions { page: files.page, ..options }
    }

    /// What becomes of the alpha of an image that is read as so many channels, and whether it is looked at by itself.
    pub(crate) fn alpha_of(&self, path: &Path, channels: usize) -> (AlphaPolicy, bool) {
        let policy = self.config.read.alpha;
        let apart = policy != AlphaPolicy::Composite || self.alpha == Alpha::Restore;
        (policy, apart && !has_alpha(channels) && !is_planes(path))
    }

    pub(crate) fn read(&self, files: &Files<'_>) -> Result<Input> {
        match self.config.input {
            InputKind::Labels { label_nc, dont_care } => self.label_map(LabelRule { label_nc, dont_care }, files),
            InputKind::Lightness => self.lightness(files),
            InputKind::Image => self.image(files),
        }
    }

    fn label_map(&self, rule: LabelRule, files: &Files<'_>) -> Result<Input> {
        let map = files.decode_ids(&self.decode_options())?;
        let labels = rule.apply(map, files.input).map_err(|error| match error {
            gan_data::Error::Label { path, x, y, value, .. } => {
                Error::LabelOutOfRange { path, x, y, label: value, label_nc: rule.label_nc }
            }
            other => other.into(),
        })?;
        let frame = self.frame(labels.size(), files)?;
        let b = self.style(&frame, files)?;
        let inst = self.instances(&frame, files)?;
        let batch = Batch { a: frame.apply(labels).to_tensor()?.unsqueeze(0)?, b, inst, names: names(files) };
        Ok(Input { batch, depth: Depth::U8, lightness: None, alpha: None })
    }

    fn lightness(&self, files: &Files<'_>) -> Result<Input> {
        let (image, alpha) = self.decode(files, None)?;
        let (depth, alpha) = (depth(&image), alpha.map(|alpha| self.alone(alpha, files)).transpose()?);
        let (lightness, _) = gan_data::lab_tensors(&self.alone(image, files)?)?;
        let batch = Batch { a: lightness.unsqueeze(0)?, b: None, inst: None, names: names(files) };
        Ok(Input { batch, depth, lightness: Some(lightness), alpha })
    }

    fn image(&self, files: &Files<'_>) -> Result<Input> {
        let (image, alpha) = self.decode(files, Some(self.channels.0))?;
        let depth = depth(&image);
        let names = names(files);
        if !self.config.instances {
            let alpha = alpha.map(|alpha| self.alone(alpha, files)).transpose()?;
            let a = self.alone(image, files)?.to_tensor()?.unsqueeze(0)?;
            return Ok(Input { batch: Batch { a, b: None, inst: None, names }, depth, lightness: None, alpha });
        }
        let frame = self.frame(image.size(), files)?;
        let (b, inst) = (self.style(&frame, files)?, self.instances(&frame, files)?);
        let batch = Batch { a: frame.apply(image).to_tensor()?.unsqueeze(0)?, b, inst, names };
        Ok(Input { batch, depth, lightness: None, alpha: alpha.map(|alpha| frame.apply(alpha)) })
    }

    fn decode_options(&self) -> DecodeOptions {
        self.decoding(self.takes_alpha())
    }

    /// Reads an image as so many channels (grey or colour, as it is, without a number), and the alpha that is not among
    /// them. Alpha that is laid over white is not lost, unless it is to be written back.
    fn decode(&self, files: &Files<'_>, channels: Option<usize>) -> Result<(Image, Option<Image>)> {
        let path = files.input;
        let image = files.decode(&self.decoding(true))?;
        let channels = channels.unwrap_or(if image.channels() > 2 { 3 } else { 1 });
        let restore = self.alpha == Alpha::Restore;
        let (policy, apart) = self.alpha_of(path, channels);
        let alpha = if apart { alpha::of(&image) } else { None };
        let alpha = alpha.filter(|alpha| restore || !alpha::is_opaque(alpha));
        Ok((adapt_channels(image, channels, policy, path)?, alpha))
    }

    /// The transform of all parts of an input, and where it crops.
    fn frame(&self, size: (usize, usize), files: &Files<'_>) -> Result<Frame<'_>> {
        if let Some(transform) = &self.transform {
            transform.check_source(size, files.input)?;
        }
        Ok(Frame { size, transform: self.transform.as_ref().map(|t| (t, t.draw(size, key(files)))) })
    }

    fn alone(&self, image: Image, files: &Files<'_>) -> Result<Image> {
        Ok(match &self.transform {
            Some(transform) => transform.apply_alone(image, Part::Input, key(files), files.input)?,
            None => image,
        })
    }

    /// The instance map that belongs to an input, if the model takes one.
    pub(crate) fn instance_file(&self, files: &Files<'_>) -> Result<Option<PathBuf>> {
        if !self.config.instances {
            return Ok(None);
        }
        let path = files.instances.ok_or(Error::NeedsInstances)?;
        Ok(Some(if path.is_dir() { gan_data::partner(path, files.name)? } else { path.to_path_buf() }))
    }

    fn instances(&self, frame: &Frame<'_>, files: &Files<'_>) -> Result<Option<Tensor>> {
        if let Some(content) = files.instance_content.filter(|_| self.config.instances) {
            let file = Path::new("instances");
            let map = ids(file, Some(content), &self.decode_options())?;
            frame.check(map.size(), file, files.input)?;
            return Ok(Some(frame.apply(map).to_tensor_u32()?.unsqueeze(0)?));
        }
        let Some(file) = self.instance_file(files)? else { return Ok(None) };
        let map: IdMap = decode_ids(&file, &self.decode_options())?;
        frame.check(map.size(), &file, files.input)?;
        Ok(Some(frame.apply(map).to_tensor_u32()?.unsqueeze(0)?))
    }

    fn style(&self, frame: &Frame<'_>, files: &Files<'_>) -> Result<Option<Tensor>> {
        let Some(path) = files.style.filter(|_| self.config.encoder.is_some()) else { return Ok(None) };
        let file = Files { content: files.style_content, ..Files::new(path) };
        let (image, _) = self.decode(&file, Some(self.channels.1))?;
        frame.check(image.size(), path, files.input)?;
        Ok(Some(frame.apply(image).to_tensor()?.unsqueeze(0)?))
    }
}

/// Whether a path is one image in a folder of planes.
#[must_use]
pub fn is_planes(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("planes")) && path.is_dir()
}

fn names(files: &Files<'_>) -> Vec<String> {
    vec![files.name.display().to_string()]
}

fn depth(image: &Image) -> Depth {
    if image.depth() == 16 { Depth::U16 } else { Depth::U8 }
}

/// Crops, where there are any, depend on the name alone: the same file is cut the same way, whatever else is translated.
fn key(files: &Files<'_>) -> Key {
    Key::new(0, Purpose::Augment).at_name(&files.name.to_string_lossy())
}

/// What the parts of one input share.
struct Frame<'a> {
    /// `(width, height)` of the file.
    size: (usize, usize),
    transform: Option<(&'a Transform, SharedDraws)>,
}

impl Frame<'_> {
    fn apply<P: Pixels>(&self, pixels: P) -> P {
        match self.transform {
            Some((transform, draws)) => transform.apply_shared(pixels, Part::Input, draws),
            None => pixels,
        }
    }

    /// Refuses an instance map or a style image of another size.
    fn check(&self, size: (usize, usize), file: &Path, input: &Path) -> Result<()> {
        if size == self.size {
            return Ok(());
        }
        Err(Error::SizesDiffer { file: file.to_owned(), size, input: input.to_owned(), input_size: self.size })
    }
}
