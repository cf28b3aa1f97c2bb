//! The tables that the configurations of all methods share.

/// Declares the configuration of a method that trains a generator against discriminators: the tables `[train]`, `[validation]`,
/// `[data]`, `[generator]` and `[discriminator]`, and after them the method's own. Each of those is a struct of
/// [`documented!`](gan_range::documented) with a constant `RANGES`.
///
/// The struct reads and writes itself with serde (which the crate that uses this macro needs), refuses keys that no table has,
/// implements [`Ranged`](crate::config::Ranged), and has `of_defaults()`: every table at its own default, from which
/// the method's `Default` differs.
///
/// It is a macro because the struct must stay a plain one: serde's flattening cannot refuse unknown keys, and the layers of a
/// configuration learn the keys from the struct.
///
/// ```
/// use gan_data::{DataConfig, DataMode};
/// use gan_range::{Range, documented};
/// use serde::{Deserialize, Serialize};
///
/// documented! {
///     /// The `[loss]` table.
///     #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
///     #[serde(default, deny_unknown_fields)]
///     pub struct LossConfig {
///         /// Weight of the L1 term.
///         pub lambda_l1: f64,
///     }
/// }
///
/// impl LossConfig {
///     const RANGES: &'static [Range] = &[Range::real("lambda_l1", 0.0, 1e6)];
/// }
///
/// gan_train::method_config! {
///     /// The configuration of a method of one's own.
///     pub struct Config {
///         /// Losses.
///         pub loss: LossConfig,
///     }
/// }
///
/// impl Default for Config {
///     fn default() -> Self {
///         Config { data: DataConfig { mode: DataMode::Aligned, ..DataConfig::default() }, ..Config::of_defaults() }
///     }
/// }
/// ```
#[macro_export]
macro_rules! method_config {
    ($(#[$about:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $table:ident: $tables:ty,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Training loop.
            pub train: $crate::TrainConfig,
            /// Held-out images.
            pub validation: $crate::ValidationConfig,
            /// Dataset.
            pub data: $crate::config::head::DataConfig,
            /// Generator.
            pub generator: $crate::config::head::GeneratorConfig,
            /// Discriminator.
            pub discriminator: $crate::config::head::DiscriminatorConfig,
            $($(#[$doc])* pub $table: $tables,)*
        }

        impl $crate::config::Ranged for $name {
            const TABLES: $crate::config::Tables = &[
                ("train", <$crate::TrainConfig>::RANGES, <$crate::TrainConfig>::DOCS),
                ("validation", <$crate::ValidationConfig>::RANGES, <$crate::ValidationConfig>::DOCS),
                ("data", <$crate::config::head::DataConfig>::RANGES, <$crate::config::head::DataConfig>::DOCS),
                ("generator", <$crate::config::head::GeneratorConfig>::RANGES, <$crate::config::head::GeneratorConfig>::DOCS),
                ("discriminator", <$crate::config::head::DiscriminatorConfig>::RANGES, <$crate::config::head::DiscriminatorConfig>::DOCS),
                $((stringify!($table), <$tables>::RANGES, <$tables>::DOCS),)*
            ];
        }

        impl $name {
            /// Every table at its own default.
            fn of_defaults() -> Self {
                $name {
                    train: Default::default(),
                    validation: Default::default(),
                    data: Default::default(),
                    generator: Default::default(),
                    discriminator: Default::default(),
                    $($table: Default::default(),)*
                }
            }
        }
    };
}

#[doc(hidden)]
pub use {gan_data::DataConfig, gan_nets::DiscriminatorConfig, gan_nets::GeneratorConfig};
