//! The class `Model`.

use crate::arrays::{self, Items};
use crate::errors::{invalid, raised};
use crate::open::{DIRECTIONS, Keywords, Opened};
use crate::threads::{SHARED, Threads};
use gan_data::{IdMap, Image};
use gan_translate::{Content, Files, InputKind, ModelConfig};
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The stacks of many more would take all memory.
const MOST_THREADS: usize = 1024;

/// A trained model that translates images: `Model.open(path)` reads it, and `model(image)` translates.
#[pyclass(module = "gan_translate", frozen)]
#[derive(Debug)]
pub(crate) struct Model {
    /// Calls from several threads of Python take turns.
    model: Mutex<gan_translate::Model>,
    threads: Option<Threads>,
    path: PathBuf,
    config: ModelConfig,
    /// The generator's architecture: resnet_9blocks, unet_256, global, …
    #[pyo3(get)]
    architecture: &'static str,
    /// Which way it translates: a2b or b2a.
    #[pyo3(get)]
    direction: &'static str,
    /// Channels of the images that it takes; of label maps, the number of labels.
    #[pyo3(get)]
    input_channels: usize,
    /// Channels of the images that it makes.
    #[pyo3(get)]
    output_channels: usize,
    /// Sides of images are extended to multiples of this by mirroring, and results are cut back.
    #[pyo3(get)]
    size_multiple: usize,
    /// Step of the checkpoint; None for other models.
    #[pyo3(get)]
    step: Option<u64>,
    /// What there is to know: checkpoints that were passed over, what a weight file holds.
    #[pyo3(get)]
    notes: Vec<String>,
    /// Where it computes.
    #[pyo3(get)]
    device: String,
}

#[pymethods]
impl Model {
    /// Opens a run, a checkpoint, a folder for hubs, a folder of the references' checkpoints, or a bare weight file.
    #[staticmethod]
    #[pyo3(signature = (path, *, network=None, weights=None, direction=None, architecture=None, label_nc=None, instances=None, eval=false,
        dropout=None, keep_alpha=false, max_memory=None, scratch=None, device="cpu", threads=None))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn open(
        py: Python<'_>,
        path: PathBuf,
        network: Option<String>,
        weights: Option<String>,
        direction: Option<String>,
        architecture: Option<String>,
        label_nc: Option<usize>,
        instances: Option<bool>,
        eval: bool,
        dropout: Option<u64>,
        keep_alpha: bool,
        max_memory: Option<u64>,
        scratch: Option<PathBuf>,
        device: &str,
        threads: Option<usize>,
    ) -> PyResult<Self> {
        if threads.is_some_and(|count| !(1..=MOST_THREADS).contains(&count)) {
            return Err(invalid(format!(
                "threads: give a number from 1 to {MOST_THREADS}, or None for one a processor"
            )));
        }
        let device = device.to_owned();
        let keywords = Keywords {
            network,
            weights,
            direction,
            architecture,
            label_nc,
            instances,
            eval,
            dropout,
            keep_alpha,
            max_memory,
            scratch,
            device: device.clone(),
        };
        let threads = threads.map(|count| Threads::new(Some(count)));
        let opened = py.detach(|| threads.as_ref().unwrap_or(&SHARED).run(|| keywords.open(&path)));
        let Opened { trained, model, direction } = opened??;
        let config = trained.config().clone();
        let used = config.generator(direction).unwrap_or(&config.generators[0]);
        Ok(Model {
            architecture: used.config.arch.name(),
            direction: DIRECTIONS.iter().find(|(_, way)| *way == used.direction).map_or("a2b", |(name, _)| name),
            input_channels: config.input_nc(used),
            output_channels: model.output_channels(),
            size_multiple: model.size_multiple(),
            step: trained.step(),
            notes: model.notes().to_vec(),
            model: Mutex::new(model),
            threads,
            path,
            config,
            device,
        })
    }

    /// Translates an image [H, W], [H, W, C] or [N, H, W, C] of uint8 or uint16; models of label maps take ids [H, W] or [N, H, W].
    #[pyo3(signature = (image, *, instances=None, style=None))]
    fn __call__<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        instances: Option<&Bound<'py, PyAny>>,
        style: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let given = Given::new(&self.config, image, instances, style)?;
        let made = py.detach(|| {
            let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
            let model = &mut *model;
            self.threads().run(move || given.translate(model).map_err(raised))
        })??;
        arrays::to_array(py, made)
    }

    /// What was opened.
    #[getter]
    fn path(&self) -> &Path {
        &self.path
    }

    /// The method that trained it; None for bare weight files.
    #[getter]
    fn method(&self) -> Option<&str> {
        Some(self.config.method.as_str()).filter(|method| !method.is_empty())
    }

    /// What it takes: image, labels or lightness.
    #[getter]
    fn input(&self) -> &'static str {
        match self.config.input {
            InputKind::Image => "image",
            InputKind::Labels { .. } => "labels",
            InputKind::Lightness => "lightness",
        }
    }

    /// Whether it needs instance maps.
    #[getter]
    fn takes_instances(&self) -> bool {
        self.config.instances
    }

    /// Whether it has an encoder of instance features.
    #[getter]
    fn has_styles(&self) -> bool {
        self.config.encoder.is_some()
    }

    fn __repr__(&self) -> String {
        let Model { architecture, input_channels, output_channels, device, .. } = self;
        format!(
            "Model('{}', method={}, architecture='{architecture}', input='{}', input_channels={input_channels}, \
             output_channels={output_channels}, device='{device}')",
            self.path.display(),
            self.method().map_or_else(|| "None".into(), |method| format!("'{method}'")),
            self.input(),
        )
    }
}

