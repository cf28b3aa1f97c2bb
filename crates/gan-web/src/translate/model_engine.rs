//! A trained model that translates what requests send.

use crate::error::{Error, Result};
use crate::translate::describe::word;
use crate::translate::engine::{Choice, Engine, Made, Refusal, Twin, Work};
use crate::translate::facts::ModelFacts;
use crate::translate::pace::Pace;
use candle_core::{DType, Device, Tensor};
use gan_data::{Batch, Direction, WriteOptions, encode_image};
use gan_translate::{Content, Files, InputKind, Model, Options, TrainedModel};
use gan_weights::checkpoint::Files as _;
use gan_weights::checkpoint::{self, Choice as CheckpointChoice, Disk, best_step, candidates, checkpoints_dir};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Side of the images that a model is warmed up with, at most, in pixels.
const WARM_UP: usize = 256;
/// Timed passes, at most, and the time after which no other one begins.
const WARM_UP_PASSES: usize = 4;
const WARM_UP_TIME: Duration = Duration::from_millis(100);
/// Checkpoints and directions that stay loaded beside the first.
const MOST_LOADED: usize = 3;

/// How models are opened.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Device, precision and the like. Direction, style and dropout are those of each request.
    pub options: Options,
    /// Time that the translation of one image may be expected to take.
    pub translation: Duration,
}

/// A trained model, with some of its checkpoints and directions loaded.
#[derive(Debug)]
pub struct ModelEngine {
    path: PathBuf,
    options: EngineOptions,
    /// What was opened first.
    trained: TrainedModel,
    /// What is known of it without its checkpoints, and without running it.
    facts: ModelFacts,
    /// The first is what was loaded first; of the others the one that was used last is the last.
    loaded: Vec<Loaded>,
    /// How long images take, and whether this engine measures it.
    pace: Pace,
    measures: bool,
    notes: Vec<String>,
}

/// A generator of a checkpoint.
#[derive(Debug)]
struct Loaded {
    step: Option<u64>,
    direction: Direction,
    model: Model,
}

impl ModelEngine {
    /// Opens a run, a checkpoint, a folder with a model, or a weight file, and translates an image to see that it does.
    ///
    /// # Errors
    /// [`Error::Translate`] if it cannot be opened or does not translate, [`Error::Channels`].
    pub fn open(path: &Path, options: EngineOptions) -> Result<Self> {
        let trained = TrainedModel::open(path)?;
        let model = Model::load(&trained, of_requests(&options.options, None))?;
        let channels = model.output_channels();
        if channels > 4 {
            return Err(Error::Channels { path: path.to_owned(), channels });
        }
        let notes = model.notes().to_vec();
        let facts = ModelFacts::of(&trained, path, &trained.config().generators[0]);
        let first = Loaded { step: trained.step(), direction: trained.config().generators[0].direction, model };
        let (path, loaded) = (path.to_owned(), vec![first]);
        let mut engine =
            ModelEngine { path, options, trained, facts, loaded, pace: Pace::unknown(), measures: true, notes };
        engine.warm_up()?;
        Ok(engine)
    }

