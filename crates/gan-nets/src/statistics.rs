//! Generators whose norms are observed, or have constant statistics.

use crate::Generator;
use crate::generator::Net;
use crate::local::{Enhancer, LocalEnhancer};
use candle_core::Result;
use gan_layers::{NormObserver, NormStatistics, Param, Sequence};

impl Generator {
    /// The same generator, whose norms tell the observer what they see ([`Sequence::observed`]).
    ///
    /// # Errors
    /// It was built over a [`ParamStore`](gan_layers::ParamStore).
    pub fn observed(&self, observer: &NormObserver) -> Result<Self> {
        self.map(|sequence| sequence.observed(observer))
    }

    /// The same generator with these statistics in place of each image's own ([`Sequence::with_statistics`]). For
    /// [`NormMode::Running`](gan_layers::NormMode) alone.
    ///
    /// # Errors
    /// The statistics are of another network; it was built over a [`ParamStore`](gan_layers::ParamStore).
    pub fn with_statistics(&self, statistics: &NormStatistics) -> Result<Self> {
        self.map(|sequence| sequence.with_statistics(statistics))
    }

    /// Calls `f` with each parameter, in the order of the layers.
    pub fn for_each_param(&self, f: &mut dyn FnMut(&Param)) {
        match &self.net {
            Net::Plain(sequence) => sequence.for_each_param(f),
            Net::Local(local) => {
                local.trunk.for_each_param(f);
                for Enhancer { down, up } in &local.enhancers {
                    down.for_each_param(f);
                    up.for_each_param(f);
                }
            }
        }
    }

    fn map(&self, f: impl Fn(&Sequence) -> Result<Sequence>) -> Result<Self> {
        let net = match &self.net {
            Net::Plain(sequence) => Net::Plain(f(sequence)?),
            Net::Local(local) => {
                let enhancer = |e: &Enhancer| Ok(Enhancer { down: f(&e.down)?, up: f(&e.up)? });
                let enhancers = local.enhancers.iter().map(enhancer).collect::<Result<_>>()?;
                Net::Local(LocalEnhancer { trunk: f(&local.trunk)?, enhancers })
            }
        };
        Ok(self.with_net(net))
    }
}
