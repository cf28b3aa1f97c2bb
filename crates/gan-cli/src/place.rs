//! `--device`.

use crate::exit::{Coded, DEVICE};
use candle_core::{DType, Device};
use clap::Args;
use gan_train::Place;

#[derive(Args, Clone)]
pub(crate) struct PlaceArgs {
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
}

impl PlaceArgs {
    pub(crate) fn open(&self) -> anyhow::Result<Place> {
        let fail = |reason: String| Coded(DEVICE, format!("device {}: {reason}", self.device));
        let device = match self.device.as_str() {
            "cpu" => Device::Cpu,
            name => {
                let index = match name.strip_prefix("cuda") {
                    Some("") => 0,
                    Some(rest) => rest
                        .strip_prefix(':')
                        .and_then(|n| n.parse().ok())
                        .ok_or_else(|| fail("write cuda or cuda:0".into()))?,
                    None => return Err(fail("there are cpu and cuda".into()).into()),
                };
                if !cfg!(feature = "cuda") {
                    return Err(fail(
                        "this program was built without CUDA; build it with `--features cuda`, or use --device cpu"
                            .into(),
                    )
                    .into());
                }
                Device::new_cuda(index).map_err(|e| fail(format!("{e}; is there a GPU and a driver?")))?
            }
        };
        Ok(Place { device, dtype: DType::F32 })
    }
}
