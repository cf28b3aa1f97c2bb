//! A page and an API to try trained models.
//!
//! ```text
//! GET  /               the page
//! GET  /v1/models      what the models are, as JSON
//! POST /v1/translate   an image in, a PNG out
//! GET  /healthz        whether the server works, and what it has done
//! ```

mod app;
mod clients;
mod describe;
mod engine;
mod facts;
mod label_names;
mod model_engine;
mod pace;
mod query;
mod standalone;
mod upload;
mod worker;

pub use app::translate_app;
pub use engine::{Choice, Engine, Made, Refusal, Twin, Work};
pub use facts::{Draw, LabelColour, ModelFacts, ModelInput};
pub use model_engine::{EngineOptions, ModelEngine};
pub use standalone::{Backend, Standalone};
