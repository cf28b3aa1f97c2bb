//! A validation that several ranks share: item `i` belongs to rank `i mod n`.

use crate::{Error, Result, WayBack};
use gan_comm::Communicator;
use gan_comm::tensors::Reader;

/// What a metric knows of an item: a row of numbers for each pair of images.
type OfItem = Vec<Vec<f64>>;

/// What one rank found.
pub(crate) struct Share {
    /// Of each metric, of each item of this rank.
    pub(super) rows: Vec<Vec<OfItem>>,
}

/// What all ranks found.
pub(crate) struct Gathered {
    /// Items of the dataset.
    pub(super) items: u64,
    /// Of each metric, the rows of all pairs in the order of the items; none but on the first rank.
    pub(super) rows: Vec<Vec<Vec<f64>>>,
}

/// How a rank ended.
const DONE: u8 = 0;
const STOPPED: u8 = 1;
const FAILED: u8 = 2;
const DIVERGED: u8 = 3;

/// Puts the shares of all ranks together, on the first one. `None` on every rank if one was stopped.
///
/// # Errors
/// That of this rank; of the others, [`Error::Diverged`] as it is, and [`Error::Elsewhere`] in the place of the rest. [`Error::Ranks`].
pub(crate) fn gather(ranks: &dyn Communicator, own: Result<Option<Share>>) -> Result<Option<Gathered>> {
    let ended = match &own {
        Ok(Some(_)) => vec![DONE],
        Ok(None) => vec![STOPPED],
        Err(Error::Diverged { what, .. }) => [&[DIVERGED], what.as_bytes()].concat(),
        Err(_) => vec![FAILED],
    };
    let all = ranks.all_gather(ended)?;
    let own = own?;
    let first_to = |code| all.iter().position(|ended| ended.first() == Some(&code));
    if let Some(rank) = first_to(FAILED) {
        return Err(Error::Elsewhere { rank });
    }
    if let Some(rank) = first_to(DIVERGED) {
        let what = String::from_utf8_lossy(&all[rank][1..]).into_owned();
        return Err(Error::Diverged { what, way_back: WayBack::Unknown });
    }
    let (Some(own), None) = (own, first_to(STOPPED)) else { return Ok(None) };
    let metrics = own.rows.len();
    let mut parts = vec![Vec::new(); ranks.size()];
    parts[0] = bytes(&own);
    let came = ranks.all_to_all(parts)?;
    if ranks.rank() > 0 {
        return Ok(Some(Gathered { items: 0, rows: vec![Vec::new(); metrics] }));
    }
    let shares = came.iter().enumerate().map(|(rank, bytes)| read(&mut Reader::new(rank, bytes), metrics));
    let mut shares: Vec<_> = shares.collect::<gan_comm::Result<_>>()?;
    let rows =
        (0..metrics).map(|metric| in_order(shares.iter_mut().map(|share| std::mem::take(&mut share.rows[metric]))));
    let (rows, items): (Vec<_>, Vec<_>) = rows.unzip();
    Ok(Some(Gathered { items: items.first().copied().unwrap_or(0), rows }))
}

/// The rows of all items in their order, and how many items these are.
fn in_order(shares: impl Iterator<Item = Vec<OfItem>>) -> (Vec<Vec<f64>>, u64) {
    let mut shares: Vec<_> = shares.map(Vec::into_iter).collect();
    let (mut rows, mut items) = (Vec::new(), 0);
    let size = shares.len();
    for of_item in (0..).map_while(|turn: usize| shares[turn % size].next()) {
        rows.extend(of_item);
        items += 1;
    }
    (rows, items)
}

fn bytes(share: &Share) -> Vec<u8> {
    let mut bytes = Vec::new();
    let number = |bytes: &mut Vec<u8>, n: usize| bytes.extend((n as u64).to_le_bytes());
    for items in &share.rows {
        number(&mut bytes, items.len());
        for rows in items {
            number(&mut bytes, rows.len());
            for row in rows {
                number(&mut bytes, row.len());
                bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
    bytes
}

fn read(from: &mut Reader<'_>, metrics: usize) -> gan_comm::Result<Share> {
    let mut share = Share { rows: Vec::new() };
    for _ in 0..metrics {
        let mut items = Vec::new();
        for _ in 0..from.number()? {
            let mut rows = Vec::new();
            for _ in 0..from.number()? {
                let values = (0..from.number()?).map(|_| Ok(f64::from_bits(from.number()?)));
                rows.push(values.collect::<gan_comm::Result<_>>()?);
            }
            items.push(rows);
        }
        share.rows.push(items);
    }
    if from.is_empty() { Ok(share) } else { Err(from.unexpected("more than the values of its images")) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gan_comm::threads::{Thread, group};

    fn each<T: Send>(size: usize, run: impl Fn(Thread) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let ranks: Vec<_> = group(size).into_iter().map(|rank| scope.spawn(|| run(rank))).collect();
            ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
        })
    }

    /// Two metrics: one with a number for each item, one with a row for every second.
    fn share(ranks: &Thread, items: usize) -> Share {
        let own = || (ranks.rank()..items).step_by(ranks.size());
        let second =
            own().map(|i| if i % 2 == 0 { vec![vec![i as f64, f64::INFINITY]; 1 + i % 4] } else { Vec::new() });
        Share { rows: vec![own().map(|i| vec![vec![-0.1 * i as f64]]).collect(), second.collect()] }
    }

    #[test]
    fn the_order_is_that_of_the_items() {
        for items in [1, 2, 7] {
            let alone = each(1, |ranks| gather(&ranks, Ok(Some(share(&ranks, items)))).unwrap().unwrap().rows);
            assert_eq!(alone[0][0], (0..items).map(|i| vec![-0.1 * i as f64]).collect::<Vec<_>>());
            for size in 2..5 {
                let got = each(size, |ranks| gather(&ranks, Ok(Some(share(&ranks, items)))).unwrap().unwrap());
                assert!(got[0].rows == alone[0] && got[0].items == items as u64, "{items} items on {size} ranks");
                assert!(got[1..].iter().all(|other| other.rows.iter().all(Vec::is_empty)));
            }
        }
    }

    #[test]
    fn the_end_of_one_is_that_of_all() {
        let with = |odd: fn() -> Result<Option<Share>>| {
            each(3, |ranks| gather(&ranks, if ranks.rank() == 1 { odd() } else { Ok(Some(share(&ranks, 5))) }))
        };
        assert!(with(|| Ok(None)).iter().all(|ended| matches!(ended, Ok(None))));
        let failed = with(|| Err(Error::NoBf16));
        assert!(matches!(
            failed[..],
            [Err(Error::Elsewhere { rank: 1 }), Err(Error::NoBf16), Err(Error::Elsewhere { rank: 1 })]
        ));
        let diverged = with(|| Err(Error::Diverged { what: "the weight w".into(), way_back: WayBack::Unknown }));
        assert!(
            diverged.iter().all(|ended| matches!(ended, Err(Error::Diverged { what, .. }) if what == "the weight w"))
        );
    }
}
