//! Translates an image with a run, a checkpoint, a model folder or a weight file.
//!
//! `cargo run --release -p gan-translate --example translate -- MODEL INPUT OUTPUT`

use gan_translate::{Model, Translated};

pub(crate) fn translate(model: &str, input: &str, output: &str) -> gan_translate::Result<Translated> {
    Model::open(model)?.translate_file(input, output)
}

#[allow(dead_code, reason = "a test includes this file")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [model, input, output] = &args[..] else { return Err("usage: translate MODEL INPUT OUTPUT".into()) };
    translate(model, input, output)?;
    Ok(())
}
