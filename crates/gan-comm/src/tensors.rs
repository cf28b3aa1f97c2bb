//! Tensors as bytes, for processes of one kind of machine.

use crate::{Error, Result};
use bytemuck::{cast_slice, cast_slice_mut};
use candle_core::{CpuStorage, DType, Device, Storage, Tensor, bail};

/// The elements in order.
///
/// # Errors
/// The device fails, or the element type is none of those that training uses.
pub fn elements(tensor: &Tensor) -> candle_core::Result<Vec<u8>> {
    // A view of a device's tensor would bring all of it along.
    let own = if tensor.device().is_cpu() { tensor.clone() } else { tensor.force_contiguous()? };
    let flat = own.to_device(&Device::Cpu)?.flatten_all()?;
    macro_rules! bytes {
        ($t:ty) => {
            cast_slice(&flat.to_vec1::<$t>()?).to_vec()
        };
    }
    Ok(match flat.dtype() {
        DType::U8 => bytes!(u8),
        DType::U32 => bytes!(u32),
        DType::I64 => bytes!(i64),
        DType::BF16 => bytes!(half::bf16),
        DType::F32 => bytes!(f32),
        DType::F64 => bytes!(f64),
        other => bail!("tensors of {other:?} are not sent to other ranks"),
    })
}

/// Calls `run` with the elements of each tensor in order, which are not copied for it where all lie on the CPU, in F32 or F64.
///
/// # Errors
/// As [`elements`], and those of `run`.
pub fn with_elements<T>(tensors: &[Tensor], run: impl FnOnce(&[&[u8]]) -> Result<T>) -> Result<T> {
    let held: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
    let in_place: Option<Vec<&[u8]>> = held
        .iter()
        .map(|(storage, layout)| match (&**storage, layout.contiguous_offsets()?) {
            (Storage::Cpu(CpuStorage::F32(values)), (from, to)) => Some(cast_slice(&values[from..to])),
            (Storage::Cpu(CpuStorage::F64(values)), (from, to)) => Some(cast_slice(&values[from..to])),
            _ => None,
        })
        .collect();
    if let Some(parts) = in_place {
        return run(&parts);
    }
    drop(held);
    let copies = tensors.iter().map(elements).collect::<candle_core::Result<Vec<_>>>()?;
    run(&copies.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

/// Room for the elements of a flat tensor, which are not copied for it on the CPU, in F32 or F64.
pub enum Room {
    /// Of F32.
    F32(Vec<f32>),
    /// Of F64.
    F64(Vec<f64>),
    /// Of another type, as bytes.
    Other(DType, Vec<u8>),
}

impl Room {
    /// For so many elements.
    pub fn new(dtype: DType, len: usize) -> Self {
        match dtype {
            DType::F32 => Room::F32(vec![0.0; len]),
            DType::F64 => Room::F64(vec![0.0; len]),
            _ => Room::Other(dtype, vec![0; len * dtype.size_in_bytes()]),
        }
    }

    /// The elements, to be written.
    pub fn bytes(&mut self) -> &mut [u8] {
        match self {
            Room::F32(values) => cast_slice_mut(values),
            Room::F64(values) => cast_slice_mut(values),
            Room::Other(_, bytes) => bytes,
        }
    }

    /// The tensor `[len]` of them.
    ///
    /// # Errors
    /// As [`of_elements`].
    pub fn tensor(self, device: &Device) -> candle_core::Result<Tensor> {
        match self {
            Room::F32(values) => {
                let len = values.len();
                Tensor::from_vec(values, len, device)
            }
            Room::F64(values) => {
                let len = values.len();
                Tensor::from_vec(values, len, device)
            }
            Room::Other(dtype, bytes) => of_elements(&bytes, dtype, &[bytes.len() / dtype.size_in_bytes()], device),
        }
    }
}

/// The tensor of these elements on a device.
///
/// # Errors
/// Another number of bytes than the shape asks for; the device fails.
pub fn of_elements(bytes: &[u8], dtype: DType, shape: &[usize], device: &Device) -> candle_core::Result<Tensor> {
    let count: usize = shape.iter().product();
    if bytes.len() != count * dtype.size_in_bytes() {
        bail!("{} bytes are no {dtype:?} tensor {shape:?}", bytes.len());
    }
    Tensor::from_raw_buffer(bytes, dtype, shape, device)
}

/// Appends tensors with their element types and shapes.
///
/// # Errors
/// As [`elements`].
pub fn pack<'a>(to: &mut Vec<u8>, tensors: impl IntoIterator<Item = &'a Tensor>) -> candle_core::Result<()> {
    for tensor in tensors {
        to.push(code(tensor.dtype())?);
        to.push(tensor.rank() as u8);
        tensor.dims().iter().for_each(|&side| to.extend((side as u64).to_le_bytes()));
        to.extend(elements(tensor)?);
    }
    Ok(())
}

/// Reads what [`pack`] wrote, and what stands between it.
#[derive(Debug)]
pub struct Reader<'a> {
    rank: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Of what a rank sent.
    pub fn new(rank: usize, bytes: &'a [u8]) -> Self {
        Reader { rank, rest: bytes }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if fewer are left.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (bytes, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| self.unexpected("a message that ends early"))?;
        self.rest = rest;
        Ok(bytes)
    }

    /// The next number.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn number(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(8)?.try_into().unwrap_or_default()))
    }

    /// The next tensor.
    ///
    /// # Errors
    /// [`Error::Unexpected`] if no whole tensor follows; [`Error::Tensor`] if the device fails.
    pub fn tensor(&mut self, device: &Device) -> Result<Tensor> {
        let head = self.bytes(2)?;
        let dtype = of_code(head[0]).ok_or_else(|| self.unexpected("no tensor where one was expected"))?;
        let shape = (0..head[1]).map(|_| Ok(self.number()? as usize)).collect::<Result<Vec<_>>>()?;
        let count = shape.iter().try_fold(dtype.size_in_bytes(), |n, &side| n.checked_mul(side));
        let bytes = self.bytes(count.ok_or_else(|| self.unexpected("a tensor of an impossible shape"))?)?;
        Ok(of_elements(bytes, dtype, &shape, device)?)
    }

    /// What to say of a message that is not what was expected.
    pub fn unexpected(&self, what: &str) -> Error {
        Error::Unexpected { rank: self.rank, what: what.to_owned() }
    }
}

