//! What ranks agree on between two steps, so that each takes the same way.

use crate::{Error, Result, WayBack};
use gan_comm::Communicator;
use gan_comm::tensors::Reader;
use gan_data::Batch;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the first rank tells of something that it does alone.
#[derive(Serialize, Deserialize)]
enum Told<T> {
    Done(T),
    /// Training has diverged, which others may be able to go back from.
    Diverged(String),
    Failed,
}

/// Does something on the first rank alone, and returns on every rank what came of it.
///
/// # Errors
/// Those of `run` on the first rank; on the others [`Error::Diverged`] as well, [`Error::Elsewhere`] in the place of the rest, and
/// [`Error::Ranks`].
pub(super) fn on_first<T: Serialize + DeserializeOwned>(
    ranks: &dyn Communicator,
    run: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if ranks.is_alone() {
        return run();
    }
    let done = if ranks.rank() == 0 { Some(run()) } else { None };
    let told = done.as_ref().map(|done| match done {
        Ok(value) => Told::Done(value),
        Err(Error::Diverged { what, .. }) => Told::Diverged(what.clone()),
        Err(_) => Told::Failed,
    });
    let bytes = told.map_or(Ok(Vec::new()), |told| serde_json::to_vec(&told));
    let bytes = bytes.map_err(|error| Error::Unsavable { reason: error.to_string() })?;
    let came = ranks.broadcast(0, bytes);
    if let Some(done) = done {
        return done.and_then(|value| came.map(|_| value).map_err(Error::from));
    }
    let unexpected = || gan_comm::Error::Unexpected { rank: 0, what: "no result".into() };
    match serde_json::from_slice(&came?).map_err(|_| unexpected())? {
        Told::Done(value) => Ok(value),
        Told::Diverged(what) => Err(Error::Diverged { what, way_back: WayBack::Unknown }),
        Told::Failed => Err(Error::Elsewhere { rank: 0 }),
    }
}

/// Checks that all ranks train the same run.
///
/// # Errors
/// [`Error::Ranks`] names the first rank that does not.
pub(super) fn require_same(ranks: &dyn Communicator, facts: &[(&str, String)]) -> Result<()> {
    let own = facts.iter().map(|(_, value)| blake3::hash(value.as_bytes()).as_bytes().to_vec()).collect::<Vec<_>>();
    for (rank, bytes) in ranks.all_gather(own.concat())?.iter().enumerate() {
        let differs = facts.iter().zip(own.iter().zip(bytes.chunks(32))).find(|(_, (own, other))| &own[..] != *other);
        if let Some(((what, _), _)) = differs {
            let what = format!("another {what} than rank {}", ranks.rank());
            return Err(gan_comm::Error::Unexpected { rank, what }.into());
        }
    }
    Ok(())
}

/// What every rank knows of a step before it begins.
#[derive(Debug, PartialEq)]
pub(super) struct Ahead {
    /// Images of each of its micro-batches.
    pub(super) images: Vec<f64>,
    /// A rank was told to stop.
    pub(super) stop: bool,
    /// A checkpoint is due by the clock of the first rank.
    pub(super) save: bool,
    /// The first rank that could not read its batches.
    pub(super) failed: Option<usize>,
}

/// What one rank says of itself.
pub(super) struct Own<'a> {
    /// Its micro-batches; `None` if they cannot be read.
    pub(super) batches: Option<&'a [Batch]>,
    pub(super) stop: bool,
    pub(super) save: bool,
}

/// Puts together what the ranks say about a step of `count` micro-batches.
///
/// # Errors
/// [`Error::Ranks`].
pub(super) fn ahead(ranks: &dyn Communicator, own: &Own<'_>, count: usize) -> Result<Ahead> {
    let mut bytes = vec![u8::from(own.stop), u8::from(own.save), u8::from(own.batches.is_none())];
    let sizes = own.batches.iter().flat_map(|batches| batches.iter());
    sizes.for_each(|batch| bytes.extend((batch.len() as u64).to_le_bytes()));
    let all = ranks.all_gather(bytes)?;
    let mut ahead = Ahead { images: Vec::new(), stop: false, save: false, failed: None };
    let mut readers = Vec::new();
    for (rank, bytes) in all.iter().enumerate() {
        let mut reader = Reader::new(rank, bytes);
        let flags = reader.bytes(3)?;
        ahead.stop |= flags[0] != 0;
        ahead.save |= flags[1] != 0 && rank == 0;
        ahead.failed = ahead.failed.or((flags[2] != 0).then_some(rank));
        readers.push(reader);
    }
    if ahead.failed.is_none() {
        let images = (0..count).map(|j| Ok(readers[j % ranks.size()].number()? as f64));
        ahead.images = images.collect::<gan_comm::Result<_>>()?;
    }
    Ok(ahead)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use candle_core::{DType, Device, Tensor};
    use gan_comm::threads::{Thread, group};

    fn each<T: Send>(size: usize, run: impl Fn(Thread) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let ranks: Vec<_> = group(size).into_iter().map(|rank| scope.spawn(|| run(rank))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    #[test]
    fn what_the_first_rank_does_is_known_to_all() {
        assert_eq!(each(3, |ranks| on_first(&ranks, || Ok(ranks.rank() + 7)).unwrap()), [7; 3]);
        let diverged = |what: &str| Error::Diverged { what: what.into(), way_back: WayBack::Nothing };
        for result in each(3, |ranks| on_first::<()>(&ranks, || Err(diverged("the loss D")))) {
            assert!(matches!(result, Err(Error::Diverged { what, .. }) if what == "the loss D"));
        }
        let failed = each(2, |ranks| on_first::<()>(&ranks, || Err(Error::NoBf16)));
        assert!(matches!(failed[..], [Err(Error::NoBf16), Err(Error::Elsewhere { rank: 0 })]), "{failed:?}");
    }

    #[test]
    fn ranks_of_other_runs_are_told_apart() {
        let same = |ranks: Thread| require_same(&ranks, &[("seed", "1".into()), ("dataset", "a".into())]);
        assert!(each(3, same).iter().all(Result::is_ok));
        let others = each(3, |ranks| {
            let data = if ranks.rank() == 2 { "b" } else { "a" };
            require_same(&ranks, &[("seed", "1".into()), ("dataset", data.into())])
        });
        let said = others[0].as_ref().unwrap_err().to_string();
        assert!(said.contains("rank 2 sent another dataset than rank 0"), "{said}");
        assert!(others.iter().all(Result::is_err));
    }

    #[test]
    fn a_step_is_known_before_it_begins() {
        let batch = |n: usize| {
            let a = Tensor::zeros((n, 1, 1, 1), DType::F32, &Device::Cpu).unwrap();
            Batch { a, b: None, inst: None, names: vec![String::new(); n] }
        };
        let batches = [vec![batch(3), batch(1)], vec![batch(2)]];
        let said = |ranks: &Thread, failed| {
            let own = &batches[ranks.rank()][..];
            let (stop, save) = (ranks.rank() == 1, true);
            ahead(ranks, &Own { batches: (failed != Some(ranks.rank())).then_some(own), stop, save }, 3).unwrap()
        };
        let known = Ahead { images: vec![3.0, 2.0, 1.0], stop: true, save: true, failed: None };
        assert!(each(2, |ranks| said(&ranks, None)).iter().all(|ahead| *ahead == known));
        assert!(each(2, |ranks| said(&ranks, Some(1))).iter().all(|ahead| ahead.failed == Some(1)));
    }
}