    /// What requests call the model: the name of its folder or file.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.facts.id
    }

    /// Calls the model something else: letters, digits, `.`, `_` and `-`.
    pub fn rename(&mut self, id: &str) {
        id.clone_into(&mut self.facts.id);
    }

    /// What the user should know of the model: checkpoints that were passed over, what a weight file holds.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Translates an empty image some times: the first pass prepares weights, the others are timed.
    fn warm_up(&mut self) -> Result<()> {
        let Loaded { model, .. } = &self.loaded[0];
        let side = model.config().sizes.crop_size.clamp(32, WARM_UP);
        let batch = blank(model, side).map_err(gan_translate::Error::from)?;
        let all = Instant::now();
        for pass in 0..=WARM_UP_PASSES {
            let begun = Instant::now();
            let made = model.translate_batch(&batch)?.to_device(&Device::Cpu).map_err(gan_translate::Error::from)?;
            made.flatten_all().and_then(|made| made.to_dtype(DType::F32)).map_err(gan_translate::Error::from)?;
            if pass > 0 {
                self.pace.warmed_up((side * side) as u64, begun.elapsed());
                if all.elapsed() > WARM_UP_TIME {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Steps of the checkpoints that there are now, ascending.
    fn steps(&self) -> Vec<u64> {
        let entries = Disk.list(&checkpoints_dir(&self.path)).unwrap_or_default();
        let mut steps: Vec<u64> = candidates(&entries).into_iter().map(|candidate| candidate.step).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Pixels of the largest image that is translated.
    fn max_pixels(&self) -> u64 {
        self.pace.most(self.options.translation)
    }

    /// The generator that was asked for, loaded and set.
    fn chosen(&mut self, choice: &Choice) -> Result<&mut Loaded, Refusal> {
        let first = &self.loaded[0];
        let step = choice.step.or(first.step);
        let direction = choice.direction.unwrap_or(first.direction);
        let at = match self.loaded.iter().position(|held| (held.step, held.direction) == (step, direction)) {
            Some(0) => 0,
            Some(at) => {
                let held = self.loaded.remove(at);
                self.loaded.push(held);
                self.loaded.len() - 1
            }
            None => {
                let held = self.load(step, direction)?;
                if self.loaded.len() > MOST_LOADED {
                    self.loaded.remove(1);
                }
                self.loaded.push(held);
                self.loaded.len() - 1
            }
        };
        let dropout = self.loaded[at].model.generator().dropout;
        let held = &mut self.loaded[at];
        held.model.set_style(choice.style).map_err(refused)?;
        if choice.seed.is_some() && !dropout {
            return Err(Refusal::Choice("this model has no dropout: leave seed out".to_owned()));
        }
        held.model.set_dropout(choice.seed);
        Ok(held)
    }

    fn load(&self, step: Option<u64>, direction: Direction) -> Result<Loaded, Refusal> {
        let other;
        let trained = if step == self.loaded[0].step {
            &self.trained
        } else {
            let Some(step) = step.filter(|step| self.steps().contains(step)) else {
                let steps: Vec<String> = self.steps().iter().map(ToString::to_string).collect();
                return Err(Refusal::Choice(match &steps[..] {
                    [] => "this model is no run, and has no checkpoints: leave step out".to_owned(),
                    steps => format!("there is no checkpoint of that step; there are {}", steps.join(", ")),
                }));
            };
            let folder = checkpoint::chosen(&Disk, &self.path, CheckpointChoice::Step(step));
            let opened = folder.map_err(gan_translate::Error::from).and_then(|folder| TrainedModel::open(&folder));
            other = opened.map_err(refused)?;
            &other
        };
        let model = Model::load(trained, of_requests(&self.options.options, Some(direction))).map_err(refused)?;
        Ok(Loaded { step, direction, model })
    }
}

impl Engine for ModelEngine {
    fn facts(&mut self) -> ModelFacts {
        let Loaded { model, step, .. } = &self.loaded[0];
        let config = model.config();
        let mut directions: Vec<_> = config.generators.iter().map(|generator| generator.direction).collect();
        directions.retain(|direction| config.generator(Some(*direction)).is_some());
        let facts = self.facts.clone();
        ModelFacts {
            directions: directions.into_iter().map(word).collect(),
            steps: self.steps(),
            step: *step,
            best: best_step(&Disk, &self.path).unwrap_or_default(),
            styles: config.encoder.is_some(),
            dropout: model.generator().dropout,
            seconds: self.pace.expected((facts.side * facts.side) as u64),
            max_pixels: self.max_pixels(),
            ..facts
        }
    }

    fn translate(&mut self, work: &Work) -> Result<Made, Refusal> {
        let (width, height) = work.size;
        let pixels = u64::from(width) * u64::from(height);
        let most = self.max_pixels();
        if pixels > most {
            let (expected, allowed) = (self.pace.expected(pixels), self.options.translation.as_secs());
            self.pace.refused();
            let share = (most as f64 / pixels as f64).sqrt();
            let [w, h] = [width, height].map(|side| ((f64::from(side) * share) as u32).max(1));
            return Err(Refusal::Image(format!(
                "an image of {width}x{height} takes about {expected:.0} s here, and {allowed} s are allowed: scale it down to {w}x{h}"
            )));
        }
        let held = self.chosen(&work.choice)?;
        let begun = Instant::now();
        // A label map that is drawn has no instance map: each label is one instance then.
        let instances = work.instances.as_deref().unwrap_or(&work.image);
        let named = Path::new("image");
        let [content, instance_content] = [&work.image, instances].map(|file| Some(Content::File(file)));
        let files = Files { content, instance_content, ..Files::new(named) };
        let input = held.model.read(&files).map_err(refused)?;
        let image = held.model.translate_input(input).map_err(refused)?;
        let size = image.size();
        let png = encode_image(Path::new("image.png"), &image, &WriteOptions::default());
        let png = png.map_err(|error| refused(error.into()))?;
        if self.measures {
            self.pace.translated(pixels, begun.elapsed());
        }
        Ok(Made { png, size: (size.0 as u32, size.1 as u32) })
    }

    fn twin(&self) -> Option<Twin<Self>> {
        if !self.options.options.device.device.is_cpu() {
            return None;
        }
        let Loaded { step, direction, .. } = &self.loaded[0];
        let (step, direction, pace) = (*step, *direction, self.pace);
        let (path, options, trained) = (self.path.clone(), self.options.clone(), self.trained.clone());
        let (facts, notes) = (self.facts.clone(), self.notes.clone());
        Some(Box::new(move || {
            let model = Model::load(&trained, of_requests(&options.options, Some(direction))).map_err(refused)?;
            let loaded = vec![Loaded { step, direction, model }];
            let (path, options, trained) = (path.clone(), options.clone(), trained.clone());
            let (facts, notes) = (facts.clone(), notes.clone());
            // Beside other work its own times would say nothing.
            Ok(ModelEngine { path, options, trained, facts, loaded, pace, measures: false, notes })
        }))
    }

    fn recover(&mut self) {
        self.loaded.truncate(1);
        if let Ok(model) = Model::load(&self.trained, of_requests(&self.options.options, None)) {
            self.loaded[0].model = model;
        }
    }
}

fn of_requests(options: &Options, direction: Option<Direction>) -> Options {
    Options { direction, style: None, dropout: None, sizes: None, ..options.clone() }
}

/// What the sender of the request is told.
fn refused(error: gan_translate::Error) -> Refusal {
    use gan_translate::Error as E;
    match error {
        E::NoDirection { .. } => Refusal::Choice("this model translates one way only: leave direction out".to_owned()),
        E::NoEncoder => Refusal::Choice("this model has no styles: leave style out".to_owned()),
        // These name the input, which is called `image` here.
        E::LabelOutOfRange { .. } | E::SizesDiffer { .. } | E::TooSmall { .. } | E::NotMultiple { .. } => {
            Refusal::Image(error.to_string())
        }
        E::TooLittleMemory { .. } => Refusal::Image("there is not enough memory for an image of that size".to_owned()),
        E::Data(gan_data::Error::InColour { .. }) => Refusal::Image(
            "the label map is in colour, and ids are needed: send a PNG of one grey channel or with a palette"
                .to_owned(),
        ),
        E::Data(gan_data::Error::Io { .. } | gan_data::Error::Tensor(_)) => Refusal::Failed(error.to_string()),
        E::Data(_) => Refusal::Image(error.to_string()),
        other => Refusal::Failed(other.to_string()),
    }
}

/// An input of zeros, `[1, C, side, side]`.
fn blank(model: &Model, side: usize) -> candle_core::Result<Batch> {
    let config = model.config();
    let zeros = |channels: usize, dtype: DType| Tensor::zeros((1, channels, side, side), dtype, &Device::Cpu);
    let a = match config.input {
        InputKind::Labels { .. } => zeros(1, DType::U8)?,
        InputKind::Image | InputKind::Lightness => zeros(config.input_nc(&config.generators[0]), DType::F32)?,
    };
    let inst = if config.instances || config.encoder.is_some() { Some(zeros(1, DType::U32)?) } else { None };
    Ok(Batch { a, b: None, inst, names: vec![String::new()] })
}
