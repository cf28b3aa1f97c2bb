//! A sequence within a sequence.

use crate::kind::Kind;
use crate::plan::Plan;
use crate::summary::Rows;
use crate::{Layer, Param, Sequence, SequenceBuilder};
use candle_core::Result;

/// A sequence in its place: a nested `Sequential` without arithmetic of its own.
#[derive(Debug, Clone)]
pub struct Nested(
    /// The sequence.
    pub Sequence,
);

impl<'a> SequenceBuilder<'a> {
    /// A sequence of its own at `{name}` (no index is used).
    ///
    /// # Errors
    /// Those of `inner`.
    pub fn nested(
        self,
        name: &str,
        inner: impl FnOnce(SequenceBuilder<'a>) -> Result<SequenceBuilder<'a>>,
    ) -> Result<Self> {
        let at = self.at.pp(name);
        let path = at.path().to_string();
        let inner = inner(SequenceBuilder::new(at))?.finish();
        Ok(self.push_at(path, Layer::new(Nested(inner))))
    }
}

impl Kind for Nested {
    /// Its layers are as good as written down in its place.
    fn plan<'a>(&'a self, _: &'a str, plan: &mut Plan<'a>) {
        plan.sequence(&self.0);
    }

    fn summarize(&self, _: &str, to: &mut Rows<'_>) -> Result<()> {
        to.sequence(&self.0)
    }

    fn each_param(&self, f: &mut dyn FnMut(&Param)) {
        self.0.each_param(f);
    }

    fn with_inner(&self, map: &dyn Fn(&Sequence) -> Result<Sequence>) -> Result<Option<Layer>> {
        Ok(Some(Layer::new(Nested(map(&self.0)?))))
    }
}
