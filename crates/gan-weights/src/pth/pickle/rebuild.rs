//! What the allowed callables do with their arguments, and what a persistent id means.

use super::super::budget::Budget;
use super::super::refusal::{Checked, Refusal};
use super::globals::{Element, Global};
use super::value::{Allowed, Heap, StorageRef, TensorRef, Value};
use crate::limits::MAX_RANK;

/// Interprets `callable(*arguments)`.
pub(super) fn call<'a>(
    callable: Value<'a>,
    arguments: Value<'a>,
    heap: &mut Heap<'a>,
    budget: &mut Budget,
) -> Checked<Value<'a>> {
    // A call of a placeholder is a placeholder. A dict as its only argument is what a class derived from dict holds.
    if let (Value::Opaque(class), Value::Tuple(arguments)) = (callable, arguments) {
        let made = heap.new_instance(class, budget)?;
        if let (Value::Opaque(index), &[Value::Dict(items)]) = (made, heap.tuple(arguments)) {
            heap.set_state(index, items, budget)?;
        }
        return Ok(made);
    }
    let (Value::Global(Allowed(global)), Value::Tuple(arguments)) = (callable, arguments) else {
        return Err(Refusal::Damaged(format!(
            "pickle wants to call a {} with a {}",
            callable.kind(),
            arguments.kind()
        )));
    };
    let arguments = heap.tuple(arguments);
    match (global, arguments) {
        (Global::OrderedDict, []) => heap.new_dict(budget),
        // Python 2 passes the items as a list of pairs instead of setting them afterwards.
        (Global::OrderedDict, &[Value::List(items)]) => ordered_dict(items, heap, budget),
        (Global::RebuildTensor, &[storage, offset, size, stride])
        | (Global::RebuildTensorV2, &[storage, offset, size, stride, _, _]) => {
            let tensor = tensor(storage, [offset, size, stride], None, Value::None, heap)?;
            heap.new_tensor(tensor, budget)
        }
        (Global::RebuildTensorV2, &[storage, offset, size, stride, _, _, metadata]) => {
            let tensor = tensor(storage, [offset, size, stride], None, metadata, heap)?;
            heap.new_tensor(tensor, budget)
        }
        (Global::RebuildTensorV3, &[storage, offset, size, stride, _, _, dtype, ref metadata @ ..])
            if metadata.len() < 2 =>
        {
            let metadata = metadata.first().copied().unwrap_or(Value::None);
            match element(dtype, heap)? {
                Some(element) => {
                    let tensor = tensor(storage, [offset, size, stride], Some(element), metadata, heap)?;
                    heap.new_tensor(tensor, budget)
                }
                // A type that is not known: an object of it, which is no tensor.
                None => Ok(dtype),
            }
        }
        (Global::RebuildParameter, &[data @ Value::Tensor(_), _, _])
        | (Global::RebuildParameterWithState, &[data @ Value::Tensor(_), _, _, _]) => Ok(data),
        // The plain tensor, whatever class it was given. A second such call inside the first would nest without end.
        (Global::RebuildFromType, &[rebuild @ Value::Global(Allowed(global)), _, inner @ Value::Tuple(_), _])
            if global != Global::RebuildFromType =>
        {
            call(rebuild, inner, heap, budget)
        }
        (Global::Encode, &[Value::Text(_), Value::Text(_)]) => Ok(Value::Bytes),
        (global, arguments) => Err(Refusal::Damaged(format!(
            "pickle calls {global:?} with {} arguments of the wrong kind",
            arguments.len()
        ))),
    }
}

fn ordered_dict<'a>(items: usize, heap: &mut Heap<'a>, budget: &mut Budget) -> Checked<Value<'a>> {
    let dict = heap.new_dict(budget)?;
    let Value::Dict(index) = dict else { return Ok(dict) };
    for position in 0..heap.list(items).len() {
        let pair = match heap.list(items)[position] {
            Value::List(pair) => heap.list(pair),
            Value::Tuple(pair) => heap.tuple(pair),
            _ => &[],
        };
        let &[key, value] = pair else {
            return Err(Refusal::Damaged("an OrderedDict is made of something that is not a pair".into()));
        };
        heap.set_item(index, key, value, budget)?;
    }
    Ok(dict)
}

