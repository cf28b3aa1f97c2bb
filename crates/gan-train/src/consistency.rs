//! Contradictions in a method's configuration, all of them at once and before anything is built.

mod networks;
mod sizes;
#[cfg(test)]
mod tests;

use crate::{Error, Result, TrainConfig};
use gan_data::DataConfig;
pub use networks::{BadKey, DiscriminatorOf, Network};
pub use sizes::Demands;

/// Settings that cannot go together, and ways out.
///
/// ```
/// # use gan_train::consistency::Contradiction;
/// let contradiction = Contradiction::new("streets come with instance maps".into(), &[&["data.instances = true"]]);
/// assert_eq!(contradiction.to_string(), "streets come with instance maps: use data.instances = true");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Contradiction {
    /// What contradicts itself, in words.
    pub what: String,
    /// Ways out; each is one or several settings `key = value`.
    pub remedies: Vec<Vec<String>>,
}

impl Contradiction {
    /// A contradiction with its ways out.
    pub fn new(what: String, remedies: &[&[&str]]) -> Self {
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

/// All contradictions of a configuration; `own` are those that only its method knows.
pub(crate) fn contradictions(
    train: &TrainConfig,
    data: &DataConfig,
    own: Vec<Contradiction>,
    demands: &Demands,
) -> Vec<Contradiction> {
    let mut found = Vec::new();
    match data.validate() {
        Ok(()) => {}
        Err(gan_data::Error::Config { reason, remedy }) => {
            found.push(Contradiction::new(format!("{reason}; {remedy}"), &[]));
        }
        Err(error) => found.push(Contradiction::new(error.to_string(), &[])),
    }
    if train.schedule().last_epoch() == 0 {
        let what = "train.n_epochs and train.n_epochs_decay are both 0: there is nothing to train".to_owned();
        found.push(Contradiction::new(what, &[&["train.n_epochs = 100"]]));
    }
    found.extend(own);
    found.extend(demands.contradictions(data));
    found
}

/// Refuses a configuration with contradictions.
///
/// # Errors
/// [`Error::Config`] naming all of them.
pub(crate) fn refuse(found: &[Contradiction]) -> Result<()> {
    let message = match found {
        [] => return Ok(()),
        [only] => only.to_string(),
        several => {
            let lines: String = several.iter().map(|contradiction| format!("\n  {contradiction}")).collect();
            format!("{} contradictions:{lines}", several.len())
        }
    };
    Err(Error::Config { origin: "configuration".into(), message })
}
