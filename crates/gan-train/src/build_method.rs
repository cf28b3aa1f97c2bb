//! A method as it is trained.

use crate::method::Method;
use crate::method_config::MethodConfig;
use crate::{DeviceConfig, OnNonfinite, Result, capture_steps};

/// Builds the method of a configuration, with what the table `train` asks for around its steps: averages of the networks that
/// translate (`ema`), updates that are skipped (`on_nonfinite`), and captured CUDA graphs.
///
/// # Errors
/// As [`MethodConfig::build`].
pub fn build_method(config: &dyn MethodConfig, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
    Ok(capture_steps(build_uncaptured(config, device_config)?, config.train(), device_config))
}

/// As [`build_method`], without captured CUDA graphs: a step that exchanges with other ranks has work for the host in between.
///
/// # Errors
/// As [`MethodConfig::build`].
pub(crate) fn build_uncaptured(config: &dyn MethodConfig, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
    let (train, model) = (config.train(), config.model());
    let mut method = config.build(device_config)?;
    for (_, optimizer, networks) in method.state().optimizers {
        if train.ema > 0.0 && model.network_names().any(|name| networks.contains(&name)) {
            optimizer.track_average(train.ema)?;
        }
        if train.on_nonfinite == OnNonfinite::Skip {
            optimizer.skip_non_finite(train.nonfinite_limit)?;
        }
    }
    Ok(method)
}
