//! What a rank tells of its micro-batches at the end of a pass: losses, what batch norms have seen, and whether its slices of gradients are finite.

use crate::accumulation::add;
use crate::method::{Losses, Method};
use crate::{Error, Result};
use candle_core::{Device, Tensor};
use gan_comm::Communicator;
use gan_comm::tensors::{Reader, pack};
use gan_kernels::norm::Moments;
use gan_layers::Seen;

/// The micro-batches of this rank, one after the other.
#[derive(Default)]
pub(super) struct Report {
    bytes: Vec<u8>,
    /// Those of the losses, the same for all micro-batches of a pass.
    names: Vec<&'static str>,
    device: Option<Device>,
}

/// What is told of one micro-batch.
struct Told {
    losses: Vec<Tensor>,
    /// Store by store.
    seen: Vec<Vec<Seen>>,
}

impl Report {
    /// Adds a micro-batch; one that does not `count` is computed by another rank as well.
    pub(super) fn add(&mut self, counts: bool, losses: Losses, seen: Vec<Vec<Seen>>) -> Result<()> {
        self.names = losses.iter().map(|(name, _)| *name).collect();
        self.device = losses.first().map(|(_, value)| value.device().clone());
        if counts {
            self.bytes.extend((losses.len() as u64).to_le_bytes());
            pack(&mut self.bytes, losses.iter().map(|(_, value)| value))?;
            for of_store in seen {
                self.bytes.extend((of_store.len() as u64).to_le_bytes());
                for Seen { layer, moments, count } in of_store {
                    self.bytes.extend([layer, count].into_iter().flat_map(|n| (n as u64).to_le_bytes()));
                    pack(&mut self.bytes, [&moments.mean, &moments.var])?;
                }
            }
        }
        Ok(())
    }

    /// Moves the running statistics by what all ranks have seen, in the order of the micro-batches. Returns the losses' means over the `all`
    /// images, and for each bucket of gradients whether it is `finite` on all ranks.
    pub(super) fn exchange(
        self,
        method: &mut dyn Method,
        ranks: &dyn Communicator,
        images: &[f64],
        all: f64,
        finite: &[bool],
    ) -> Result<(Losses, Vec<bool>)> {
        let mut own: Vec<u8> = finite.iter().map(|&finite| u8::from(finite)).collect();
        own.extend(self.bytes);
        let told = ranks.all_gather(own)?;
        let mut readers: Vec<_> = told.iter().enumerate().map(|(rank, bytes)| Reader::new(rank, bytes)).collect();
        let mut on_all = vec![true; finite.len()];
        for reader in &mut readers {
            on_all.iter_mut().zip(reader.bytes(finite.len())?).for_each(|(all, &one)| *all &= one == 1);
        }
        let device = self.device.unwrap_or(Device::Cpu);
        let mut seen: Vec<Vec<Seen>> = method.state().optimizers.iter().map(|_| Vec::new()).collect();
        let mut means = Losses::new();
        for (j, images) in images.iter().enumerate() {
            let reader = &mut readers[j % ranks.size()];
            let told = Told::read(reader, seen.len(), &device)?;
            if told.losses.len() != self.names.len() {
                return Err(Error::Ranks(reader.unexpected("other losses than this rank has")));
            }
            add(&mut means, self.names.iter().copied().zip(told.losses).collect(), images / all)?;
            seen.iter_mut().zip(told.seen).for_each(|(all, more)| all.extend(more));
        }
        if let Some(more) = readers.iter().find(|reader| !reader.is_empty()) {
            return Err(Error::Ranks(more.unexpected("more than its part of the step")));
        }
        for ((_, optimizer, _), seen) in method.state().optimizers.into_iter().zip(&seen) {
            optimizer.store().running_statistics().apply(seen)?;
        }
        Ok((means, on_all))
    }
}

impl Told {
    fn read(from: &mut Reader<'_>, stores: usize, device: &Device) -> Result<Self> {
        let losses = (0..from.number()?).map(|_| from.tensor(device)).collect::<gan_comm::Result<_>>()?;
        let mut seen = Vec::new();
        for _ in 0..stores {
            let mut of_store = Vec::new();
            for _ in 0..from.number()? {
                let (layer, count) = (from.number()? as usize, from.number()? as usize);
                let moments = Moments { mean: from.tensor(device)?, var: from.tensor(device)? };
                of_store.push(Seen { layer, moments, count });
            }
            seen.push(of_store);
        }
        Ok(Told { losses, seen })
    }
}
