//! Setting networks from weights of other runs and programs.

use super::candidates::{Candidate, candidates};
use super::settings::{Setting, settings};
use super::{require_networks, some};
use crate::method::Method;
use crate::method_config::MethodConfig;
use crate::{Error, Result};
use candle_core::Device;
use gan_layers::{Misfit, Missing, ParamStore};
use gan_nets::{Network, infer};
use gan_weights::StateDict;
use std::mem::discriminant;
use std::path::Path;

/// Sets the networks that `train.init` names. Returns a report: what was set, what keeps fresh values, what was left over.
///
/// # Errors
/// [`Error::InitialWeights`] where weights do not fit and `train.init_partial` is not set, or nothing fits; [`Error::Config`]
/// for a network that does not exist; those of reading the files.
pub(crate) fn load(method: &mut dyn Method, config: &dyn MethodConfig) -> Result<Vec<String>> {
    let init = &config.train().init;
    require_networks("train.init", init.keys(), method)?;
    let (mut notes, mut fresh) = (Vec::new(), Vec::new());
    for (_, optimizer, networks) in method.state().optimizers {
        for name in networks {
            match init.get(name) {
                Some(path) => notes.extend(Start::new(optimizer.store(), name, path, config)?.load()?),
                None => fresh.push(name),
            }
        }
        optimizer.restart_average()?;
    }
    if !init.is_empty() && !fresh.is_empty() {
        notes.push(format!("with fresh weights: {}", fresh.join(", ")));
    }
    Ok(notes)
}

/// A network and what it is to start from.
struct Start<'a> {
    store: &'a ParamStore,
    name: &'a str,
    path: &'a Path,
    config: &'a dyn MethodConfig,
    /// What the network is, where its tensors tell it.
    own: Option<Network>,
}

/// A candidate, compared with the network.
struct Compared {
    candidate: Candidate,
    misfits: Vec<Misfit>,
    /// How many tensors fit.
    fitting: usize,
}

impl<'a> Start<'a> {
    fn new(store: &'a ParamStore, name: &'a str, path: &'a Path, config: &'a dyn MethodConfig) -> Result<Self> {
        let mut start = Start { store, name, path, config, own: None };
        start.own = start.recognised(&store.state_dict(&start.prefix())?.into_iter().collect());
        Ok(start)
    }

    fn load(&self) -> Result<Vec<String>> {
        let Compared { candidate, misfits, fitting } = self.choose()?;
        let unusable = |source: gan_weights::Error| gan_translate::Error::Unusable {
            path: self.path.to_owned(),
            source: Box::new(source.into()),
        };
        // Numbers that F64 holds may be too large for the store.
        candidate.state.var_builder(self.store.dtype(), &Device::Cpu).map_err(unusable)?;
        if !misfits.is_empty() && (!self.config.train().init_partial || fitting == 0 || self.is_other_kind(&candidate))
        {
            return Err(self.refused(&candidate, &misfits, fitting));
        }
        self.store.load(&self.prefix(), candidate.state.entries(), Missing::Skip)?;
        Ok(self.report(&candidate, &misfits, fitting))
    }

    fn prefix(&self) -> String {
        format!("{}.", self.name)
    }

    /// The candidate that is called like the network, or else the one that fits best.
    fn choose(&self) -> Result<Compared> {
        let mut compared = Vec::new();
        for candidate in candidates(self.path, self.name)? {
            let mut misfits = self.store.misfits(&self.prefix(), candidate.state.entries())?;
            let missing = misfits.iter().filter(|misfit| matches!(misfit, Misfit::Missing(_))).count();
            let fitting = (candidate.state.len() + missing).saturating_sub(misfits.len());
            misfits.extend(candidate.state.others().iter().map(|(name, _)| Misfit::LeftOver(name.clone())));
            compared.push(Compared { candidate, misfits, fitting });
        }
        let rank = |c: &Compared| {
            (c.candidate.is_called(self.name), c.misfits.is_empty(), !self.is_other_kind(&c.candidate), c.fitting)
        };
        let best = compared.iter().map(rank).max();
        compared.retain(|c| Some(rank(c)) == best);
        if compared.len() == 1
            && let Some(only) = compared.pop()
        {
            return Ok(only);
        }
        let described = |c: &Compared| {
            let network = c.candidate.network.as_ref().map_or("not recognised".to_owned(), ToString::to_string);
            format!("{} ({network})", c.candidate.entry)
        };
        if compared.is_empty() {
            return Err(self.error("none of its state dicts can be read as a network".to_owned(), Vec::new(), false));
        }
        let all: Vec<String> = compared.iter().map(described).collect();
        let reason =
            format!("it holds several networks that may be meant: {}; write one to a file of its own", some(&all));
        Err(self.error(reason, Vec::new(), false))
    }

    /// What a state dict holds. Where its tensors leave a choice, the configuration decides.
    fn recognised(&self, state: &StateDict) -> Option<Network> {
        let model = self.config.model();
        let arch = model.generators.iter().find(|generator| generator.network == self.name).map(|g| g.config.arch);
        infer(state, arch).or_else(|_| infer(state, None)).ok()
    }

    /// Whether one is a generator and the other is not, for example.
    fn is_other_kind(&self, candidate: &Candidate) -> bool {
        let both = self.own.as_ref().zip(candidate.network.as_ref());
        both.is_some_and(|(own, found)| discriminant(own) != discriminant(found))
    }

    fn refused(&self, candidate: &Candidate, misfits: &[Misfit], fitting: usize) -> Error {
        let differing = format!("{} tensors differ ({})", misfits.len(), some(misfits));
        let partly = fitting > 0 && !self.is_other_kind(candidate);
        match (&self.own, self.recognised(&candidate.state)) {
            (Some(own), Some(found)) => {
                let settings = settings(&self.config.model(), self.name, own, &found);
                let reason = format!("it holds this network: {found}; {} is another: {own}; {differing}", self.name);
                self.error(reason, settings, partly)
            }
            _ => self.error(differing, Vec::new(), partly),
        }
    }

    fn error(&self, reason: String, settings: Vec<Setting>, partly: bool) -> Error {
        let (network, path) = (self.name.to_owned(), self.path.to_owned());
        Error::InitialWeights { network, path, reason, settings, partly }
    }

    /// What was set and what was not.
    fn report(&self, candidate: &Candidate, misfits: &[Misfit], fitting: usize) -> Vec<String> {
        let Start { name, path, .. } = self;
        let what = candidate.network.as_ref().map(|network| format!(" ({network})"));
        let mut notes = vec![format!("{name}: {fitting} tensors from {}{}", path.display(), what.unwrap_or_default())];
        notes.extend(candidate.notes.iter().map(|note| format!("{name}: {note}")));
        let (left_over, fresh): (Vec<_>, Vec<_>) =
            misfits.iter().partition(|misfit| matches!(misfit, Misfit::LeftOver(_)));
        if !fresh.is_empty() {
            notes.push(format!("{name}: {} tensors keep fresh values: {}", fresh.len(), some(&fresh)));
        }
        if !left_over.is_empty() {
            notes.push(format!("{name}: {} tensors are left out: {}", left_over.len(), some(&left_over)));
        }
        notes
    }
}
