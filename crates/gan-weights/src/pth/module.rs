//! A network that was pickled whole, as `torch.save(net, path)` does: its parameters and buffers by their names.
//!
//! A `torch.nn.Module` is an object with the dicts `_parameters`, `_buffers` and `_modules`. Its class is a placeholder
//! here; the dicts are all that is needed.

use super::budget::Budget;
use super::pickle::{Heap, Value};
use super::refusal::{Checked, Refusal};
use crate::limits::MAX_TENSORS;
use crate::shown;

/// Modules in modules.
const MAX_NESTING: usize = 64;

/// Whether the attributes in `dict` are those of a module.
pub(super) fn is_module(dict: usize, heap: &Heap<'_>) -> bool {
    ["_parameters", "_modules"].iter().all(|name| attribute(dict, name, heap).is_some())
}

/// Names and tensors of the module whose attributes are in `dict`, in the order of `state_dict()`.
pub(super) fn state_dict<'a>(dict: usize, heap: &Heap<'a>, budget: &mut Budget) -> Checked<Vec<(String, Value<'a>)>> {
    let mut walk = Walk { heap, budget, found: Vec::new(), visited: 0 };
    walk.module(dict, "", 0)?;
    Ok(walk.found)
}

/// The dict that an attribute holds.
fn attribute(dict: usize, name: &str, heap: &Heap<'_>) -> Option<usize> {
    heap.dict(dict)
        .iter()
        .find(|(key, _)| matches!(key, Value::Text(key) if *key == name))
        .and_then(|(_, value)| heap.items(value))
}

struct Walk<'a, 'h, 'b> {
    heap: &'h Heap<'a>,
    budget: &'b mut Budget,
    found: Vec<(String, Value<'a>)>,
    /// Modules visited. They may be shared, so that a small file can ask for any number.
    visited: usize,
}

impl Walk<'_, '_, '_> {
    fn module(&mut self, dict: usize, prefix: &str, nesting: usize) -> Checked<()> {
        self.visited += 1;
        if nesting > MAX_NESTING || self.visited > MAX_TENSORS {
            return Err(Refusal::Damaged(format!("modules nest deeper than {MAX_NESTING}, or there are too many")));
        }
        for kind in ["_parameters", "_buffers"] {
            for &(key, value) in attribute(dict, kind, self.heap).map_or(&[][..], |dict| self.heap.dict(dict)) {
                // A parameter that is switched off is None.
                if let (Value::Text(key), Value::Tensor(_)) = (key, value) {
                    self.budget.take((prefix.len() + key.len()) as u64 + 64, "the names of the tensors")?;
                    self.found.push((format!("{prefix}{key}"), value));
                }
            }
        }
        for &(key, value) in attribute(dict, "_modules", self.heap).map_or(&[][..], |dict| self.heap.dict(dict)) {
            if let (Value::Text(key), Some(inner)) = (key, self.heap.items(&value)) {
                let path = format!("{prefix}{}.", shown(key));
                self.module(inner, &path, nesting + 1)?;
            }
        }
        Ok(())
    }
}
