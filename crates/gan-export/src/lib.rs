//! Trained models for other programs: ONNX files, and model folders as hubs have them.
//!
//! * [`OnnxModel`] writes a network of a model, a [`Subject`], as an ONNX file of standard operators. The layers say themselves what operators they are: there is no
//!   second description of any network. [`cases`] are inputs with what the network itself makes of them; with the feature `onnxruntime`, `verify` runs the file beside it.
//! * [`write_web_folder`] writes it beside the files of a page that runs it in the browser.
//! * [`write_hub_folder`] writes `config.json`, `model.safetensors`, a card and samples; [`verify_hub_folder`] makes the samples again and compares.
//!
//! ```no_run
//! # fn main() -> gan_export::Result<()> {
//! use gan_export::{OnnxModel, OnnxOptions, Subject};
//! let trained = gan_translate::TrainedModel::open("runs/facades".as_ref())?;
//! let subject = Subject::of_model(&trained, None)?;
//! let model = OnnxModel::new(&subject, &OnnxOptions { dynamic: true, ..OnnxOptions::default() })?;
//! model.write_to(&mut std::fs::File::create("facades.onnx").unwrap()).unwrap();
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod check;
mod digest;
mod error;
mod hub;
mod new_folder;
mod onnx;
#[cfg(feature = "onnxruntime")]
mod runtime;
mod subject;
mod web_folder;

pub use check::{Array, Case, Values, cases, limit};
pub use error::{Error, Result};
pub use hub::{Card, HubRequest, MAX_LEVELS, Measured, Same, Sample, SampleImage, verify_hub_folder, write_hub_folder};
pub use onnx::{OPSET, OnnxModel, OnnxOptions, PadForm, Precision};
#[cfg(feature = "onnxruntime")]
pub use runtime::{Verified, verify};
pub use subject::Subject;
pub use web_folder::{WEB_MODEL, write_web_folder};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
