//! Named tensors in order.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use crate::raw::Built;
use crate::{Error, RawTensor, Result, first_non_finite, shown};

/// The tensors of a network by their PyTorch keys, in the order in which they were put in, which for a file is the
/// order of the file. Tensors are on the CPU. A name occurs once.
///
/// Tensors of element types that candle lacks stand apart ([`StateDict::others`]), and so does what was no plain tensor
/// ([`StateDict::unread`]).
#[derive(Debug, Clone, Default)]
pub struct StateDict {
    entries: Vec<(String, Tensor)>,
    index: HashMap<String, usize>,
    others: Vec<(String, RawTensor)>,
    unread: Vec<(String, &'static str)>,
}

impl StateDict {
    /// No tensors.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `tensor` under `name`. Where there is a tensor of that name, it is replaced in its place and returned.
    pub fn push(&mut self, name: impl Into<String>, tensor: Tensor) -> Option<Tensor> {
        let name = name.into();
        if let Some(&at) = self.index.get(&name) {
            return Some(std::mem::replace(&mut self.entries[at].1, tensor));
        }
        self.index.insert(name.clone(), self.entries.len());
        self.entries.push((name, tensor));
        None
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.index.get(name).map(|&at| &self.entries[at].1)
    }

    /// Whether there is a tensor called `name`.
    pub fn contains(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// Names and tensors of element types that candle lacks, in order.
    pub fn others(&self) -> &[(String, RawTensor)] {
        &self.others
    }

    /// Appends a tensor of an element type that candle lacks. One of that name is replaced in its place.
    pub fn push_other(&mut self, name: impl Into<String>, tensor: RawTensor) {
        let name = name.into();
        match self.others.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = tensor,
            None => self.others.push((name, tensor)),
        }
    }

    /// Appends a tensor that was read.
    pub(crate) fn push_built(&mut self, name: impl Into<String>, built: Built) {
        match built {
            Built::Tensor(tensor) => drop(self.push(name, tensor)),
            Built::Raw(tensor) => self.push_other(name, tensor),
        }
    }

    /// Names, as they stood in the file, of what holds numbers and was not read: quantized and sparse tensors, NumPy arrays. With
    /// what they are, in words.
    pub fn unread(&self) -> &[(String, &'static str)] {
        &self.unread
    }

    /// Remembers what holds numbers and was not read.
    pub(crate) fn push_unread(&mut self, name: impl Into<String>, what: &'static str) {
        self.unread.push((name.into(), what));
    }

    /// The tensors whose names begin with `prefix` and a dot, under the rest of their names.
    #[must_use]
    pub fn under(&self, prefix: &str) -> Self {
        let rest = |name: &str| Some(name.strip_prefix(prefix)?.strip_prefix('.')?.to_owned());
        let mut found: Self = self.iter().filter_map(|(name, tensor)| Some((rest(name)?, tensor.clone()))).collect();
        let others = self.others.iter().filter_map(|(name, tensor)| Some((rest(name)?, tensor.clone())));
        found.others = others.collect();
        found
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names and tensors, in order.
    pub fn entries(&self) -> &[(String, Tensor)] {
        &self.entries
    }

    /// Names and tensors, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// Keeps the tensors for which `keep` returns true, and all of element types that candle lacks.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &Tensor) -> bool) {
        self.entries.retain(|(name, tensor)| keep(name, tensor));
        self.reindex();
    }

    /// Keeps the tensors, of whatever element type, of whose names `keep` returns true.
    pub fn retain_names(&mut self, keep: impl Fn(&str) -> bool) {
        self.others.retain(|(name, _)| keep(name));
        self.retain(|name, _| keep(name));
    }

    /// Gives every tensor the name that `rename` makes of its present one. Where two would have the same name, the
    /// later one stays.
    pub fn rename(&mut self, rename: impl Fn(&str) -> String) {
        for (name, tensor) in std::mem::take(&mut self.others) {
            self.push_other(rename(&name), tensor);
        }
        let entries = std::mem::take(&mut self.entries);
        self.index.clear();
        for (name, tensor) in entries {
            self.push(rename(&name), tensor);
        }
    }

    fn reindex(&mut self) {
        self.index = self.entries.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
    }

    /// A [`VarBuilder`] that hands out these tensors as `dtype` on `device`, and fails for any other name or shape.
    ///
    /// # Errors
    /// As [`StateDict::require_finite`], of the elements as `dtype`: no network is built from what are no numbers.
    pub fn var_builder(&self, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
        // Numbers that F64 holds may be too large for another type.
        self.require_finite_as(
            |tensor| if tensor.dtype() == DType::F64 { tensor.to_dtype(dtype) } else { Ok(tensor.clone()) },
        )?;
        Ok(VarBuilder::from_tensors(self.entries.iter().cloned().collect(), dtype, device))
    }

    /// Refuses weights and running statistics that hold NaN or an infinity. Such a network computes no image; what it
    /// would take for one depends on where the value falls out again.
    ///
    /// # Errors
    /// [`Error::NonFinite`] names the first tensor, the place in it and the value.
    pub fn require_finite(&self) -> Result<()> {
        self.require_finite_as(|tensor| Ok(tensor.clone()))
    }

    fn require_finite_as(&self, read: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<()> {
        for (name, tensor) in self.iter() {
            if let Some((index, value)) = first_non_finite(&read(tensor)?)? {
                return Err(Error::NonFinite { tensor: shown(name), index, value });
            }
        }
        Ok(())
    }
}

impl FromIterator<(String, Tensor)> for StateDict {
    fn from_iter<I: IntoIterator<Item = (String, Tensor)>>(entries: I) -> Self {
        let mut state = Self::new();
        for (name, tensor) in entries {
            state.push(name, tensor);
        }
        state
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ElementType;

    fn scalar(x: f32) -> Tensor {
        Tensor::new(x, &Device::Cpu).unwrap()
    }

    fn of(names: &[&str]) -> StateDict {
        names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), scalar(at as f32))).collect()
    }

