//! What a weight file may hold at most. Real ones stay far below; a file beyond is refused with the number it breaks.

use std::fmt;

/// Bytes of a file. The largest network of the references takes 731 MB, a training loop's file several times that.
pub(crate) const MAX_FILE: u64 = 16 << 30;

/// Tensors of a state dict. The largest networks have a few hundred.
pub(crate) const MAX_TENSORS: usize = 1 << 16;

/// Dimensions of a tensor.
pub(crate) const MAX_RANK: usize = 16;

/// Elements of a tensor, counted without its empty dimensions.
const MAX_ELEMENTS: usize = 1 << 40;

/// Bytes of a safetensors header, which lists the tensors.
pub(crate) const MAX_HEADER: usize = 16 << 20;

/// A tensor's shape that is beyond the limits.
#[derive(Debug)]
pub(crate) struct BadShape(String);

impl fmt::Display for BadShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Refuses a shape of too many dimensions or elements, whose sizes and strides could not be computed with either. An
/// empty dimension does not hide the others.
pub(crate) fn check_shape(dims: &[usize]) -> Result<(), BadShape> {
    if dims.len() > MAX_RANK {
        return Err(BadShape(format!("it has {} dimensions, more than {MAX_RANK}", dims.len())));
    }
    dims.iter()
        .try_fold(1_usize, |count, &size| count.checked_mul(size.max(1)).filter(|&count| count <= MAX_ELEMENTS))
        .map(drop)
        .ok_or_else(|| BadShape(format!("its shape {dims:?} has more than 2^40 elements")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_bounded() {
        assert!(check_shape(&[]).is_ok() && check_shape(&[0, 3]).is_ok() && check_shape(&[1 << 20, 1 << 20]).is_ok());
        for dims in [&[1 << 20, 1 << 21][..], &[0, usize::MAX, 2], &[usize::MAX, 0], &[1; 17]] {
            assert!(check_shape(dims).is_err(), "{dims:?}");
        }
    }
}