/// The element type that a dtype of module `torch` names; `None` for one that is not known.
fn element(dtype: Value<'_>, heap: &Heap<'_>) -> Checked<Option<Element>> {
    match dtype {
        Value::Opaque(index) if heap.class(index).0 == "torch" => Ok(Element::named(heap.class(index).1)),
        other => Err(Refusal::Damaged(format!("a tensor's element type is a {}", other.kind()))),
    }
}

/// Describes a tensor by offset, size and stride (`place`). Without `element`, the storage tells the type.
fn tensor<'a>(
    storage: Value<'a>,
    place: [Value<'a>; 3],
    element: Option<Element>,
    metadata: Value<'a>,
    heap: &Heap<'a>,
) -> Checked<TensorRef> {
    let [offset, size, stride] = place;
    let Value::Storage(storage) = storage else {
        return Err(Refusal::Damaged(format!("a tensor is made of a {} instead of a storage", storage.kind())));
    };
    let offset = count(offset, "a tensor's offset")?;
    let size = counts(size, "a tensor's size", heap)?;
    let stride = counts(stride, "a tensor's stride", heap)?;
    if size.len() != stride.len() {
        return Err(Refusal::Damaged(format!("a tensor has {} sizes and {} strides", size.len(), stride.len())));
    }
    let says = |flag: &str| match metadata {
        Value::Dict(dict) => {
            heap.dict(dict).iter().any(|entry| matches!(entry, (Value::Text(key), Value::Bool(true)) if *key == flag))
        }
        _ => false,
    };
    let element = element.unwrap_or(heap.storage(storage).element);
    Ok(TensorRef { storage, element, negative: says("neg"), conjugate: says("conj"), offset, size, stride })
}

fn count(value: Value<'_>, what: &str) -> Checked<usize> {
    match value {
        Value::Int(n) => usize::try_from(n).map_err(|_| Refusal::Damaged(format!("{what} is {n}"))),
        Value::Long(_) => Err(Refusal::Damaged(format!("{what} does not fit 64 bits"))),
        other => Err(Refusal::Damaged(format!("{what} is a {}", other.kind()))),
    }
}

fn counts(value: Value<'_>, what: &str, heap: &Heap<'_>) -> Checked<Vec<usize>> {
    let values = match value {
        Value::Tuple(index) => heap.tuple(index),
        Value::List(index) => heap.list(index),
        other => return Err(Refusal::Damaged(format!("{what} is a {}", other.kind()))),
    };
    if values.len() > MAX_RANK {
        return Err(Refusal::Damaged(format!("{what} has {} dimensions", values.len())));
    }
    values.iter().map(|&value| count(value, what)).collect()
}

/// Interprets a persistent id, which is how PyTorch refers to storages from a pickle:
/// `('storage', class, key, device, element count)`, in legacy files with a sixth field for views. Legacy files also refer
/// to classes of modules, with their sources: `('module', class, file, source)`.
///
/// The device is ignored: everything is read into host memory.
pub(super) fn persistent<'a>(id: Value<'a>, heap: &mut Heap<'a>, budget: &mut Budget) -> Checked<Value<'a>> {
    let Value::Tuple(index) = id else {
        return Err(Refusal::Damaged(format!("a persistent id is a {}", id.kind())));
    };
    let (fields, view) = match *heap.tuple(index) {
        [Value::Text("module"), class @ Value::Opaque(_), _, _] => return Ok(class),
        [kind, class, key, device, numel] => ([kind, class, key, device, numel], Value::None),
        [kind, class, key, device, numel, view] => ([kind, class, key, device, numel], view),
        ref other => return Err(Refusal::Damaged(format!("a persistent id of {} fields", other.len()))),
    };
    let [
        Value::Text("storage"),
        Value::Global(Allowed(Global::Storage(element))),
        Value::Text(key),
        Value::Text(_),
        numel,
    ] = fields
    else {
        return Err(Refusal::Damaged("a persistent id that does not name a storage".into()));
    };
    let view = match view {
        Value::None => None,
        Value::Tuple(view) => {
            let &[_, start, length] = heap.tuple(view) else {
                return Err(Refusal::Damaged("a storage view that is not (key, offset, size)".into()));
            };
            Some((count(start, "a storage view's offset")?, count(length, "a storage view's size")?))
        }
        other => return Err(Refusal::Damaged(format!("a storage view is a {}", other.kind()))),
    };
    let count = count(numel, "a storage's element count")?;
    heap.new_storage(StorageRef { key, element, count, view }, budget)
}
