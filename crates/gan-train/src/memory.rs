//! Which activations the memory at hand allows to keep (`train.checkpointing = "auto"`).

mod available;
mod estimate;

use crate::config::ConfigSource;
use crate::method_config::MethodConfig;
use crate::method_spec::MethodSpec;
use crate::{Checkpointing, DeviceConfig, Error, Result};

pub use estimate::{Estimate, estimate};

/// The same configuration with this choice.
pub(crate) fn with_choice(
    method: &MethodSpec,
    config: &dyn MethodConfig,
    choice: Checkpointing,
) -> Result<Box<dyn MethodConfig>> {
    let choice = ConfigSource::Setting(format!("train.checkpointing={}", choice.is_on()));
    (method.resolve)(&[ConfigSource::saved(config)?, choice])
}

/// Chooses where the configuration leaves it to the memory: kept activations may take nine tenths of what is at hand. Also
/// returns why, in words.
pub(crate) fn choose(config: &dyn MethodConfig, device_config: &DeviceConfig) -> Result<(Checkpointing, String)> {
    let chosen = |on: bool, why: String| {
        let what = if on { "are computed again" } else { "are kept" };
        Ok((on.into(), format!("train.checkpointing = \"auto\": activations {what}: {why}")))
    };
    let Some(Estimate { kept, recomputed }) = estimate(config, device_config)? else {
        return chosen(true, "the sizes of the images are not known beforehand".into());
    };
    let needed = format!("a step takes about {} with them and {} without", gib(kept), gib(recomputed));
    match available::memory(&device_config.device)? {
        Some(available) => {
            let on = recomputed < kept && kept > available / 10 * 9;
            chosen(on, format!("{needed}, of {}", gib(available)))
        }
        None => chosen(false, format!("{needed}; the memory at hand is not known")),
    }
}

/// What training takes, and what is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryNeed {
    /// Bytes at the peak, about, from the shapes of the networks.
    pub needed: u64,
    /// The same with the activations of residual blocks computed again (`train.checkpointing`).
    pub checkpointed: u64,
    /// Bytes that the system and the control groups leave now, where they tell.
    pub available: Option<u64>,
}

/// Of an estimate, the share in hundredths that training takes at least: estimates are within a tenth of what was measured.
const CERTAIN: u64 = 85;

/// What training by a configuration takes on the CPU; `None` on a device, and where the images decide the size.
///
/// # Errors
/// [`Error::TooLittleMemory`] if that is more than is at hand, beyond what the estimate may be wrong by.
pub(crate) fn require(config: &dyn MethodConfig, device_config: &DeviceConfig) -> Result<Option<MemoryNeed>> {
    if !device_config.device.is_cpu() {
        return Ok(None);
    }
    let Some(Estimate { kept, recomputed }) = estimate(config, device_config)? else { return Ok(None) };
    let needed = if config.train().checkpointing.is_on() { recomputed } else { kept };
    let need = MemoryNeed { needed, checkpointed: recomputed, available: available::beside_addresses() };
    match need.available {
        // What the program itself takes, it has already.
        Some(available) if (needed - estimate::PROGRAM) / 100 * CERTAIN > available => {
            Err(Error::TooLittleMemory { needed, checkpointed: recomputed, available })
        }
        _ => Ok(Some(need)),
    }
}

fn gib(bytes: u64) -> String {
    format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::methods::{METHODS, pix2pix};

    #[test]
    fn three_values_as_toml_and_as_settings() {
        let read = |settings: &[&str]| {
            let layers: Vec<_> = settings.iter().map(|text| ConfigSource::Setting((*text).to_owned())).collect();
            (pix2pix::SPEC.resolve)(&layers).map(|config| config.train().checkpointing)
        };
        assert_eq!(read(&[]).unwrap(), Checkpointing::Off);
        for (text, value) in [("true", Checkpointing::On), ("false", Checkpointing::Off), ("auto", Checkpointing::Auto)]
        {
            let setting = format!("checkpointing={text}");
            assert_eq!(read(&[&setting]).unwrap(), value);
            // Text was there before.
            assert_eq!(read(&["checkpointing=auto", &setting]).unwrap(), value);
            let config = (pix2pix::SPEC.resolve)(&[ConfigSource::Setting(setting)]).unwrap();
            let saved = (pix2pix::SPEC.resolve)(&[ConfigSource::saved(&*config).unwrap()]).unwrap();
            assert_eq!(saved.train().checkpointing, value);
        }
        let error = read(&["checkpointing=often"]).unwrap_err().to_string();
        assert!(error.contains("expected true, false or \"auto\""), "{error}");
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        let config = |settings: &[&str]| {
            let layers: Vec<_> = settings.iter().map(|text| ConfigSource::Setting((*text).to_owned())).collect();
            (pix2pix::SPEC.resolve)(&layers).unwrap()
        };
        let small = config(&["generator.ngf=4", "discriminator.ndf=4"]);
        let need = require(&*small, &DeviceConfig::cpu()).unwrap().unwrap();
        assert!(need.needed > estimate::PROGRAM && need.checkpointed <= need.needed);
        let large = config(&["data.batch_size=40000", "generator.arch=resnet_9blocks"]);
        match require(&*large, &DeviceConfig::cpu()) {
            Err(Error::TooLittleMemory { needed, checkpointed, available }) => {
                assert!(available < needed && checkpointed < needed);
            }
            // Where the system does not tell, nothing is refused.
            other => assert!(other.unwrap().unwrap().available.is_none()),
        }
    }

    #[test]
    fn the_choice_is_part_of_the_configuration() {
        for method in METHODS {
            let config = (method.resolve)(&[ConfigSource::Setting("checkpointing=auto".into())]).unwrap();
            let (choice, why) = choose(&*config, &DeviceConfig::cpu()).unwrap();
            assert!(choice != Checkpointing::Auto && why.contains("GiB"), "{why}");
            let chosen = with_choice(method, &*config, choice).unwrap();
            assert_eq!(chosen.train().checkpointing, choice);
        }
    }
}
