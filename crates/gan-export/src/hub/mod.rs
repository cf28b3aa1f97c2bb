//! Model folders as hubs have them.
//!
//! ```text
//! DIR/config.json          what the model is
//! DIR/model.safetensors    the generator
//! DIR/e.safetensors        the encoder of instance features, where there is one
//! DIR/README.md            the card
//! DIR/samples/             inputs, and what the model makes of them
//! DIR/verification.json    hashes of all these but the card
//! ```

mod card;
mod config;
mod folder;
mod pytorch;
mod samples;
mod usage;
mod verification;

pub use card::{Card, Measured};
pub use folder::{HubRequest, write_hub_folder};
pub use samples::{Sample, SampleImage};
pub use verification::{MAX_LEVELS, Same, verify_hub_folder};