    fn value(state: &StateDict, name: &str) -> f32 {
        state.get(name).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn a_name_occurs_once_and_keeps_its_place() {
        let mut state = of(&["b", "a", "c"]);
        assert!(state.push("a", scalar(7.)).is_some());
        assert_eq!(state.names().collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(value(&state, "a"), 7.);
    }

    #[test]
    fn look_up_follows_removal_and_renaming() {
        let mut state = of(&["x.b", "x.a", "x.c"]);
        state.retain(|name, _| name != "x.b");
        state.rename(|name| name.replace("x.", "y."));
        assert_eq!(state.names().collect::<Vec<_>>(), ["y.a", "y.c"]);
        assert_eq!((value(&state, "y.a"), value(&state, "y.c")), (1., 2.));
        assert!(!state.contains("x.a"));
    }

    #[test]
    fn what_lies_under_a_prefix_loses_it() {
        let raw = RawTensor::new(ElementType::I8, vec![1], vec![7]).unwrap();
        let mut state = of(&["g.a", "gg.a", "g", "g.b.c"]);
        state.push_other("g.mask", raw.clone());
        state.push_other("mask", raw.clone());
        let found = state.under("g");
        assert_eq!(found.names().collect::<Vec<_>>(), ["a", "b.c"]);
        assert_eq!(found.others(), [("mask".to_owned(), raw)]);
        assert_eq!(value(&found, "b.c"), 3.);
        assert!(state.under("h").is_empty());
    }

    #[test]
    fn var_builder_hands_out_the_tensors_and_nothing_else() {
        let state: StateDict =
            [("net.weight".to_owned(), Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap())].into_iter().collect();
        let builder = state.var_builder(DType::F64, &Device::Cpu).unwrap().pp("net");
        assert_eq!(builder.get((2, 3), "weight").unwrap().dtype(), DType::F64);
        assert!(builder.get((3, 2), "weight").is_err());
        assert!(builder.get((2, 3), "bias").is_err());
    }

    #[test]
    fn nothing_is_built_from_what_is_no_number() {
        for (bad, said) in [(f32::NAN, "holds NaN"), (f32::INFINITY, "holds inf"), (f32::NEG_INFINITY, "holds -inf")] {
            for dtype in [DType::F32, DType::F64, DType::F16, DType::BF16] {
                let broken = Tensor::new(&[1., 2., bad], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
                let mut state = of(&["model.1.weight", "model.2.num_batches_tracked"]);
                assert!(state.var_builder(DType::F32, &Device::Cpu).is_ok());
                state.push("model.2.running_var", broken);
                let error = state.var_builder(DType::F32, &Device::Cpu).err().unwrap().to_string();
                assert!(error.contains(&format!("model.2.running_var {said} at element 2")), "{error}");
            }
        }
        let mut large = of(&[]);
        large.push("w", Tensor::new(&[1e300], &Device::Cpu).unwrap());
        assert!(large.require_finite().is_ok() && large.var_builder(DType::F64, &Device::Cpu).is_ok());
        let error = large.var_builder(DType::F32, &Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("w holds inf at element 0"), "{error}");
    }
}
