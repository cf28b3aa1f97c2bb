//! Bounds of the numbers that describe a network, and of the network as a whole.

use candle_core::bail;
use gan_layers::{Builder, MAX_PARAMS};
use gan_range::Range;
use serde::Serialize;
use serde_json::Value;

use crate::{Error, Result};

/// Widest first layer.
const WIDTH: u64 = 4096;
/// Most residual blocks in a row.
const BLOCKS: u64 = 1024;
/// Most halvings: no image has a side above 2^16.
const HALVINGS: u64 = 16;

pub(crate) const NGF: Range = Range::whole("ngf", 1, WIDTH);
pub(crate) const NDF: Range = Range::whole("ndf", 1, WIDTH);
pub(crate) const NEF: Range = Range::whole("nef", 1, WIDTH);
/// Labels, edges and features are channels, too.
pub(crate) const INPUT_NC: Range = Range::whole("input_nc", 1, 1 << 17);
pub(crate) const OUTPUT_NC: Range = Range::whole("output_nc", 1, 1 << 16);
pub(crate) const FEAT_NUM: Range = Range::whole("feat_num", 1, 1024);
pub(crate) const N_BLOCKS: Range = Range::whole("n_blocks", 0, BLOCKS);
pub(crate) const NUM_DOWNS: Range = Range::whole("num_downs", 5, HALVINGS);
pub(crate) const N_DOWNSAMPLE_GLOBAL: Range = Range::whole("n_downsample_global", 0, HALVINGS);
pub(crate) const N_DOWNSAMPLE_E: Range = Range::whole("n_downsample_e", 0, HALVINGS);
pub(crate) const N_BLOCKS_GLOBAL: Range = Range::whole("n_blocks_global", 0, BLOCKS);
pub(crate) const N_LOCAL_ENHANCERS: Range = Range::whole("n_local_enhancers", 1, 8);
pub(crate) const N_BLOCKS_LOCAL: Range = Range::whole("n_blocks_local", 0, BLOCKS);
pub(crate) const N_LAYERS_D: Range = Range::whole("n_layers_d", 0, HALVINGS);
pub(crate) const NUM_D: Range = Range::whole("num_d", 1, 8);
pub(crate) const NETF_NC: Range = Range::whole("netf_nc", 1, WIDTH);
pub(crate) const INIT_GAIN: Range = Range::positive("init_gain", 1e6);

/// Refuses a network some of whose numbers are out of range, before its layers are written down.
pub(crate) fn within(numbers: &[(Range, usize)]) -> candle_core::Result<()> {
    for (range, number) in numbers {
        if let Err(error) = range.check_whole(*number as u64) {
            bail!("{error}");
        }
    }
    Ok(())
}

/// Checks every number of a configuration against its table of ranges.
pub(crate) fn check_all(config: &impl Serialize, ranges: &[Range]) -> Result<()> {
    // A number that JSON has no form for is not finite.
    let values = serde_json::to_value(config).unwrap_or_default();
    for range in ranges {
        match &values[range.key] {
            Value::Number(number) => match (number.as_u64(), number.as_f64()) {
                (Some(whole), _) => range.check_whole(whole)?,
                (None, Some(real)) => range.check_real(real)?,
                (None, None) => return Err(range.refuse(number).into()),
            },
            other => return Err(range.refuse(other).into()),
        }
    }
    Ok(())
}

/// A number of a network's description, with its default: how much of the network's size it is answerable for.
pub(crate) struct Factor {
    pub(crate) key: &'static str,
    pub(crate) value: usize,
    /// By how many times it makes the network larger than the default does.
    pub(crate) growth: f64,
}

impl Factor {
    /// A width, or a number of layers.
    pub(crate) fn linear(key: &'static str, value: usize, default: usize) -> Self {
        Factor { key, value, growth: value as f64 / default as f64 }
    }

    /// A number of halvings, each of which doubles the width.
    pub(crate) fn doubling(key: &'static str, value: usize, default: usize) -> Self {
        Factor { key, value, growth: 2f64.powi(value as i32 - default as i32) }
    }
}

