//! Weight files as arrays.

use crate::arrays::shaped;
use crate::errors::raised;
use crate::threads::SHARED;
use candle_core::{DType, Tensor};
use gan_weights::{ElementType, RawTensor, StateDict, read_any, read_entry};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict};
use std::path::PathBuf;

/// Arrays by name, and descriptions by name of what there is no array of.
type Read<'py> = (Bound<'py, PyDict>, Bound<'py, PyDict>, Vec<String>);

/// The tensors of a file, what else its state dict holds, in words, and notes.
#[pyfunction]
#[pyo3(signature = (path, entry=None))]
pub(crate) fn read_weights(py: Python<'_>, path: PathBuf, entry: Option<String>) -> PyResult<Read<'_>> {
    let loaded = py.detach(|| {
        SHARED.run(|| match &entry {
            Some(entry) => read_entry(&path, entry),
            None => read_any(&path),
        })
    })?;
    let loaded = loaded.map_err(raised)?;
    let (arrays, opaque) = (PyDict::new(py), PyDict::new(py));
    for (name, tensor) in loaded.state.iter() {
        arrays.set_item(name, array(py, tensor)?)?;
    }
    others(&loaded.state, &arrays, &opaque)?;
    for (name, what) in loaded.state.unread() {
        opaque.set_item(name, what)?;
    }
    Ok((arrays, opaque, loaded.notes))
}

fn array<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Bound<'py, PyAny>> {
    let failed = |error: candle_core::Error| raised(error);
    let (dims, flat) = (tensor.dims(), tensor.flatten_all().map_err(failed)?);
    match flat.dtype() {
        DType::F64 => shaped(py, flat.to_vec1::<f64>().map_err(failed)?, dims),
        DType::F16 => shaped(py, flat.to_vec1::<half::f16>().map_err(failed)?, dims),
        DType::I64 => shaped(py, flat.to_vec1::<i64>().map_err(failed)?, dims),
        DType::I32 => shaped(py, flat.to_vec1::<i32>().map_err(failed)?, dims),
        DType::I16 => shaped(py, flat.to_vec1::<i16>().map_err(failed)?, dims),
        DType::U8 => shaped(py, flat.to_vec1::<u8>().map_err(failed)?, dims),
        DType::U32 => shaped(py, flat.to_vec1::<u32>().map_err(failed)?, dims),
        // NumPy has no bfloat16; every one of its values is one of float32.
        _ => shaped(py, flat.to_dtype(DType::F32).and_then(|flat| flat.to_vec1::<f32>()).map_err(failed)?, dims),
    }
}

/// Tensors of types that candle lacks, as far as NumPy has them.
fn others(state: &StateDict, arrays: &Bound<'_, PyDict>, opaque: &Bound<'_, PyDict>) -> PyResult<()> {
    use ElementType::{Bool, Complex64, Complex128, I8, U16, U64};
    let numpy = arrays.py().import("numpy")?;
    for (name, raw) in state.others() {
        match raw.element() {
            Bool | I8 | U16 | U64 | Complex64 | Complex128 => {
                let array =
                    numpy.call_method1("frombuffer", (PyByteArray::new(arrays.py(), raw.data()), little(raw)))?;
                arrays.set_item(name, array.call_method1("reshape", (raw.dims().to_vec(),))?)?;
            }
            other => opaque.set_item(name, format!("{} {:?}, a type that NumPy lacks", other.name(), raw.dims()))?,
        }
    }
    Ok(())
}

/// NumPy's code of an element type, little-endian as the bytes are.
fn little(raw: &RawTensor) -> &'static str {
    match raw.element() {
        ElementType::Bool => "?",
        ElementType::I8 => "i1",
        ElementType::U16 => "<u2",
        ElementType::U64 => "<u8",
        ElementType::Complex64 => "<c8",
        _ => "<c16",
    }
}
