//! What translates: a seam between requests and models.

use crate::translate::facts::ModelFacts;
use gan_data::Direction;

/// An image that is to be translated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// A PNG, JPEG or WebP file whose header is within the limits.
    pub image: Vec<u8>,
    /// The instance map that belongs to it, such a file too.
    pub instances: Option<Vec<u8>>,
    /// Width and height by the header, upright.
    pub size: (u32, u32),
    /// How.
    pub choice: Choice,
}

/// Which of the ways that a model can translate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which way; the model's first without it.
    pub direction: Option<Direction>,
    /// The checkpoint; the one that was loaded first without it.
    pub step: Option<u64>,
    /// The style that is drawn.
    pub style: Option<u64>,
    /// Seed of the masks of dropout; without it there is no dropout.
    pub seed: Option<u64>,
}

/// A translated image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// A PNG file.
    pub png: Vec<u8>,
    /// Width and height.
    pub size: (u32, u32),
}

/// Why there is no image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request names what the model has not. In words for the sender.
    Choice(String),
    /// The image cannot be read, or does not suit the model. In words for the sender.
    Image(String),
    /// Something is wrong in the server. In words for the operator, which may hold paths.
    Failed(String),
}

/// Makes another engine of a model.
pub type Twin<E> = Box<dyn Fn() -> Result<E, Refusal> + Send + Sync>;

/// A model that translates one image at a time. It lives in a thread of its own.
pub trait Engine: Send + Sized + 'static {
    /// What the model is and what it can do now: checkpoints may have come.
    fn facts(&mut self) -> ModelFacts;

    /// Translates an image.
    ///
    /// # Errors
    /// [`Refusal`].
    fn translate(&mut self, work: &Work) -> Result<Made, Refusal>;

    /// What makes another engine of this model, which translates images that take long beside this one. `None` where one has to wait for the other, as
    /// on a GPU.
    fn twin(&self) -> Option<Twin<Self>> {
        None
    }

    /// Forgets whatever a translation that panicked may have left half-done.
    fn recover(&mut self) {}
}
