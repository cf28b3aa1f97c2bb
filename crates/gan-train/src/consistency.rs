//! Contradictions in a method's configuration, all of them at once and before anything is built.

mod sizes;
#[cfg(test)]
mod tests;

use crate::config::{self, Ranged};
use crate::{Error, Result, TrainConfig};
use gan_data::{DataConfig, DataMode};
use gan_nets::GeneratorConfig;
use gan_range::Range;
use serde::{Serialize, de::DeserializeOwned};
pub use sizes::Demands;
pub(crate) use sizes::Network;

/// What all methods' configurations have in common.
pub(crate) trait MethodConfig: Default + Serialize + DeserializeOwned + Ranged {
    /// The training loop.
    fn train(&self) -> &TrainConfig;

    /// The dataset, with what follows from the generator.
    fn data(&self) -> DataConfig;

    /// The networks that a training step sends images through.
    fn networks(&self) -> Vec<Network>;

    /// What only this method knows to contradict itself.
    fn contradictions(&self) -> Vec<Contradiction>;
}

/// Settings that cannot go together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contradiction {
    what: String,
    /// Ways out; each is one or several settings `key = value`.
    remedies: Vec<Vec<String>>,
}

impl Contradiction {
    pub(crate) fn new(what: String, remedies: &[&[&str]]) -> Self {
        let remedies = remedies.iter().map(|settings| settings.iter().map(ToString::to_string).collect()).collect();
        Contradiction { what, remedies }
    }
}

/// In words: `WHAT: use a = 1 or b = 2 and c = 3`.
impl std::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.what)?;
        let ways: Vec<_> = self.remedies.iter().map(|settings| settings.join(" and ")).collect();
        if ways.is_empty() { Ok(()) } else { write!(f, ": use {}", ways.join(", or ")) }
    }
}

/// Refuses a configuration whose numbers are out of range or whose settings contradict each other; tells what the networks
/// ask of images.
///
/// # Errors
/// [`Error::Config`] naming all contradictions.
pub(crate) fn check<T: MethodConfig>(config: &T) -> Result<Demands> {
    config::check_numbers(config)?;
    let data = config.data();
    let demands = Demands::of(&config.networks(), data.batch_size)?;
    let found = contradictions(config, &data, &demands);
    if found.is_empty() {
        return Ok(demands);
    }
    let message = match &found[..] {
        [only] => only.to_string(),
        several => {
            let lines: String = several.iter().map(|contradiction| format!("\n  {contradiction}")).collect();
            format!("{} contradictions:{lines}", several.len())
        }
    };
    Err(Error::Config { origin: "configuration".into(), message })
}

fn contradictions(config: &impl MethodConfig, data: &DataConfig, demands: &Demands) -> Vec<Contradiction> {
    let mut found = Vec::new();
    match data.validate() {
        Ok(()) => {}
        Err(gan_data::Error::Config { reason, remedy }) => {
            found.push(Contradiction::new(format!("{reason}; {remedy}"), &[]));
        }
        Err(error) => found.push(Contradiction::new(error.to_string(), &[])),
    }
    if config.train().schedule().last_epoch() == 0 {
        let what = "train.n_epochs and train.n_epochs_decay are both 0: there is nothing to train".to_owned();
        found.push(Contradiction::new(what, &[&["train.n_epochs = 100"]]));
    }
    found.extend(config.contradictions());
    found.extend(demands.contradictions(data));
    found
}

/// A `[data]` table with what follows from the generator: channels and multiples.
pub(crate) fn data_of(data: &DataConfig, generator: &GeneratorConfig) -> DataConfig {
    let GeneratorConfig { input_nc, output_nc, .. } = *generator;
    DataConfig { input_nc, output_nc, multiple: data.multiple.max(generator.size_multiple()), ..data.clone() }
}

/// The network that has more parameters than any machine holds: the key to blame, and the reason.
pub(crate) fn first_refusal(networks: &[Network]) -> Option<(String, String)> {
    networks.iter().find_map(Network::refusal)
}

/// The range of a loss's weight.
pub(crate) const fn weight(key: &'static str) -> Range {
    Range::real(key, 0.0, 1e12)
}

/// A gradient penalty needs gradients of gradients, which candle's graph does not give.
pub(crate) fn no_penalty(lambda_gp: f64) -> Option<Contradiction> {
    let what = "a gradient penalty (loss.lambda_gp) needs second-order gradients, which are not available (the references train `wgangp` without penalty, too)";
    (lambda_gp != 0.0).then(|| Contradiction::new(what.to_owned(), &[&["loss.lambda_gp = 0"]]))
}

/// What a mode of the dataset is called in a configuration.
pub(crate) fn mode_name(mode: DataMode) -> String {
    format!("{mode:?}").to_lowercase()
}

/// Refuses datasets without targets, and label maps, for methods that learn from images alone. `files` and `drawn` are the
/// modes to use instead.
pub(crate) fn images_only(method: &str, data: &DataConfig, files: &str, drawn: &str) -> Option<Contradiction> {
    let mode = mode_name(data.mode);
    let instead = |mode: &str| format!("data.mode = \"{mode}\"");
    match data.mode {
        DataMode::Single => {
            let what = format!("data.mode = \"{mode}\" has no targets to train on");
            Some(Contradiction::new(what, &[&[&instead(files)]]))
        }
        DataMode::Streets => {
            let what = format!("{method} learns from images, and data.mode = \"{mode}\" has label maps");
            Some(Contradiction::new(what, &[&[&instead(drawn)]]))
        }
        DataMode::Labelled if data.label_nc > 0 => {
            let what = format!("{method} learns from images, and data.mode = \"{mode}\" has label maps");
            Some(Contradiction::new(what, &[&["data.label_nc = 0"], &[&instead(files)]]))
        }
        _ => None,
    }
}
