//! Keys by which a user says what the tensors of a file are called here.

use std::collections::HashMap;

use crate::{StateDict, shown};

/// New names for tensors: pairs of a name, or the path of a layer, in the file and what it is to be called. An empty new
/// name leaves the tensors out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyMap(Vec<(String, String)>);

/// A map that does not fit the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyMapError {
    /// A name that no tensor has.
    #[error("no tensor is called {0} or lies below it")]
    Unused(String),
    /// A new name that two tensors would have.
    #[error("two tensors would be called {0}")]
    Twice(String),
}

impl FromIterator<(String, String)> for KeyMap {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

impl KeyMap {
    /// Renames the tensors of `state`. The longest path of the map decides; tensors that it does not name keep their names.
    ///
    /// # Errors
    /// [`KeyMapError`]; `state` is unchanged then.
    pub fn apply(&self, state: &mut StateDict) -> Result<(), KeyMapError> {
        let mut used = vec![false; self.0.len()];
        let mut names: HashMap<String, Option<String>> = HashMap::new();
        let mut taken: HashMap<String, ()> = HashMap::new();
        let others = state.others().iter().map(|(name, _)| name.as_str());
        for name in state.names().chain(others) {
            let rest = |path: &str| name.strip_prefix(path).filter(|rest| rest.is_empty() || rest.starts_with('.'));
            let fits = self.0.iter().enumerate().filter(|(_, (path, _))| rest(path).is_some());
            let new = match fits.max_by_key(|(_, (path, _))| path.len()) {
                Some((at, (path, to))) => {
                    used[at] = true;
                    (!to.is_empty()).then(|| format!("{to}{}", rest(path).unwrap_or_default()))
                }
                None => Some(name.to_owned()),
            };
            if let Some(new) = &new
                && taken.insert(new.clone(), ()).is_some()
            {
                return Err(KeyMapError::Twice(shown(new)));
            }
            names.insert(name.to_owned(), new);
        }
        if let Some(unused) = used.iter().position(|used| !used) {
            return Err(KeyMapError::Unused(shown(&self.0[unused].0)));
        }
        state.retain_names(|name| names.get(name).is_some_and(Option::is_some));
        state.rename(|name| names.get(name).cloned().flatten().unwrap_or_else(|| name.to_owned()));
        Ok(())
    }

    /// Whether it renames nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{Device, Tensor};

    fn of(names: &[&str]) -> StateDict {
        names.iter().map(|name| ((*name).to_owned(), Tensor::new(0f32, &Device::Cpu).unwrap())).collect()
    }

    fn map(pairs: &[(&str, &str)]) -> KeyMap {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    #[test]
    fn the_longest_path_decides() {
        let mut state = of(&["a.0.weight", "a.0.bias", "a.1.weight", "ab.weight", "c.weight"]);
        map(&[("a", "x"), ("a.0", "y.7"), ("a.0.bias", "z"), ("c", "")]).apply(&mut state).unwrap();
        assert!(state.names().eq(["y.7.weight", "z", "x.1.weight", "ab.weight"]));
    }

    #[test]
    fn names_may_change_places() {
        let mut state = of(&["a.weight", "b.weight"]);
        map(&[("a", "b"), ("b", "a")]).apply(&mut state).unwrap();
        assert!(state.names().eq(["b.weight", "a.weight"]));
    }

    #[test]
    fn a_map_that_does_not_fit_changes_nothing() {
        let mut state = of(&["a.weight", "b.weight"]);
        assert_eq!(map(&[("c", "d")]).apply(&mut state), Err(KeyMapError::Unused("c".into())));
        assert_eq!(map(&[("a", "b")]).apply(&mut state), Err(KeyMapError::Twice("b.weight".into())));
        assert!(state.names().eq(["a.weight", "b.weight"]));
    }
}
