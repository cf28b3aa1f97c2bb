//! Objects that hold numbers and are no tensors here, so that a message can say what they are and what makes a tensor of them.

use std::collections::HashSet;

use super::pickle::{Heap, Value};
use super::refusal::RESAVE;

/// What `value` is, and what helps, if it holds numbers in another form than a plain tensor.
pub(super) fn kind(value: Value<'_>, heap: &Heap<'_>) -> Option<&'static str> {
    let Value::Opaque(index) = value else { return None };
    Some(match heap.class(index) {
        ("torch._utils", "_rebuild_qtensor") => "a quantized tensor (dequantize() makes a plain one)",
        ("torch._utils", "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor") => {
            "a sparse tensor (to_dense() makes a plain one)"
        }
        ("torch._utils", "_rebuild_nested_tensor") => "a nested tensor",
        ("torch._utils", "_rebuild_meta_tensor_no_storage") => "a tensor of the device \"meta\", which has no numbers",
        (module, "_reconstruct") if module.starts_with("numpy") => {
            "a NumPy array (torch.from_numpy makes a tensor of it)"
        }
        _ => return None,
    })
}

/// How deep training loops nest what they save.
const MAX_DEPTH: usize = 3;

/// What a file without a state dict holds instead, and what to try.
#[derive(Default)]
pub(super) struct Instead {
    unread: Option<String>,
    nameless: bool,
    optimizer: bool,
    /// Dicts, lists and tuples may be shared or contain themselves; each is visited once.
    seen: [HashSet<usize>; 3],
}

impl Instead {
    pub(super) fn of(root: Value<'_>, heap: &Heap<'_>) -> Self {
        let mut instead = Self::default();
        instead.visit(root, heap, 0);
        instead
    }

    fn visit(&mut self, value: Value<'_>, heap: &Heap<'_>, depth: usize) {
        if depth > MAX_DEPTH || self.unread.is_some() {
            return;
        }
        let list = match value {
            Value::List(list) if self.seen[1].insert(list) => heap.list(list),
            Value::Tuple(tuple) if self.seen[2].insert(tuple) => heap.tuple(tuple),
            _ => &[],
        };
        self.nameless |= list.iter().any(|element| matches!(element, Value::Tensor(_)));
        let Some(dict) = heap.items(&value).filter(|dict| self.seen[0].insert(*dict)) else { return };
        let entries = heap.dict(dict);
        if entries.iter().any(|(key, _)| matches!(key, Value::Text("param_groups"))) {
            self.optimizer = true;
            return;
        }
        for &(key, value) in entries {
            if let (Value::Text(key), Some(what)) = (key, kind(value, heap)) {
                self.unread = Some(format!("no state dict of tensors: {} is {what}", crate::shown(key)));
                return;
            }
            self.visit(value, heap, depth + 1);
        }
    }

    /// The reason, behind "the file holds", and the remedy; `None` if it is nothing that is known.
    pub(super) fn said(self) -> Option<(String, &'static str)> {
        match self {
            Self { unread: Some(what), .. } => Some((what, RESAVE)),
            Self { nameless: true, .. } => Some((
                "tensors without names, which tell no network".into(),
                "copy them into the network in Python and save its state dict: torch.save(net.state_dict(), path)",
            )),
            Self { optimizer: true, .. } => Some((
                "the state of an optimizer and no weights".into(),
                "give the file of the generator's weights, which was saved beside it",
            )),
            _ => None,
        }
    }
}
