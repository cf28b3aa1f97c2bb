//! Sizes of images against the networks that they pass.

use super::Contradiction;
use super::networks::Network;
use crate::Result;
use gan_data::{DataConfig, Preprocess};
use gan_layers::Summary;
use gan_nets::{Demand, MAX_SIDE};

/// What a method's networks ask of images.
#[derive(Debug)]
pub struct Demands {
    networks: Vec<(Box<dyn Network>, Demand)>,
    batch_size: usize,
}

impl Demands {
    /// Of networks that are trained on batches of `batch_size` images.
    pub(crate) fn of(networks: Vec<Box<dyn Network>>, batch_size: usize) -> Result<Self> {
        let with_demand = |network: Box<dyn Network>| {
            let demand = network.demand()?;
            Ok((network, demand))
        };
        Ok(Demands { networks: networks.into_iter().map(with_demand).collect::<Result<_>>()?, batch_size })
    }

    /// Why images of this width and height cannot be trained on, in words: `unet_256 takes sides that are multiples of 256`.
    #[must_use]
    pub fn unfit(&self, (width, height): (usize, usize)) -> Option<String> {
        let (network, demand) =
            self.networks.iter().find(|(_, demand)| !demand.fits((height, width), self.batch_size))?;
        Some(self.words(&**network, demand))
    }

    /// The layers of each network for images of this height and width.
    pub(crate) fn summaries(&self, size: (usize, usize)) -> Result<Vec<Summary>> {
        self.networks.iter().map(|(_, demand)| Ok(demand.summary(size)?)).collect()
    }

    fn words(&self, network: &dyn Network, demand: &Demand) -> String {
        match demand.sides(self.batch_size) {
            Some(sides) => format!("{} takes {sides}", network.name()),
            None => format!("{} takes no image: none has so long sides", network.name()),
        }
    }

    fn all_fit(&self, side: usize) -> bool {
        self.networks.iter().all(|(_, demand)| demand.fits((side, side), self.batch_size))
    }

    /// What the size that the configuration gives contradicts.
    pub(super) fn contradictions(&self, data: &DataConfig) -> Vec<Contradiction> {
        let Some((key, side)) = data.side() else { return Vec::new() };
        let size = self.size_that_fits(data, key, side);
        let mut found: Vec<Contradiction> = Vec::new();
        for (network, demand) in &self.networks {
            if demand.fits((side, side), self.batch_size) {
                continue;
            }
            let what = format!("{}; data.{key} is {side}", self.words(&**network, demand));
            // Two networks may differ in channels only.
            if found.iter().any(|other| other.what == what) {
                continue;
            }
            let fits =
                |network: &dyn Network| network.demand().is_ok_and(|demand| demand.fits((side, side), self.batch_size));
            let smaller = network.smaller().into_iter().find(|(_, network)| fits(&**network));
            let remedies = smaller.map(|(settings, _)| settings).into_iter().chain(size.clone()).collect();
            found.push(Contradiction { what, remedies });
        }
        found
    }

    /// Settings of the size nearest to `side` that all networks take.
    fn size_that_fits(&self, data: &DataConfig, key: &str, side: usize) -> Option<Vec<String>> {
        let sides: Option<Vec<_>> = self.networks.iter().map(|(_, demand)| demand.sides(self.batch_size)).collect();
        let sides = sides?;
        // They are powers of two.
        let multiple = sides.iter().map(|s| s.multiple).max().unwrap_or(1);
        let least = sides.iter().map(|s| s.least).max().unwrap_or(1);
        let above = side.max(least).div_ceil(multiple) * multiple;
        let below = side / multiple * multiple;
        let nearest = if below >= least && side - below < above - side { below } else { above };
        if nearest > MAX_SIDE || !self.all_fit(nearest) {
            return None;
        }
        let mut changed = data.clone();
        let mut settings = vec![format!("data.{key} = {nearest}")];
        match key {
            "crop_size" => changed.crop_size = nearest,
            _ => changed.load_size = nearest,
        }
        let resizes = matches!(data.preprocess, Preprocess::ResizeAndCrop | Preprocess::ScaleWidthAndCrop);
        if resizes && changed.load_size < nearest {
            // As much larger than the crop as before.
            changed.load_size = (data.load_size * nearest).div_ceil(side).max(nearest);
            settings.push(format!("data.load_size = {}", changed.load_size));
        }
        (changed.validate().is_ok()
            && changed.side() == Some((if key == "crop_size" { key } else { "load_size" }, nearest)))
        .then_some(settings)
    }
}
