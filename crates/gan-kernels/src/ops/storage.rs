//! From candle tensors to slices and back.
use crate::cpu::elementwise::for_overwrite;
use crate::cpu::real::Real;
#[cfg(feature = "cuda")]
pub use crate::cuda::into_storage::into_storage;
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Shape, Storage, Tensor, WithDType, bail};
use std::cell::Cell;

/// The tensor without its graph, contiguous, on the CPU.
pub(crate) fn plain(t: &Tensor) -> Result<Tensor> {
    if !t.device().is_cpu() {
        bail!("this operator has only a CPU implementation, the tensor is on {:?}", t.device().location())
    }
    t.detach().contiguous()
}

/// The elements of a tensor that [`plain`] returned, from its guard and layout.
pub(crate) fn elements<'a, T: WithDType>(storage: &'a Storage, layout: &Layout) -> Result<&'a [T]> {
    let Storage::Cpu(cpu) = storage else { bail!("expected a tensor on the CPU") };
    let all = T::cpu_storage_as_slice(cpu)?;
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&all[from..to]),
        None => bail!("expected a contiguous tensor, got strides {:?}", layout.stride()),
    }
}

/// Binds slices to the elements of tensors that [`plain`] returned: `slices!(T; xs = x, ys = y);`.
macro_rules! slices {
    ($t:ty; $($name:ident = $tensor:expr),+ $(,)?) => {
        $(
            let guard = $tensor.storage_and_layout();
            let $name: &[$t] = $crate::ops::storage::elements(&guard.0, guard.1)?;
        )+
    };
}
pub(crate) use slices;

/// A tensor that owns `data`.
pub(crate) fn tensor<T: Real>(data: Vec<T>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(data, shape.into(), &candle_core::Device::Cpu)
}

/// A tensor on the CPU whose values are undefined until they are overwritten, F32 or F64: what is going to be written need not be
/// zeroed first.
///
/// # Errors
/// Another element type.
pub fn undefined(shape: &Shape, dtype: DType) -> Result<Tensor> {
    match dtype {
        DType::F32 => tensor(for_overwrite::<f32>(shape.elem_count()), shape),
        DType::F64 => tensor(for_overwrite::<f64>(shape.elem_count()), shape),
        other => bail!("expected F32 or F64, got {other:?}"),
    }
}

/// `input`, or a copy of it if writing to `into` would lock its storage.
pub(crate) fn apart(input: &Tensor, into: &Tensor) -> Result<Tensor> {
    let address = |t: &Tensor| std::ptr::from_ref::<Storage>(&t.storage_and_layout().0).addr();
    if address(input) == address(into) { input.copy() } else { Ok(input.clone()) }
}

struct Update<F>(Cell<Option<F>>);

impl<F: FnOnce(&mut CpuStorage, &Layout) -> Result<()>> InplaceOp1 for Update<F> {
    fn name(&self) -> &'static str {
        "gan-kernels update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        match self.0.take() {
            Some(f) => f(storage, layout),
            None => Ok(()),
        }
    }
}

/// Changes the elements of `into` (a contiguous tensor or view) in place. The function must not touch another tensor
/// with the same storage (see [`apart`]).
pub(crate) fn update<T: Real, R>(into: &Tensor, f: impl FnOnce(&mut [T]) -> Result<R>) -> Result<R> {
    if !into.device().is_cpu() {
        bail!("this operator has only a CPU implementation, the tensor is on {:?}", into.device().location())
    }
    if into.dtype() != T::DTYPE {
        bail!("expected an accumulator of type {:?}, got {:?}", T::DTYPE, into.dtype())
    }
    let result = Cell::new(None);
    into.detach().inplace_op1(&Update(Cell::new(Some(|storage: &mut CpuStorage, layout: &Layout| {
        let Some((from, to)) = layout.contiguous_offsets() else {
            bail!("expected a contiguous accumulator, got strides {:?}", layout.stride())
        };
        let Some(all) = T::elements_mut(storage) else { bail!("expected an accumulator of type {:?}", T::DTYPE) };
        result.set(Some(f(&mut all[from..to])?));
        Ok(())
    }))))?;
    match result.take() {
        Some(r) => Ok(r),
        None => bail!("the update did not run"),
    }
}

/// Errors unless the shapes and element types are equal.
pub(crate) fn same_shape(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dims() != b.dims() {
        bail!("{op}: shapes differ, {:?} and {:?}", a.dims(), b.dims())
    }
    same_kind(op, a, b)
}

/// Errors unless the element types are equal.
pub(crate) fn same_kind(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        bail!("{op}: element types differ, {:?} and {:?}", a.dtype(), b.dtype())
    }
    Ok(())
}
