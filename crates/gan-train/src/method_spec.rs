//! The entry of a method in a list of methods.

use crate::config::{self, ConfigSource, KeyInfo, Origins, Ranged, SharedSetting, Tables};
use crate::consistency::BadKey;
use crate::method_config::{MethodConfig, demands};
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Dotted keys of a configuration, each with its default as TOML; `None` where it has none.
pub type ConfigKeys = Vec<(String, Option<String>)>;

/// A method by name: how its configuration is read, and what is said about it. The configuration builds the rest.
///
/// [`METHODS`](crate::METHODS) are those of this crate; [`train`](crate::train) takes any other as well:
///
/// ```
/// use gan_train::{MethodSpec, methods::pix2pix};
/// static PAIRS: MethodSpec = MethodSpec::new::<pix2pix::Config>("pairs", "as pix2pix, under another name", &["ngf=4"]);
/// assert_eq!((PAIRS.resolve)(&[]).unwrap().train().n_epochs, 100);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct MethodSpec {
    /// Its name; checkpoints carry it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The ranges of the numeric keys of its configuration.
    pub ranges: Tables,
    /// Resolves defaults, preset, file and single settings into the whole configuration: [`resolve`].
    pub resolve: fn(&[ConfigSource]) -> Result<Box<dyn MethodConfig>>,
    /// The same, with where its values come from: [`trace`].
    pub trace: fn(&[ConfigSource]) -> Result<Traced>,
    /// Every key of its configuration: [`keys`].
    pub keys: fn() -> Result<ConfigKeys>,
    /// What is known of every key of its configuration: [`docs`].
    pub docs: fn() -> Result<Vec<KeyInfo>>,
    /// Settings of a tiny run, for smoke tests.
    pub smoke_overrides: &'static [&'static str],
}

impl MethodSpec {
    /// The method with the configuration `C`; its defaults are those of the method.
    pub const fn new<C>(name: &'static str, about: &'static str, smoke_overrides: &'static [&'static str]) -> Self
    where
        C: MethodConfig + Ranged + Default + Serialize + DeserializeOwned + 'static,
    {
        MethodSpec {
            name,
            about,
            ranges: C::TABLES,
            resolve: resolve::<C>,
            trace: trace::<C>,
            keys: keys::<C>,
            docs: docs::<C>,
            smoke_overrides,
        }
    }
}

/// The method of this name in a list.
///
/// # Errors
/// [`Error::Config`] with the names of all.
pub fn find<'a>(methods: &'a [MethodSpec], name: &str) -> Result<&'a MethodSpec> {
    methods.iter().find(|method| method.name == name).ok_or_else(|| {
        let names: Vec<_> = methods.iter().map(|method| method.name).collect();
        let message = format!("there is no method `{name}`; the methods are {}", names.join(", "));
        Error::Config { origin: "configuration".into(), message }
    })
}

/// Lays the layers over a method's defaults, and refuses what cannot be trained.
///
/// # Errors
/// [`Error::Config`]: those of [`config::resolve`], a network larger than any machine holds, a key that a user has set and
/// that the chosen architecture has no use for, and all contradictions.
pub fn resolve<C>(layers: &[ConfigSource]) -> Result<Box<dyn MethodConfig>>
where
    C: MethodConfig + Ranged + Default + Serialize + DeserializeOwned + 'static,
{
    Ok(trace::<C>(layers)?.config)
}

/// A configuration, and where its values come from.
#[derive(Debug)]
pub struct Traced {
    /// The configuration.
    pub config: Box<dyn MethodConfig>,
    /// The layer of each value that is not a default.
    pub origins: Origins,
    /// Settings whose key several networks have.
    pub shared: Vec<SharedSetting>,
}

/// As [`resolve`], with where values come from.
///
/// # Errors
/// As [`resolve`].
pub fn trace<C>(layers: &[ConfigSource]) -> Result<Traced>
where
    C: MethodConfig + Ranged + Default + Serialize + DeserializeOwned + 'static,
{
    let layered = config::lay(&C::default(), layers)?;
    let networks = layered.config.networks();
    let too_large = networks.iter().find_map(|network| network.refusal());
    let unused = || networks.iter().flat_map(|network| network.unused_keys()).find(|bad| layered.is_changed(&bad.key));
    if let Some(BadKey { key, reason }) = too_large.or_else(unused) {
        return Err(layered.refuse(&key, &reason));
    }
    demands(&layered.config)?;
    Ok(Traced { config: Box::new(layered.config), origins: layered.origins, shared: layered.shared })
}

/// What is known of every key of a method's configuration, in the order of its tables.
///
/// # Errors
/// [`Error::Config`] if the defaults have no TOML form.
pub fn docs<C: Ranged + Default + Serialize + DeserializeOwned>() -> Result<Vec<KeyInfo>> {
    config::docs(&C::default())
}

/// Every key of a method's configuration.
///
/// # Errors
/// [`Error::Config`] if the defaults have no TOML form.
pub fn keys<C: Default + Serialize + DeserializeOwned>() -> Result<ConfigKeys> {
    config::list(&C::default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::METHODS;
    use crate::config::ConfigSource;

    #[test]
    fn every_key_of_every_method_is_documented() {
        for method in METHODS {
            let docs = (method.docs)().unwrap();
            assert_eq!(docs.len(), (method.keys)().unwrap().len(), "{}", method.name);
            for info in &docs {
                assert!(info.about.len() > 3 && !info.about.contains("[`"), "{}: {}", info.key, info.about);
            }
            let at = |key: &str| docs.iter().position(|info| info.key == key).unwrap();
            assert!(at("train.seed") < at("train.lr") && at("train.lr") < at("data.mode"));
            assert_eq!(docs[at("data.direction")].values, ["a2b", "b2a"]);
            assert_eq!(docs[at("generator.num_downs")].archs, ["unet"]);
            assert!(docs[at("train.lr")].range.is_some());
        }
    }

    #[test]
    fn a_setting_of_several_networks_looks_at_their_architectures() {
        let cut = crate::find(METHODS, "cut").unwrap();
        let set = |text: &str| ConfigSource::Setting(text.to_owned());
        let traced =
            (cut.trace)(&[set("arch=resnet_6blocks"), set("discriminator.arch=pixel"), set("antialias=false")]);
        let shared = traced.unwrap().shared;
        assert_eq!(shared[0].set, ["generator.arch"]);
        assert_eq!(shared[0].left, ["discriminator.arch", "head.arch"]);
        assert_eq!((&*shared[1].set[0], &*shared[1].left[0]), ("generator.antialias", "discriminator.antialias"));
        let unknown = (cut.trace)(&[set("direction=BtoA")]).unwrap_err().to_string();
        assert!(unknown.ends_with("did you mean `b2a`?"), "{unknown}");
    }
}
