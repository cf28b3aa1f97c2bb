//! The entry of a method in a list of methods.

use crate::config::{self, ConfigSource, Ranged, Tables};
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
    /// Every key of its configuration: [`keys`].
    pub keys: fn() -> Result<ConfigKeys>,
    /// Settings of a tiny run, for smoke tests.
    pub smoke_overrides: &'static [&'static str],
}

impl MethodSpec {
    /// The method with the configuration `C`; its defaults are those of the method.
    pub const fn new<C>(name: &'static str, about: &'static str, smoke_overrides: &'static [&'static str]) -> Self
    where
        C: MethodConfig + Ranged + Default + Serialize + DeserializeOwned + 'static,
    {
        MethodSpec { name, about, ranges: C::TABLES, resolve: resolve::<C>, keys: keys::<C>, smoke_overrides }
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
    let layered = config::lay(&C::default(), layers)?;
    let networks = layered.config.networks();
    let too_large = networks.iter().find_map(|network| network.refusal());
    let unused = || networks.iter().flat_map(|network| network.unused_keys()).find(|bad| layered.is_changed(&bad.key));
    if let Some(BadKey { key, reason }) = too_large.or_else(unused) {
        return Err(layered.refuse(&key, &reason));
    }
    demands(&layered.config)?;
    Ok(Box::new(layered.config))
}

/// Every key of a method's configuration.
///
/// # Errors
/// [`Error::Config`] if the defaults have no TOML form.
pub fn keys<C: Default + Serialize + DeserializeOwned>() -> Result<ConfigKeys> {
    config::list(&C::default())
}
