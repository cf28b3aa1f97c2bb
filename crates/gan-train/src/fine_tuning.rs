//! Training on from weights that exist: what the networks start from, which layers stay as they are, and how fast the others
//! learn. The trainer does all of it, so that no method has code for it.

mod candidates;
mod frozen;
mod initial_weights;
mod settings;
#[cfg(test)]
mod tests;

use crate::method::Method;
use crate::{Error, Result, TrainConfig};
pub(crate) use initial_weights::load;

/// Gives each optimizer its learning rate and its frozen layers. Returns notes about them.
///
/// # Errors
/// [`Error::Config`] for a network or a layer that does not exist, and where nothing is left to be trained.
pub(crate) fn prepare(method: &mut dyn Method, train: &TrainConfig) -> Result<Vec<String>> {
    require_networks("train.freeze", train.freeze.keys(), method)?;
    let mut notes = Vec::new();
    for (name, optimizer, networks) in method.state().optimizers {
        optimizer.scale_lr(train.lr_of(name) / train.lr);
        let (frozen, note) = frozen::layers(name, optimizer.store(), &networks, &train.freeze)?;
        optimizer.freeze(frozen);
        notes.extend(note);
    }
    Ok(notes)
}

/// Refuses names that no network of the method has.
fn require_networks<'a>(key: &str, mut names: impl Iterator<Item = &'a String>, method: &mut dyn Method) -> Result<()> {
    let networks: Vec<&str> = method.state().optimizers.into_iter().flat_map(|(.., networks)| networks).collect();
    match names.find(|name| !networks.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            Err(refused(format!("{key}: there is no network {name}; this run trains {}", networks.join(", "))))
        }
    }
}

fn refused(message: String) -> Error {
    Error::Config { origin: "configuration".into(), message }
}

/// The first of some things, and how many there are beside them.
fn some<T: ToString>(all: &[T]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<String> = all.iter().take(SHOWN).map(ToString::to_string).collect();
    match all.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}
