//! Whether activations are computed again in the backward pass.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use std::fmt;

/// Whether residual blocks keep their activations for the backward pass or compute them again (Chen et al., 2016).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checkpointing {
    /// They are kept.
    #[default]
    Off,
    /// They are computed again: less memory, more time. Results are the same.
    On,
    /// What the memory at hand allows when training begins; a resumed run keeps the choice. A method that is built without
    /// the trainer keeps them.
    Auto,
}

impl Checkpointing {
    /// Whether activations are computed again.
    pub fn is_on(self) -> bool {
        self == Checkpointing::On
    }
}

impl From<bool> for Checkpointing {
    fn from(on: bool) -> Self {
        if on { Checkpointing::On } else { Checkpointing::Off }
    }
}

/// `true`, `false` or `"auto"`.
impl Serialize for Checkpointing {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Checkpointing::Auto => to.serialize_str("auto"),
            other => to.serialize_bool(other.is_on()),
        }
    }
}

impl<'de> Deserialize<'de> for Checkpointing {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Choice;

        impl Visitor<'_> for Choice {
            type Value = Checkpointing;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"auto\"")
            }

            fn visit_bool<E: de::Error>(self, on: bool) -> Result<Checkpointing, E> {
                Ok(on.into())
            }

            /// A setting on the command line is text where `"auto"` was before.
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Checkpointing, E> {
                match text {
                    "auto" => Ok(Checkpointing::Auto),
                    "true" => Ok(Checkpointing::On),
                    "false" => Ok(Checkpointing::Off),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }

        from.deserialize_any(Choice)
    }
}