/// Refuses a network that cannot be built; if it has more than [`MAX_PARAMS`] parameters, the message names the key that is largest.
pub(crate) fn check_size<T>(
    factors: &[Factor],
    build: impl FnOnce(Builder<'static>) -> candle_core::Result<T>,
) -> Result<()> {
    let at = Builder::shapes_only();
    let Err(error) = build(at.clone()) else { return Ok(()) };
    let largest = factors.iter().max_by(|a, b| a.growth.total_cmp(&b.growth));
    match largest.filter(|_| at.params() > MAX_PARAMS) {
        Some(Factor { key, value, .. }) => Err(Error::TooLarge { key, value: *value, most: MAX_PARAMS }),
        None => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Arch, DiscriminatorConfig, EncoderConfig, GeneratorConfig, NetD, UnetConfig};

    fn refusal(config: GeneratorConfig) -> String {
        config.validate().unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_go_together_is_not_a_matter_of_size() {
        let config = GeneratorConfig {
            arch: Arch::Resnet,
            antialias_up: true,
            upsample: crate::Upsample::Resize,
            ..GeneratorConfig::default()
        };
        let said = refusal(config);
        assert!(said.contains("set antialias_up = false") && !said.contains("parameters"), "{said}");
    }

    #[test]
    fn numbers_out_of_range_are_refused_before_layers_are_written_down() {
        let d = GeneratorConfig::default;
        for (config, key) in [
            (GeneratorConfig { ngf: 0, ..d() }, "ngf: 0"),
            (GeneratorConfig { ngf: usize::MAX, ..d() }, "ngf"),
            (GeneratorConfig { input_nc: usize::MAX, ..d() }, "input_nc"),
            (GeneratorConfig { output_nc: 0, ..d() }, "output_nc: 0"),
            (GeneratorConfig { arch: Arch::Resnet, n_blocks: 1_000_000, ..d() }, "n_blocks: 1000000"),
            (GeneratorConfig { arch: Arch::Unet, num_downs: 1_000_000, ..d() }, "num_downs: 1000000"),
            (GeneratorConfig { arch: Arch::Local, n_local_enhancers: 9, ..d() }, "n_local_enhancers: 9"),
            (GeneratorConfig { init_gain: 0.0, ..d() }, "init_gain: 0"),
            (GeneratorConfig { init_gain: f64::NAN, ..d() }, "init_gain"),
        ] {
            let text = refusal(config.clone());
            assert!(text.contains(key) && text.contains("out of range"), "{text}");
            let builds = config.build(Builder::shapes_only()).is_ok();
            assert_eq!(builds, key.starts_with("init_gain"), "{key}");
        }
        // Descriptions of single networks, too.
        assert!(UnetConfig { num_downs: 1_000_000, ..UnetConfig::default() }.build(Builder::shapes_only()).is_err());
        let layers =
            DiscriminatorConfig { arch: NetD::NLayers, n_layers_d: 1_000_000, ..DiscriminatorConfig::default() };
        assert!(layers.validate(3).unwrap_err().to_string().contains("n_layers_d: 1000000"));
        assert!(EncoderConfig { nef: 0, ..EncoderConfig::default() }.validate().is_err());
    }

    #[test]
    fn networks_that_no_machine_holds_are_refused_by_their_largest_number() {
        let d = GeneratorConfig::default;
        let wide = refusal(GeneratorConfig { ngf: 4096, ..d() });
        assert_eq!(wide, "ngf = 4096 makes a network of more than 8589934592 parameters; lower it");
        let deep = GeneratorConfig { arch: Arch::Local, n_downsample_global: 16, n_local_enhancers: 8, ..d() };
        assert!(refusal(deep).starts_with("n_downsample_global = 16"));
        let long = GeneratorConfig { arch: Arch::Resnet, ngf: 512, n_blocks: 1024, ..d() };
        assert!(refusal(long).starts_with("n_blocks = 1024"));
        let encoder = EncoderConfig { n_downsample: 16, ..EncoderConfig::default() };
        assert!(encoder.validate().unwrap_err().to_string().starts_with("n_downsample_e = 16"));
        d().validate().unwrap();
    }

    #[test]
    fn every_number_has_a_range() {
        let keys = |value: serde_json::Value| -> Vec<String> {
            value.as_object().unwrap().iter().filter(|(_, v)| v.is_number()).map(|(k, _)| k.clone()).collect()
        };
        for (config, ranges) in [
            (serde_json::to_value(GeneratorConfig::default()).unwrap(), GeneratorConfig::RANGES),
            (serde_json::to_value(DiscriminatorConfig::default()).unwrap(), DiscriminatorConfig::RANGES),
        ] {
            let mut ranged: Vec<&str> = ranges.iter().map(|range| range.key).collect();
            ranged.sort_unstable();
            let mut numbers = keys(config);
            numbers.sort_unstable();
            assert_eq!(numbers, ranged);
        }
    }
}
