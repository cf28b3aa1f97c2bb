//! NumPy arrays and images.

use crate::errors::invalid;
use gan_data::{IdMap, Image, Raster};
use numpy::ndarray::ArrayViewD;
use numpy::{Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::prelude::*;

/// One item, or several along a first axis.
pub(crate) struct Items<T> {
    pub(crate) items: Vec<T>,
    /// Whether there is such an axis.
    pub(crate) batched: bool,
}

/// Whatever NumPy makes an array of: an array, an image of Pillow, a tensor of PyTorch on the CPU, nested lists.
fn array<'py>(any: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    Ok(any.py().import("numpy")?.call_method1("asarray", (any,))?.cast_into()?)
}

/// Images `[H, W]` (grey), `[H, W, C]` or `[N, H, W, C]` of uint8 or uint16; `what` is what messages call them.
pub(crate) fn images(any: &Bound<'_, PyAny>, what: &str) -> PyResult<Items<Image>> {
    let array = array(any)?;
    if let Ok(samples) = array.extract::<PyReadonlyArrayDyn<'_, u8>>() {
        return rasters(&samples.as_array(), what, Image::U8);
    }
    if let Ok(samples) = array.extract::<PyReadonlyArrayDyn<'_, u16>>() {
        return rasters(&samples.as_array(), what, Image::U16);
    }
    Err(invalid(format!(
        "{what} is an array of {}; give uint8 (0 to 255) or uint16 (0 to 65535), for example (255 * x).round().astype(\"uint8\")",
        array.dtype()
    )))
}

fn rasters<T: Copy + Default>(
    samples: &ArrayViewD<'_, T>,
    what: &str,
    image: fn(Raster<T>) -> Image,
) -> PyResult<Items<Image>> {
    let (height, width, channels, batched) = match *samples.shape() {
        [height, width] => (height, width, 1, false),
        [height, width, channels] => (height, width, channels, false),
        [_, height, width, channels] => (height, width, channels, true),
        _ => return Err(shape(samples.shape(), what, "[H, W], [H, W, C] or [N, H, W, C]")),
    };
    let items = split(samples, height * width * channels, what)?;
    let items = items.map(|samples| image(Raster::new(width, height, channels, samples))).collect();
    Ok(Items { items, batched })
}

/// Label or instance maps `[H, W]` or `[N, H, W]` of any integers that fit into 32 bits without a sign.
pub(crate) fn id_maps(any: &Bound<'_, PyAny>, what: &str) -> PyResult<Items<IdMap>> {
    let array = array(any)?;
    let maps = ids_of::<u8>(&array, what)
        .or_else(|| ids_of::<i32>(&array, what))
        .or_else(|| ids_of::<i64>(&array, what))
        .or_else(|| ids_of::<u16>(&array, what))
        .or_else(|| ids_of::<u32>(&array, what))
        .or_else(|| ids_of::<u64>(&array, what))
        .or_else(|| ids_of::<i16>(&array, what));
    maps.unwrap_or_else(|| {
        let dtype = array.dtype();
        Err(invalid(format!("{what} is an array of {dtype}, and ids are integers; give uint8, uint16 or int32")))
    })
}

/// `None` for an array of another type.
fn ids_of<T: Element + Copy + TryInto<u32> + std::fmt::Display>(
    array: &Bound<'_, PyUntypedArray>,
    what: &str,
) -> Option<PyResult<Items<IdMap>>> {
    let ids = array.extract::<PyReadonlyArrayDyn<'_, T>>().ok()?;
    Some(maps(&ids.as_array(), what))
}

fn maps<T: Copy + TryInto<u32> + std::fmt::Display>(ids: &ArrayViewD<'_, T>, what: &str) -> PyResult<Items<IdMap>> {
    let (height, width, batched) = match *ids.shape() {
        [height, width] => (height, width, false),
        [_, height, width] => (height, width, true),
        _ => return Err(shape(ids.shape(), what, "[H, W] or [N, H, W]")),
    };
    let id = |id: T| id.try_into().map_err(|_| invalid(format!("{what} holds {id}: ids are 0 to {}", u32::MAX)));
    let items = split(ids, height * width, what)?.map(|ids| {
        let ids = ids.into_iter().map(id).collect::<PyResult<Vec<u32>>>()?;
        Ok(IdMap::new(Raster::new(width, height, 1, ids)))
    });
    Ok(Items { items: items.collect::<PyResult<_>>()?, batched })
}

/// The elements in the order of rows, cut into items of `size`.
fn split<T: Copy>(
    samples: &ArrayViewD<'_, T>,
    size: usize,
    what: &str,
) -> PyResult<impl Iterator<Item = Vec<T>> + use<T>> {
    if samples.is_empty() {
        return Err(invalid(format!("{what} has the shape {:?}: there are no pixels", samples.shape())));
    }
    let all: Vec<T> = match samples.as_slice() {
        Some(samples) => samples.to_vec(),
        None => samples.iter().copied().collect(),
    };
    let several = all.len() > size;
    let rest = if several { all.chunks_exact(size).map(<[T]>::to_vec).collect() } else { vec![all] };
    Ok(rest.into_iter())
}

fn shape(found: &[usize], what: &str, wanted: &str) -> PyErr {
    invalid(format!("{what} has the shape {found:?}, and {wanted} is expected"))
}

/// Images of one size as an array `[H, W, C]`, or `[N, H, W, C]` if they are a batch, of uint8 or uint16 as they are.
pub(crate) fn to_array<'py>(py: Python<'py>, made: Items<Image>) -> PyResult<Bound<'py, PyAny>> {
    let Items { items, batched } = made;
    let mut shape = items.first().map_or_else(Vec::new, |image| {
        let (width, height) = image.size();
        vec![height, width, image.channels()]
    });
    if batched {
        shape.insert(0, items.len());
    }
    let (mut eight, mut sixteen) = (Vec::new(), Vec::new());
    for image in items {
        match image {
            Image::U8(raster) => join(&mut eight, raster),
            Image::U16(raster) => join(&mut sixteen, raster),
        }
    }
    if sixteen.is_empty() { shaped(py, eight, &shape) } else { shaped(py, sixteen, &shape) }
}

fn join<T: Copy + Default>(all: &mut Vec<T>, raster: Raster<T>) {
    all.extend_from_slice(raster.samples());
}

/// The elements as an array of this shape, without a copy.
pub(crate) fn shaped<'py, T: Element>(
    py: Python<'py>,
    elements: Vec<T>,
    shape: &[usize],
) -> PyResult<Bound<'py, PyAny>> {
    let array: Bound<'py, PyArrayDyn<T>> = PyArray1::from_vec(py, elements).reshape(shape.to_vec())?;
    Ok(array.into_any())
}
