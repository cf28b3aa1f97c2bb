//! What a fuzzer hands its bytes to: one function for each reader of files that strangers make.
//!
//! Each takes any bytes, and panics where the reader breaks a promise: by a panic of its own, or by what the function asserts. `fuzz_targets`
//! has libFuzzer's entries to them; `tests/tests/fuzz_targets.rs` calls the same functions with the seeds and with mutations of them.

#![allow(clippy::unwrap_used, missing_docs)]

mod downloads;
mod images;
mod models;
mod runs;
mod scratch;
mod videos;
mod weights;

pub use downloads::{read_catalog, read_headers, unpack_archive};
pub use images::{decode_image, read_rows};
pub use models::{read_model_config, read_reference_folder, read_statistics};
pub use runs::{read_config, read_events};
pub use videos::read_video;
pub use weights::{read_manifest, read_pth, read_safetensors};

/// A function for a fuzzer, and the files that it begins with.
#[derive(Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Folders of seeds below the repository's root, beside `fuzz/seeds/NAME`.
    pub seeds: &'static [&'static str],
}

macro_rules! targets {
    ($($name:ident: [$($seeds:literal),*],)*) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), run: $name, seeds: &[$($seeds),*] }),*];
    };
}

targets! {
    decode_image: ["crates/gan-data/tests/whole", "fuzz/seeds/read_rows"],
    read_catalog: [],
    read_config: ["crates/gan-cli/presets/pix2pix", "crates/gan-cli/presets/pix2pixhd", "crates/gan-cli/presets/cyclegan"],
    read_events: [],
    read_headers: [],
    read_manifest: [],
    read_model_config: [],
    read_pth: ["crates/gan-weights/tests/fixtures/pth"],
    read_reference_folder: [],
    read_rows: ["crates/gan-data/tests/whole"],
    read_safetensors: [],
    read_statistics: [],
    read_video: [],
    unpack_archive: [],
}
