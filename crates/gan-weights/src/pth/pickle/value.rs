//! What the interpreter computes with.

use super::super::budget::Budget;
use super::super::refusal::Checked;
use super::globals::{Element, Global};

/// A Python object of the kinds that occur in state dicts. Scalars are held here, text borrows from the file, and
/// containers are indices into a [`Heap`]; copying a value copies a reference, as in Python.
#[derive(Debug, Clone, Copy)]
pub(in super::super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: little-endian two's complement.
    Long(&'a [u8]),
    Float(f64),
    Text(&'a str),
    /// Bytes, of which no state dict uses the contents.
    Bytes,
    /// A class or function of the allow-list.
    Global(Allowed),
    Tuple(usize),
    List(usize),
    Dict(usize),
    Storage(usize),
    Tensor(usize),
    /// A class that nobody needs, or an object of it: its name, and what was set on it.
    Opaque(usize),
}

/// An allowed global, opaque outside the interpreter.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Allowed(pub(super) Global);

impl Value<'_> {
    /// The Python name of the value's type, for messages.
    pub(in super::super) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Long(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::Bytes => "bytes",
            Self::Global(_) => "class",
            Self::Tuple(_) => "tuple",
            Self::List(_) => "list",
            Self::Dict(_) => "dict",
            Self::Storage(_) => "storage",
            Self::Tensor(_) => "tensor",
            Self::Opaque(_) => "object",
        }
    }
}

/// A storage as the pickle refers to it: the data are elsewhere in the file, under `key`.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct StorageRef<'a> {
    pub(in super::super) key: &'a str,
    pub(in super::super) element: Element,
    /// Number of elements of the whole storage.
    pub(in super::super) count: usize,
    /// Legacy storage views: the elements `view.0 .. view.0 + view.1` of the storage are what tensors see.
    pub(in super::super) view: Option<(usize, usize)>,
}

/// A tensor as the pickle describes it: sizes and strides in elements over a storage.
#[derive(Debug, Clone)]
pub(in super::super) struct TensorRef {
    pub(in super::super) storage: usize,
    /// The type of its elements, which an untyped storage does not tell.
    pub(in super::super) element: Element,
    /// Whether its elements are those of the storage with the other sign, as of the imaginary part of a conjugate.
    pub(in super::super) negative: bool,
    /// Whether they are the complex conjugates of those of the storage.
    pub(in super::super) conjugate: bool,
    pub(in super::super) offset: usize,
    pub(in super::super) size: Vec<usize>,
    pub(in super::super) stride: Vec<usize>,
}

/// A placeholder.
#[derive(Debug, Clone, Copy)]
struct Opaque<'a> {
    module: &'a str,
    name: &'a str,
    /// The dict of its items and attributes, once there are any.
    items: Option<usize>,
}

/// The containers of one pickle.
#[derive(Debug, Default)]
pub(in super::super) struct Heap<'a> {
    /// Members of all tuples; a tuple is a range of it.
    members: Vec<Value<'a>>,
    tuples: Vec<(usize, usize)>,
    lists: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    storages: Vec<StorageRef<'a>>,
    tensors: Vec<TensorRef>,
    opaques: Vec<Opaque<'a>>,
}

/// What a vector may hold per byte asked for, since it grows by doubling.
const GROWTH: u64 = 2;

/// Bytes to charge for `count` elements of type `T`.
pub(super) fn cost<T>(count: usize) -> u64 {
    (size_of::<T>() as u64).saturating_mul(count as u64).saturating_mul(GROWTH)
}

