//! Compiled kernels, loaded once per device.

use candle_core::Result;
use candle_core::cuda::cudarc::driver::CudaFunction;
use candle_core::cuda::{CudaDevice, DeviceId};
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// The PTX of one `.cu` file.
pub(crate) struct Module {
    pub(crate) name: &'static str,
    pub(crate) ptx: &'static str,
}

/// The module of `kernels/NAME.cu`.
macro_rules! module {
    ($name:literal) => {
        $crate::cuda::module::Module {
            name: concat!("gan-kernels ", $name),
            ptx: include_str!(concat!(env!("OUT_DIR"), "/", $name, ".ptx")),
        }
    };
}
pub(crate) use module;

/// The name of a kernel for an element type: `typed!(x.dtype(), "act")?` is `"act_f32"`, `"act_f64"` or `"act_bf16"`.
macro_rules! typed {
    ($dtype:expr, $name:literal) => {
        match $dtype {
            candle_core::DType::F32 => Ok(concat!($name, "_f32")),
            candle_core::DType::F64 => Ok(concat!($name, "_f64")),
            candle_core::DType::BF16 => Ok(concat!($name, "_bf16")),
            other => Err(candle_core::Error::Msg(format!(
                "this operator takes F32, F64 or BF16 tensors on CUDA, got {other:?}"
            ))),
        }
    };
}
pub(crate) use typed;

/// Kernels found so far. candle's own table costs the driver a look-up by name for every launch.
static FOUND: RwLock<Option<HashMap<(DeviceId, &'static str), CudaFunction>>> = RwLock::new(None);

/// A kernel by name; its module is compiled by the driver when the first of its kernels is asked for.
pub(crate) fn kernel(device: &CudaDevice, module: &Module, name: &'static str) -> Result<CudaFunction> {
    let key = (device.id(), name);
    if let Some(found) = FOUND.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|all| all.get(&key)) {
        return Ok(found.clone());
    }
    let function = device.get_or_load_custom_func(name, module.name, module.ptx)?.into_cuda_function();
    let mut all = FOUND.write().unwrap_or_else(PoisonError::into_inner);
    all.get_or_insert_default().insert(key, function.clone());
    Ok(function)
}