impl Model {
    fn threads(&self) -> &Threads {
        self.threads.as_ref().unwrap_or(&SHARED)
    }
}

/// What one call is given.
struct Given {
    input: Input,
    instances: Option<Items<IdMap>>,
    style: Style,
}

enum Input {
    Images(Items<Image>),
    Labels(Items<IdMap>),
}

enum Style {
    /// The model's first, if it has any.
    None,
    /// One that is drawn.
    Drawn(u64),
    /// That of images.
    Lent(Items<Image>),
}

impl Given {
    fn new(
        config: &ModelConfig,
        image: &Bound<'_, PyAny>,
        instances: Option<&Bound<'_, PyAny>>,
        style: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let input = match config.input {
            InputKind::Labels { .. } => Input::Labels(arrays::id_maps(image, "the label map")?),
            InputKind::Image | InputKind::Lightness => Input::Images(arrays::images(image, "the image")?),
        };
        if instances.is_some() && !config.instances {
            return Err(invalid("this model takes no instance maps: leave instances out"));
        }
        let instances = instances.map(|map| arrays::id_maps(map, "the instance map")).transpose()?;
        let style = match style {
            None => Style::None,
            Some(_) if config.encoder.is_none() => return Err(raised(gan_translate::Error::NoEncoder)),
            Some(style) => match style.extract() {
                Ok(seed) => Style::Drawn(seed),
                Err(_) => Style::Lent(arrays::images(style, "the image that lends its style")?),
            },
        };
        let given = Given { input, instances, style };
        let count = given.count();
        let others = [
            ("instance maps", given.instances.as_ref().map(|maps| maps.items.len())),
            ("images that lend their style", given.style.lent().map(|images| images.items.len())),
        ];
        for (what, found) in others {
            if found.is_some_and(|found| found != count) {
                let found = found.unwrap_or(0);
                return Err(invalid(format!("there are {count} inputs and {found} {what}; give as many of both")));
            }
        }
        Ok(given)
    }

    fn count(&self) -> usize {
        match &self.input {
            Input::Images(images) => images.items.len(),
            Input::Labels(maps) => maps.items.len(),
        }
    }

    fn translate(&self, model: &mut gan_translate::Model) -> gan_translate::Result<Items<Image>> {
        if model.config().encoder.is_some() {
            let seed = if let Style::Drawn(seed) = self.style { Some(seed) } else { None };
            model.set_style(seed)?;
        }
        let (batched, what) = match &self.input {
            Input::Images(images) => (images.batched, "image"),
            Input::Labels(maps) => (maps.batched, "label map"),
        };
        let items = (0..self.count()).map(|at| {
            let name = if batched { format!("{what} {at}") } else { what.to_owned() };
            let content = match &self.input {
                Input::Images(images) => Content::Image(&images.items[at]),
                Input::Labels(maps) => Content::Ids(&maps.items[at]),
            };
            let style = self.style.lent().map(|images| &images.items[at]);
            let input = model.read(&Files {
                content: Some(content),
                instance_content: self.instances.as_ref().map(|maps| Content::Ids(&maps.items[at])),
                style: style.map(|_| Path::new("style")),
                style_content: style.map(Content::Image),
                ..Files::new(Path::new(&name))
            })?;
            model.translate_input(input)
        });
        Ok(Items { items: items.collect::<gan_translate::Result<_>>()?, batched })
    }
}

impl Style {
    fn lent(&self) -> Option<&Items<Image>> {
        if let Style::Lent(images) = self { Some(images) } else { None }
    }
}