impl<'a> Heap<'a> {
    pub(super) fn new_tuple(&mut self, members: &[Value<'a>], budget: &mut Budget) -> Checked<Value<'a>> {
        budget.take(cost::<(usize, usize)>(1) + cost::<Value<'_>>(members.len()), "a tuple")?;
        self.tuples.push((self.members.len(), members.len()));
        self.members.extend_from_slice(members);
        Ok(Value::Tuple(self.tuples.len() - 1))
    }

    pub(super) fn new_list(&mut self, budget: &mut Budget) -> Checked<Value<'a>> {
        budget.take(cost::<Vec<Value<'_>>>(1), "a list")?;
        self.lists.push(Vec::new());
        Ok(Value::List(self.lists.len() - 1))
    }

    pub(super) fn new_dict(&mut self, budget: &mut Budget) -> Checked<Value<'a>> {
        budget.take(cost::<Vec<Value<'_>>>(1), "a dict")?;
        self.dicts.push(Vec::new());
        Ok(Value::Dict(self.dicts.len() - 1))
    }

    pub(super) fn new_storage(&mut self, storage: StorageRef<'a>, budget: &mut Budget) -> Checked<Value<'a>> {
        budget.take(cost::<StorageRef<'_>>(1), "a storage")?;
        self.storages.push(storage);
        Ok(Value::Storage(self.storages.len() - 1))
    }

    pub(super) fn new_tensor(&mut self, tensor: TensorRef, budget: &mut Budget) -> Checked<Value<'a>> {
        budget.take(cost::<TensorRef>(1) + cost::<usize>(tensor.size.len() + tensor.stride.len()), "a tensor")?;
        self.tensors.push(tensor);
        Ok(Value::Tensor(self.tensors.len() - 1))
    }

    pub(super) fn new_opaque(&mut self, module: &'a str, name: &'a str, budget: &mut Budget) -> Checked<Value<'a>> {
        budget.take(cost::<Opaque<'_>>(1), "an object")?;
        self.opaques.push(Opaque { module, name, items: None });
        Ok(Value::Opaque(self.opaques.len() - 1))
    }

    /// A new placeholder of the class of the one at `index`.
    pub(super) fn new_instance(&mut self, index: usize, budget: &mut Budget) -> Checked<Value<'a>> {
        let (module, name) = self.class(index);
        self.new_opaque(module, name, budget)
    }

    /// Where the items of a dict are kept, or those of a placeholder, which has none before the first is set.
    pub(super) fn items_for(&mut self, value: Value<'a>, budget: &mut Budget) -> Checked<Option<usize>> {
        let index = match value {
            Value::Dict(dict) => return Ok(Some(dict)),
            Value::Opaque(index) => index,
            _ => return Ok(None),
        };
        if self.opaques[index].items.is_none()
            && let Value::Dict(dict) = self.new_dict(budget)?
        {
            self.opaques[index].items = Some(dict);
        }
        Ok(self.opaques[index].items)
    }

    /// Makes `state` the attributes of the placeholder at `index`, or adds them to those that it has.
    pub(super) fn set_state(&mut self, index: usize, state: usize, budget: &mut Budget) -> Checked<()> {
        let Some(items) = self.opaques[index].items else {
            self.opaques[index].items = Some(state);
            return Ok(());
        };
        if items == state {
            return Ok(());
        }
        budget.take(cost::<(Value<'_>, Value<'_>)>(self.dicts[state].len()), "an object's attributes")?;
        let attributes = self.dicts[state].clone();
        budget.take(cost::<(Value<'_>, Value<'_>)>(attributes.len()), "an object's attributes")?;
        self.dicts[items].extend(attributes);
        Ok(())
    }

    /// The dict of the items of a dict or a placeholder.
    pub(in super::super) fn items(&self, value: &Value<'_>) -> Option<usize> {
        match *value {
            Value::Dict(dict) => Some(dict),
            Value::Opaque(index) => self.opaques[index].items,
            _ => None,
        }
    }

    pub(super) fn extend_list(&mut self, list: usize, items: &[Value<'a>], budget: &mut Budget) -> Checked<()> {
        // The first elements of a vector come in fours.
        budget.take(cost::<Value<'_>>(items.len().max(2)), "list items")?;
        self.lists[list].extend_from_slice(items);
        Ok(())
    }

    pub(super) fn set_item(
        &mut self,
        dict: usize,
        key: Value<'a>,
        value: Value<'a>,
        budget: &mut Budget,
    ) -> Checked<()> {
        budget.take(cost::<(Value<'_>, Value<'_>)>(2), "a dict item")?;
        self.dicts[dict].push((key, value));
        Ok(())
    }

    pub(in super::super) fn tuple(&self, index: usize) -> &[Value<'a>] {
        let (start, len) = self.tuples[index];
        &self.members[start..start + len]
    }

    pub(in super::super) fn list(&self, index: usize) -> &[Value<'a>] {
        &self.lists[index]
    }

    pub(in super::super) fn dict(&self, index: usize) -> &[(Value<'a>, Value<'a>)] {
        &self.dicts[index]
    }

    pub(in super::super) fn storage(&self, index: usize) -> &StorageRef<'a> {
        &self.storages[index]
    }

    pub(in super::super) fn storages(&self) -> &[StorageRef<'a>] {
        &self.storages
    }

    pub(in super::super) fn tensor(&self, index: usize) -> &TensorRef {
        &self.tensors[index]
    }

    pub(super) fn has_tensors(&self) -> bool {
        !self.tensors.is_empty()
    }

    /// Module and name of the class of a placeholder.
    pub(in super::super) fn class(&self, index: usize) -> (&'a str, &'a str) {
        let Opaque { module, name, .. } = self.opaques[index];
        (module, name)
    }

    /// The Python name of a value's type, for messages; of a placeholder's class.
    pub(in super::super) fn kind(&self, value: &Value<'_>) -> String {
        match *value {
            Value::Opaque(index) => {
                let (module, name) = self.class(index);
                format!("{module}.{name}")
            }
            _ => value.kind().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::DType;

    /// Two bytes for each that is kept, for vectors grow by doubling.
    #[test]
    fn all_that_is_kept_is_charged() {
        let mut heap = Heap::default();
        let mut budget = Budget::for_file(1 << 20);
        let value = size_of::<Value<'_>>() as u64;
        let vector = 24;
        let mut before = budget.left();
        let mut charged = |budget: &Budget, bytes: u64, what: &str| {
            assert_eq!(before - budget.left(), 2 * bytes, "{what}");
            before = budget.left();
        };
        heap.new_tuple(&[Value::None; 3], &mut budget).unwrap();
        charged(&budget, 16 + 3 * value, "a tuple");
        heap.new_list(&mut budget).unwrap();
        charged(&budget, vector, "a list");
        heap.new_dict(&mut budget).unwrap();
        charged(&budget, vector, "a dict");
        let element = Element::Of(DType::F32);
        heap.new_storage(StorageRef { key: "0", element, count: 1, view: None }, &mut budget).unwrap();
        charged(&budget, size_of::<StorageRef<'_>>() as u64, "a storage");
        let (size, stride) = (vec![1, 2, 3], vec![6, 3, 1]);
        let tensor = TensorRef { storage: 0, element, negative: false, conjugate: false, offset: 0, size, stride };
        heap.new_tensor(tensor, &mut budget).unwrap();
        charged(&budget, size_of::<TensorRef>() as u64 + 6 * 8, "a tensor");
        let object = heap.new_opaque("module", "Name", &mut budget).unwrap();
        charged(&budget, size_of::<Opaque<'_>>() as u64, "an object");
        heap.new_instance(0, &mut budget).unwrap();
        charged(&budget, size_of::<Opaque<'_>>() as u64, "an object of its class");
        // Of its items the first time, with a dict of their own.
        assert_eq!(heap.items_for(object, &mut budget).unwrap(), Some(1));
        charged(&budget, vector, "an object's items");
        assert_eq!(heap.items_for(object, &mut budget).unwrap(), Some(1));
        assert_eq!(heap.items_for(Value::Dict(0), &mut budget).unwrap(), Some(0));
        charged(&budget, 0, "what is there already");
        for _ in 0..3 {
            heap.set_item(0, Value::None, Value::None, &mut budget).unwrap();
            charged(&budget, 4 * value, "a dict's item");
        }
        heap.set_state(0, 0, &mut budget).unwrap();
        charged(&budget, 2 * 3 * 2 * value, "an object's attributes, and their copy");
        assert_eq!(heap.dicts[1].len(), 3);
        heap.set_state(0, 1, &mut budget).unwrap();
        heap.set_state(1, 0, &mut budget).unwrap();
        charged(&budget, 0, "attributes that are shared");
        heap.extend_list(0, &[Value::None], &mut budget).unwrap();
        charged(&budget, 2 * value, "a list's first item");
        heap.extend_list(0, &[Value::None; 5], &mut budget).unwrap();
        charged(&budget, 5 * value, "a list's items");
        assert!(heap.new_tuple(&vec![Value::None; 1 << 20], &mut budget).is_err());
    }
}
