//! Items, and items stacked into batches.

use candle_core::{DType, Tensor};

use crate::error::{Error, Result};

/// One training example or one image to translate.
#[derive(Debug, Clone)]
pub struct Item {
    /// Input: f32 `[C, H, W]` in [-1, 1], or ids `[1, H, W]` (U8, or U32 if an id exceeds 255).
    pub a: Tensor,
    /// Target: f32 `[C, H, W]` in [-1, 1]; none when only translating.
    pub b: Option<Tensor>,
    /// Instance ids: U32 `[1, H, W]`.
    pub inst: Option<Tensor>,
    /// The input's path within its folder, without extension.
    pub name: String,
}

/// Items of equal size, stacked.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Inputs: f32 `[N, C, H, W]` in [-1, 1], or ids `[N, 1, H, W]` (U8, or U32 if an id exceeds 255).
    pub a: Tensor,
    /// Targets: f32 `[N, C, H, W]` in [-1, 1]; none when only translating.
    pub b: Option<Tensor>,
    /// Instance ids: U32 `[N, 1, H, W]`.
    pub inst: Option<Tensor>,
    /// One name an item.
    pub names: Vec<String>,
}

impl Batch {
    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Stacks items.
    ///
    /// # Errors
    /// [`Error::Ragged`] if sizes differ, [`Error::Config`] if there is nothing to stack.
    pub fn collate(items: Vec<Item>) -> Result<Self> {
        if items.is_empty() {
            return Err(Error::config("a batch without items was asked for", "use batch_size = 1 or more"));
        }
        let names: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
        let a = stack(items.iter().map(|item| &item.a).collect(), &names)?;
        let b = stack_all(items.iter().map(|item| item.b.as_ref()).collect(), &names)?;
        let inst = stack_all(items.iter().map(|item| item.inst.as_ref()).collect(), &names)?;
        Ok(Self { a, b, inst, names })
    }
}

/// Stacks parts that every item has; a part that some item lacks is absent from the batch.
fn stack_all(parts: Vec<Option<&Tensor>>, names: &[String]) -> Result<Option<Tensor>> {
    let parts: Option<Vec<&Tensor>> = parts.into_iter().collect();
    parts.map(|parts| stack(parts, names)).transpose()
}

fn stack(parts: Vec<&Tensor>, names: &[String]) -> Result<Tensor> {
    if let Some(other) = parts.iter().position(|part| part.dims() != parts[0].dims()) {
        return Err(Error::Ragged {
            first: names[0].clone(),
            first_shape: parts[0].dims().to_vec(),
            other: names[other].clone(),
            other_shape: parts[other].dims().to_vec(),
        });
    }
    if let [only] = parts[..] {
        return Ok(only.unsqueeze(0)?);
    }
    // One label map with ids beyond 255 makes the whole batch U32.
    if parts.iter().any(|part| part.dtype() == DType::U32) {
        let wide = parts.iter().map(|part| part.to_dtype(DType::U32)).collect::<Result<Vec<_>, _>>()?;
        return Ok(Tensor::stack(&wide, 0)?);
    }
    Ok(Tensor::stack(&parts, 0)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use candle_core::Device;

    use super::*;

    fn item(name: &str, ids: Tensor) -> Item {
        Item { a: ids, b: None, inst: None, name: name.to_owned() }
    }

    #[test]
    fn one_wide_label_map_widens_the_batch() {
        let narrow = Tensor::from_vec(vec![1u8, 255], (1, 1, 2), &Device::Cpu).unwrap();
        let wide = Tensor::from_vec(vec![1u32, 256], (1, 1, 2), &Device::Cpu).unwrap();
        let batch = Batch::collate(vec![item("n", narrow), item("w", wide)]).unwrap();
        assert_eq!(batch.a.dims(), [2, 1, 1, 2]);
        assert_eq!(batch.a.flatten_all().unwrap().to_vec1::<u32>().unwrap(), [1, 255, 1, 256]);
    }

    #[test]
    fn ragged_batches_name_both_items() {
        let zeros = |w| Tensor::zeros((1, 2, w), DType::F32, &Device::Cpu).unwrap();
        let error = Batch::collate(vec![item("small", zeros(2)), item("large", zeros(3))]).unwrap_err().to_string();
        assert!(error.contains("small") && error.contains("large") && error.contains("batch_size"), "{error}");
    }
}
