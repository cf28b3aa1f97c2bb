//! Nothing.

use crate::Layer;
use crate::kind::Kind;
use crate::plan::Plan;
use crate::summary::Rows;
use candle_core::Result;

/// Does nothing: keeps an index of the reference occupied.
#[derive(Debug, Clone, Copy)]
pub struct Identity;

impl Kind for Identity {
    fn plan<'a>(&'a self, _: &'a str, _: &mut Plan<'a>) {}

    fn summarize(&self, _: &str, _: &mut Rows<'_>) -> Result<()> {
        Ok(())
    }
}

impl From<Identity> for Layer {
    fn from(identity: Identity) -> Self {
        Layer::new(identity)
    }
}
