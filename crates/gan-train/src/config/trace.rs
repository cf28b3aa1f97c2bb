//! Deserialises TOML values while noting the structs' fields and the path of a failure.

use std::cell::RefCell;

use serde::de::value::StringDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::de::Error;
use toml::{Table, Value};

use super::keys::{Keys, join};
use super::nearest;

/// What could not be read.
pub(super) struct Failure {
    /// Path of the value.
    pub(super) path: String,
    /// What serde says.
    pub(super) message: String,
}

struct Trace<'k> {
    keys: RefCell<&'k mut Keys>,
    failed: RefCell<Option<String>>,
}

impl Trace<'_> {
    /// Notes the innermost path: the first to be told.
    fn fail(&self, path: &str) {
        self.failed.borrow_mut().get_or_insert_with(|| path.to_owned());
    }
}

/// Reads a `T`, adding what it knows to `keys`, also if it fails.
pub(super) fn read<T: DeserializeOwned>(values: &Table, keys: &mut Keys) -> Result<T, Failure> {
    let trace = Trace { keys: RefCell::new(keys), failed: RefCell::new(None) };
    let root = Node { value: Value::Table(values.clone()), path: String::new(), trace: &trace };
    T::deserialize(root).map_err(|error| Failure {
        path: trace.failed.take().unwrap_or_default(),
        message: error.message().trim_end().to_owned(),
    })
}

struct Node<'t, 'k> {
    value: Value,
    path: String,
    trace: &'t Trace<'k>,
}

impl<'de> Deserializer<'de> for Node<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(flag) => visitor.visit_bool(flag),
            date @ Value::Datetime(_) => date.deserialize_any(visitor),
            Value::Array(items) => {
                visitor.visit_seq(Items { items: items.into_iter().enumerate(), path: self.path, trace: self.trace })
            }
            Value::Table(table) => visitor.visit_map(Entries {
                entries: table.into_iter(),
                current: None,
                path: self.path,
                trace: self.trace,
            }),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.trace.keys.borrow_mut().add(&self.path, fields);
        self.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.trace.keys.borrow_mut().add_variants(&self.path, variants);
        let near = self.value.as_str().and_then(|text| nearest::value(text, variants));
        self.value.deserialize_enum(name, variants, visitor).map_err(|error| match near {
            Some(near) => Error::custom(format!("{}; did you mean `{near}`?", error.message().trim_end())),
            None => error,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

struct Items<'t, 'k> {
    items: std::iter::Enumerate<std::vec::IntoIter<Value>>,
    path: String,
    trace: &'t Trace<'k>,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((i, value)) = self.items.next() else { return Ok(None) };
        let path = format!("{}[{i}]", self.path);
        let node = Node { value, path: path.clone(), trace: self.trace };
        seed.deserialize(node).map(Some).inspect_err(|_| self.trace.fail(&path))
    }
}

struct Entries<'t, 'k> {
    entries: toml::map::IntoIter<String, Value>,
    current: Option<(String, Value)>,
    path: String,
    trace: &'t Trace<'k>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let path = join(&self.path, &key);
        let name: StringDeserializer<Error> = key.into_deserializer();
        self.current = Some((path.clone(), value));
        seed.deserialize(name).map(Some).inspect_err(|_| self.trace.fail(&path))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((path, value)) = self.current.take() else {
            return Err(serde::de::Error::custom("a value was asked for before its key"));
        };
        let node = Node { value, path: path.clone(), trace: self.trace };
        seed.deserialize(node).inspect_err(|_| self.trace.fail(&path))
    }
}