/// The element types that are sent.
const TYPES: [DType; 6] = [DType::U8, DType::U32, DType::I64, DType::BF16, DType::F32, DType::F64];

fn code(dtype: DType) -> candle_core::Result<u8> {
    match TYPES.iter().position(|known| *known == dtype) {
        Some(at) => Ok(at as u8),
        None => bail!("tensors of {dtype:?} are not sent to other ranks"),
    }
}

fn of_code(code: u8) -> Option<DType> {
    TYPES.get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tensors_come_back() {
        let values = Tensor::new(&[[1.5f32, -0.0], [f32::MIN_POSITIVE, 3.0]], &Device::Cpu).unwrap();
        for dtype in TYPES {
            let tensor = values.to_dtype(dtype).unwrap();
            let mut bytes = Vec::new();
            pack(&mut bytes, [&tensor, &tensor.get(1).unwrap()]).unwrap();
            bytes.extend(7u64.to_le_bytes());
            let mut reader = Reader::new(0, &bytes);
            let (first, second) = (reader.tensor(&Device::Cpu).unwrap(), reader.tensor(&Device::Cpu).unwrap());
            assert_eq!((first.dims(), second.dims(), first.dtype()), (&[2, 2][..], &[2][..], dtype));
            assert_eq!(elements(&first).unwrap(), elements(&tensor).unwrap());
            assert_eq!(elements(&second).unwrap(), elements(&tensor).unwrap()[2 * dtype.size_in_bytes()..]);
            assert_eq!(reader.number().unwrap(), 7);
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn elements_are_read_and_written_in_place() {
        for dtype in [DType::F32, DType::F64, DType::BF16] {
            let whole = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
            let tensors = [whole.narrow(0, 3, 5).unwrap(), whole.reshape((3, 4)).unwrap().t().unwrap()];
            for tensor in tensors {
                let want = elements(&tensor).unwrap();
                with_elements(&[tensor.clone(), tensor.clone()], |bytes| {
                    assert_eq!(bytes, [&want[..], &want]);
                    Ok(())
                })
                .unwrap();
                let mut room = Room::new(dtype, tensor.elem_count());
                room.bytes().copy_from_slice(&want);
                let back = room.tensor(&Device::Cpu).unwrap();
                assert_eq!((back.dtype(), elements(&back).unwrap()), (dtype, want));
            }
        }
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        let mut bytes = Vec::new();
        pack(&mut bytes, [&Tensor::new(&[1f32, 2.0], &Device::Cpu).unwrap()]).unwrap();
        for end in 0..bytes.len() {
            let error = Reader::new(3, &bytes[..end]).tensor(&Device::Cpu).unwrap_err();
            assert!(matches!(error, Error::Unexpected { rank: 3, .. }), "{error}");
        }
        assert!(Reader::new(0, &[99, 0]).tensor(&Device::Cpu).is_err());
        let huge = [&[5, 2][..], &u64::MAX.to_le_bytes(), &u64::MAX.to_le_bytes()].concat();
        assert!(Reader::new(0, &huge).tensor(&Device::Cpu).is_err());
    }
}
