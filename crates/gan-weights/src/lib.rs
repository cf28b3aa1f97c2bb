//! Weight files of PyTorch in Rust: `.pth` in both of its containers, and `.safetensors`, read and written.
//!
//! [`read_any`] reads a file of any of these formats into a [`StateDict`]: named tensors in the order of the file. It
//! takes the memory of the tensors and of the bytes of one of them; a file that is written to meanwhile is refused.
//! Nothing in a file is executed, and a file is refused before it can take more memory than its size warrants ([`pth`]).
//! [`normalize_keys`] removes what wrappers and old versions of PyTorch left in the keys; [`pth::write`] and
//! [`safetensors::write`] write files that PyTorch reads; [`StateDict::var_builder`] hands the tensors to candle.
//! [`checkpoint`] reads the checkpoint folders of a training run.
//!
//! Limits: a file of 16 GiB, a safetensors header of 16 MiB, 65536 tensors, 16 dimensions and 2^40 elements a tensor.
//!
//! ```
//! # fn main() -> Result<(), gan_weights::Error> {
//! # let path = "tests/fixtures/pth/network.legacy.pth";
//! let mut state = gan_weights::read_any(path)?.state;
//! gan_weights::normalize_keys(&mut state);
//! for (name, tensor) in state.iter() {
//!     println!("{name} {:?}", tensor.dims());
//! }
//! # assert!(!state.is_empty());
//! # Ok(()) }
//! ```

pub mod checkpoint;
mod error;
mod file;
mod finite;
mod foreign;
mod key_map;
mod keys;
mod limits;
mod parametrization;
pub mod pth;
mod raw;
mod read;
pub mod safetensors;
mod source;
mod state_dict;
mod text;

pub use error::{Error, Origin, Result};
pub use file::{Format, Loaded};
pub use finite::first_non_finite;
pub use key_map::{KeyMap, KeyMapError};
pub use keys::{drop_instance_norm_statistics, normalize_keys, strip_compiled, strip_data_parallel};
pub use parametrization::fold_parametrizations;
pub use raw::{ElementType, RawTensor};
pub use read::{entries, read_any, read_entry};
pub use state_dict::StateDict;
pub use text::shown;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
